"""What `bench tune` chose for a method on a fold: how it is stored, and whether it still holds.

<results>/tuning/cells/<task>/<backbone>/<spec>/f0-s0.json      a trial: a cell scored on the holdout of its fold
                                         <spec>@tuned/f0-s0.json   what was chosen, and from which trials
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.cells.identity import Cell, cell_file, tuning_results
from bench.cells.record import Choice, read
from bench.data.sample_table import fingerprint
from bench.data.task_data import TaskData
from bench.errors import BenchError, DataInvalid
from bench.run.plan import baseline_identity, build_method, digest
from bench.settings import Settings, command
from bench.spec import is_tuned, untuned


def selecting(settings: Settings) -> Settings:
    """Return the settings of the trials: no test set, and a folder of their own that no report reads."""
    return dataclasses.replace(settings, results=tuning_results(settings.results), selecting=True)


def choice_file(settings: Settings, cell: Cell) -> Path:
    """Return where the choice for a tuned cell stands."""
    return cell_file(selecting(settings).results, dataclasses.replace(cell, choice=""))


def choice_identity(cell: Cell, data: TaskData, plugins: Sequence[Path] = ()) -> str:
    """Hash what a choice depends on besides the objective and the number of trials.

    It is the same for the data of the trials and for those of a run: holdout, validation and external set are
    functions of the source set and the fold.
    """
    method = build_method(cell.spec, plugins)
    identity = {
        "baseline": {**baseline_identity(cell, data), "train": data.fingerprint("train", cell.fold)},
        "source": fingerprint(data.tables["source"]),
        "recipe": dataclasses.asdict(data.task.recipe),
        "version": method.version,
        "parameters": dataclasses.asdict(method),
        "search": {name: list(values) for name, values in method.search.items()},
    }
    return digest(identity)


def with_choice(cell: Cell, data: TaskData, settings: Settings) -> Cell:
    """Return a tuned cell with what was chosen for it; any other cell as it is.

    Raises:
        BenchError: nothing was chosen, or for other images, another recipe, version or grid than today's.
    """
    if not is_tuned(cell.spec):
        return cell
    plain = untuned(cell.spec)
    again = f"`{command('tune', dataclasses.replace(settings, methods=plain))}` chooses"
    try:
        choice = read(choice_file(settings, cell), Choice)
    except DataInvalid:
        raise BenchError(f"nothing is chosen for {plain} on fold {cell.fold}, seed {cell.seed}: {again}") from None
    if choice.identity != choice_identity(cell, data, settings.plugins):
        raise BenchError(f"the choice for {plain} on fold {cell.fold}, seed {cell.seed} is stale: {again} again")
    return dataclasses.replace(cell, choice=msgspec.json.encode(choice).decode())
