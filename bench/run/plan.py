"""The cells of a run, the identity of each, and the choices of `bench tune` that complete tuned cells.

<results>/tuning/cells/<task>/<backbone>/<spec>/f0-s0.json         a trial: a cell scored on the holdout of its fold
                                         <spec>@tuned/f0-s0.json   the choice, and the trials behind it
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from bench import registry
from bench.api import Method, Recipe, Task
from bench.cells.identity import BASELINE, SCHEMA, Cell, baselines_folder, cell_file, tuning_results
from bench.cells.record import Choice, Fit, read
from bench.data import group_pair
from bench.data.sample_table import fingerprint
from bench.data.task_data import TaskData
from bench.errors import BenchError, DataInvalid, UsageError
from bench.settings import Settings, command
from bench.spec import describe, is_tuned, name_of, split_specs, tuned, untuned

PRETRAIN_FIELDS = (
    *(field.name for field in dataclasses.fields(Recipe) if field.name.startswith("pretrain_")),
    *("augment", "batch", "precision", "reduction", "threads", "weight_counts"),
)
"""Fields of a recipe that change the baseline."""
PRETRAIN_SPLITS = {"last": ("train",), "best_inner": ("train_inner", "val_inner"), "reference": ("train", "val")}
"""`pretrain_checkpoint` -> the split to train on and, if it chooses an epoch, the split to choose on."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell, its hash, and the error that prevents it from running."""

    cell: Cell
    hash: str
    error: BenchError | None = None

    @property
    def origin(self) -> tuple[int, int]:
        """Seed and fold. Cells of a run with equal ones start from the same baseline."""
        return self.cell.seed, self.cell.fold


def plan(
    data: TaskData,
    methods: Sequence[str],
    *,
    backbone: str,
    folds: Sequence[int],
    seeds: Sequence[int],
    plugins: Sequence[Path] = (),
    complete: Callable[[Cell], Cell] = lambda cell: cell,
) -> list[PlannedCell]:
    """Return the cells of a run: baselines first, then fold by fold.

    The baseline is always included; methods that are not defined on the groups of the task never are.

    `complete` adds to a tuned cell the choice of `bench tune`.

    Raises:
        UnknownName, UsageError: a method, parameter or fold that does not exist.
    """
    wrong = [fold for fold in folds if not 0 <= fold < data.task.folds]
    if wrong:
        raise UsageError(f"fold {wrong[0]}: task {data.task.name} has the folds 0 to {data.task.folds - 1}")
    left_out = undefined(methods, data.task, plugins)
    specs = [spec for spec in dict.fromkeys([BASELINE, *methods]) if spec not in left_out]
    # Settings of a method are neighbours, because the first of a fold computes what they share.
    every = [Cell(data.task.name, backbone, spec, fold, seed) for seed in seeds for fold in folds for spec in specs]
    cells = []
    for cell in sorted(every, key=lambda cell: cell.spec != BASELINE):
        try:
            cell = complete(cell)
            cells.append(PlannedCell(cell, cell_hash(cell, data, plugins)))
        except UsageError:
            raise
        except BenchError as error:
            cells.append(PlannedCell(cell, "", error))
    return cells


def undefined(methods: Sequence[str], task: Task, plugins: Sequence[Path] = ()) -> dict[str, str]:
    """Return the specs of methods that are not defined for the number of groups of a task, and why."""
    groups = len(task.attribute.names)
    reasons = {spec: build_method(spec, plugins).undefined(groups) for spec in methods}
    return {spec: reason for spec, reason in reasons.items() if reason}


def method_specs(text: str, plugins: Sequence[Path] = (), recipe: Recipe | None = None) -> list[str]:
    """Return the canonical specs that `--methods` names: `all`, or specs joined by commas.

    With a recipe, `all` includes the settings that methods add to their defaults under it (`companions`).

    Raises:
        UnknownName, UsageError: before anything is computed.
    """

    def canonical(spec: str) -> str:
        plain = untuned(spec)
        found = describe(name_of(plain), registry.METHODS.build(plain, plugins))
        return tuned(found) if plain != spec else found

    specs: list[str] = []
    for spec in split_specs(text):
        if spec != "all":
            specs.append(canonical(spec))
            continue
        names = registry.METHODS.catalogue(plugins)
        for name in sorted(names, key=lambda name: (registry.METHODS.load(name, plugins).row, name)):
            beside = build_method(name, plugins).companions(recipe) if recipe else ()
            specs += [name, *(canonical(f"{name}:{setting}") for setting in beside)]
    if not specs:
        raise UsageError("--methods: name at least one method, or all")
    return list(dict.fromkeys(specs))


