"""The choice of `bench tune` for a method on a fold: where it is stored, and whether it is up to date.

<results>/tuning/cells/<task>/<backbone>/<spec>/f0-s0.json         a trial: a cell scored on the holdout of its fold
                                         <spec>@tuned/f0-s0.json   the choice, and the trials behind it
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
    """Return the settings of the trials: without test sets, and with a separate folder that no report reads."""
    return dataclasses.replace(settings, results=tuning_results(settings.results), selecting=True)


def choice_file(settings: Settings, cell: Cell) -> Path:
    """Return the file of the choice for a tuned cell."""
    return cell_file(tuning_results(settings.results), cell)


def choice_identity(cell: Cell, data: TaskData, plugins: Sequence[Path] = ()) -> str:
    """Hash all that a choice depends on besides the objective and the number of trials.

    The data of the trials and of the run give the same hash: holdout, validation and external set are functions of
    the source set and the fold.
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
    """Return a tuned cell with its choice; any other cell unchanged.

    Raises:
        BenchError: there is no choice, or it was made with other images, recipe, version or search grid.
    """
    if not is_tuned(cell.spec):
        return cell
    plain = untuned(cell.spec)
    where = f"for {plain} on fold {cell.fold}, seed {cell.seed}"
    again = f"run `{command('tune', dataclasses.replace(settings, methods=plain))}`"
    try:
        choice = read(choice_file(settings, cell), Choice)
    except DataInvalid:
        raise BenchError(f"nothing has been chosen {where}: {again}") from None
    if choice.identity != choice_identity(cell, data, settings.plugins):
        raise BenchError(f"the choice {where} is stale: {again} again")
    return dataclasses.replace(cell, choice=msgspec.json.encode(choice).decode())
