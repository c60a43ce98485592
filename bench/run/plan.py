"""Which cells a run has, what identifies each, and which are done."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench import registry
from bench.api import Method, Recipe, Task
from bench.cells.identity import BASELINE, SCHEMA, Cell, baselines_folder
from bench.cells.record import Fit
from bench.data import group_pair
from bench.data.task_data import TaskData
from bench.errors import BenchError, UnknownName, UsageError
from bench.spec import describe, name_of, split_specs, tuned, untuned

PRETRAIN_FIELDS = (
    *(field.name for field in dataclasses.fields(Recipe) if field.name.startswith("pretrain_")),
    *("augment", "batch", "precision", "reduction", "threads", "weight_counts"),
)
"""Fields of a recipe that change a baseline."""
PRETRAIN_SPLITS = {"last": ("train",), "best_inner": ("train_inner", "val_inner"), "reference": ("train", "val")}
"""`pretrain_checkpoint` -> the part trained on and, where an epoch is chosen, the part on which it is."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell, its identity, and the error that keeps it from being run."""

    cell: Cell
    hash: str
    error: BenchError | None = None


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
    """Return the cells of a run, baselines first, then fold by fold.

    The baseline is always among them, what is not defined on the groups of the task never.

    `complete` gives a tuned cell what was chosen for it.

    Raises:
        UnknownName, UsageError: for methods, parameters and folds that do not exist.
    """
    wrong = [fold for fold in folds if not 0 <= fold < data.task.folds]
    if wrong:
        raise UsageError(f"fold {wrong[0]}: task {data.task.name} has the folds 0 to {data.task.folds - 1}")
    left_out = undefined(methods, data.task, plugins)
    specs = [spec for spec in dict.fromkeys([BASELINE, *methods]) if spec not in left_out]
    # What settings of a fold have in common is made by the first of them, so they are neighbours.
    order = [(fold, seed, spec) for seed in seeds for fold in folds for spec in specs]
    order.sort(key=lambda item: item[2] != BASELINE)
    cells = []
    for fold, seed, spec in order:
        cell = Cell(data.task.name, backbone, spec, fold, seed)
        try:
            cell = complete(cell)
            cells.append(PlannedCell(cell, cell_hash(cell, data, plugins)))
        except UsageError:
            raise
        except BenchError as error:
            cells.append(PlannedCell(cell, "", error))
    return cells


def undefined(methods: Sequence[str], task: Task, plugins: Sequence[Path] = ()) -> dict[str, str]:
    """Return the specs of the methods that are not defined on the groups of a task, and why."""
    groups = len(task.attribute.names)
    reasons = {spec: build_method(spec, plugins).undefined(groups) for spec in methods}
    return {spec: reason for spec, reason in reasons.items() if reason}


def method_specs(text: str, plugins: Sequence[Path] = (), recipe: Recipe | None = None) -> list[str]:
    """Return the canonical specs that `--methods` names: `all`, or specs joined by commas.

    With a recipe, `all` also names the settings that methods want beside their defaults under it.

    Raises:
        UnknownName, UsageError: before anything is computed.
    """
    specs: list[str] = []
    for spec in split_specs(text):
        if spec == "all":
            found = registry.METHODS.catalogue(plugins)
            for _, name in sorted((_row(name, plugins), name) for name in found):
                beside = build_method(name, plugins).companions(recipe) if recipe else ()
                specs += [name, *(_canonical(f"{name}:{setting}", plugins) for setting in beside)]
        else:
            specs.append(_canonical(spec, plugins))
    if not specs:
        raise UsageError("--methods: name at least one method, or all")
    return list(dict.fromkeys(specs))


def _canonical(spec: str, plugins: Sequence[Path]) -> str:
    plain = untuned(spec)
    canonical = describe(name_of(plain), registry.METHODS.build(plain, plugins))
    return tuned(canonical) if plain != spec else canonical


def _row(name: str, plugins: Sequence[Path]) -> int:
    return registry.METHODS.load(name, plugins).row


def build_method(spec: str, plugins: Sequence[Path] = ()) -> Method:
    """Return the method of a spec; that of `swift@tuned` has the parameters of `swift`."""
    return _built(spec, tuple(plugins))


@cache
def _built(spec: str, plugins: tuple[Path, ...]) -> Method:
    return registry.METHODS.build(untuned(spec), plugins)


def check_backbone(task: Task, backbone: str | None) -> str:
    """Return the backbone to use: the task's first where none is given."""
    if backbone is None:
        return task.backbones[0]
    if backbone not in task.backbones:
        raise UnknownName("backbone", backbone, task.backbones, where=f" of task {task.name}")
    return backbone


def baseline_identity(cell: Cell, data: TaskData) -> dict[str, Any]:
    """Return what defines a baseline: training images, pixels, network, pre-training, fold and seed.

    Variants of a task that agree in it share the baseline. Of one that the user brings it is the file.
    """
    task, source = data.task, data.sources["source"]
    pixels = [task.image_size, task.channels, task.crop]
    if data.user_checkpoint is not None:
        return {
            "schema": SCHEMA,
            "given": data.user_checkpoint.sha256(cell.fold),
            "pixels": pixels,
            "backbone": cell.backbone,
        }
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
    """Hash all that defines a cell's numbers; paths, host, device and number of workers are not among it."""
    method = build_method(cell.runs, plugins)
    used = {*method.uses, "val", *data.task.ood}
    chosen = {}
    if data.task.attribute.grouped:
        # The external set is not known before its baseline, but follows from it, from `val` and from the rule.
        used.discard("external")
        chosen = {"pair": {**group_pair.RULE, "groups": len(data.task.attribute.names)}}
    identity = {
        "baseline": baseline_identity(cell, data),
        "task": data.task.name,
        "data": {name: data.fingerprint(name, cell.fold) for name in sorted(used)},
        **chosen,
        "ood": {
            name: [source.spec, source.dataset.version] for name, source in data.sources.items() if name != "source"
        },
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
    # Thousands of cells share a few of them, and `asdict` copies deeply.
    return dataclasses.asdict(settings)


def digest(identity: object) -> str:
    """Return the SHA-256 of the canonical JSON of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def checkpoint_file(cache_dir: Path, cell: Cell, data: TaskData) -> Path:
    """Return where the weights of the baseline of a cell stand: a name made of all that defines them."""
    return baselines_folder(cache_dir) / f"{digest(baseline_identity(cell, data))[:32]}.pt"


def describe_cell(cell: Cell, method: Method) -> Fit:
    """Return what a cell is, all parameters included."""
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