def build_method(spec: str, plugins: Sequence[Path] = ()) -> Method:
    """Return the method of a spec, less `@tuned`: `swift@tuned` gives the method with the parameters of `swift`."""
    return _built(spec, tuple(plugins))


@cache
def _built(spec: str, plugins: tuple[Path, ...]) -> Method:
    return registry.METHODS.build(untuned(spec), plugins)


def baseline_identity(cell: Cell, data: TaskData) -> dict[str, Any]:
    """Return all that defines a baseline: training images, pixels, network, pre-training, fold and seed.

    Variants of a task with equal identities share the baseline. A user's checkpoint is identified by its file.
    """
    task, source = data.task, data.sources["source"]
    pixels = [task.image_size, task.channels, task.crop]
    if data.user_checkpoint is not None:
        given = data.user_checkpoint.sha256(cell.fold)
        return {"schema": SCHEMA, "given": given, "pixels": pixels, "backbone": cell.backbone}
    recipe = _fields(task.recipe)
    return {
        "schema": SCHEMA,
        "train": [data.fingerprint(name, cell.fold) for name in PRETRAIN_SPLITS[task.recipe.pretrain_checkpoint]],
        "source": [source.spec, source.dataset.version],
        "pixels": pixels,
        "backbone": cell.backbone,
        "weights": task.weights,
        "recipe": {name: recipe[name] for name in PRETRAIN_FIELDS},
        "fold": cell.fold,
        "seed": cell.seed,
    }


def cell_hash(cell: Cell, data: TaskData, plugins: Sequence[Path] = ()) -> str:
    """Hash all that defines the numbers of a cell; paths, host, device and number of workers do not count."""
    method = build_method(cell.runs, plugins)
    used = {*method.uses, "val", *data.task.ood}
    chosen = {}
    if data.task.attribute.grouped:
        # The external set is unknown before the baseline, but follows from it, from `val` and from the rule.
        used.discard("external")
        chosen = {"pair": {**group_pair.RULE, "groups": len(data.task.attribute.names)}}
    identity = {
        "baseline": baseline_identity(cell, data),
        "task": data.task.name,
        "data": {name: data.fingerprint(name, cell.fold) for name in sorted(used)},
        **chosen,
        "ood": {name: [one.spec, one.dataset.version] for name, one in data.sources.items() if name != "source"},
        "recipe": _fields(data.task.recipe),
        "method": name_of(cell.spec),
        "version": method.version,
        "parameters": _fields(method),
        "fold": cell.fold,
        "seed": cell.seed,
    }
    return digest({**identity, "choice": cell.choice} if cell.choice else identity)


@cache
def _fields(settings: Recipe | Method) -> dict[str, Any]:
    # Thousands of cells share a few recipes and methods, and `asdict` makes deep copies.
    return dataclasses.asdict(settings)


def digest(identity: object) -> str:
    """Return the SHA-256 of the canonical JSON of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def checkpoint_file(cache_dir: Path, cell: Cell, data: TaskData) -> Path:
    """Return the file of the weights of a cell's baseline, whose name covers all that defines them."""
    return baselines_folder(cache_dir) / f"{digest(baseline_identity(cell, data))[:32]}.pt"


def describe_cell(cell: Cell, method: Method) -> Fit:
    """Return the description of a cell, with all parameters."""
    return Fit(
        task=cell.task,
        backbone=cell.backbone,
        method=name_of(cell.spec),
        title=method.title,
        row=method.row,
        spec=cell.spec,
        parameters=dataclasses.asdict(method),
        version=method.version,
        fold=cell.fold,
        seed=cell.seed,
    )


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
        "source": fingerprint(data.tables["source"], data.contents["source"]),
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
