"""The cells of a run, the identity of each, and the choices of `bench tune` that complete tuned cells.

<results>/tuning/cells/<task>/<backbone>/<spec>/f0-s0.json         a trial: a cell scored on the holdout of its fold
                                         <spec>@tuned/f0-s0.json   the choice, and the trials behind it
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import registry
from bench.api import Method, Recipe, Task
from bench.cells.identity import BASELINE, SCHEMA, Cell, baselines_folder, cell_file, tuning_results
from bench.cells.record import Choice, Fit, read
from bench.data import group_pair
from bench.data.sample_table import fingerprint
from bench.data.task_data import TaskData
from bench.errors import BenchError, DataInvalid, UsageError
from bench.files import read_sealed
from bench.options import identifying
from bench.running.build_methods import build_method, completed, undefined
from bench.settings import Settings, command
from bench.spec import Spec, describe, is_tuned, name_of, parse, split_specs, tuned, untuned
from bench.weights import is_file, sha256

PRETRAIN_FIELDS = (
    *(field.name for field in dataclasses.fields(Recipe) if field.name.startswith("pretrain_")),
    *("augment", "batch", "compile", "deterministic", "precision", "reduction", "threads", "weight_counts"),
)
"""Fields of a recipe that change the baseline."""
MANY = ("all", "everything")
"""What `--methods` takes for several methods."""
PRETRAIN_SPLITS = {"last": ("train",), "best_inner": ("train_inner", "val_inner"), "reference": ("train", "val")}
"""`pretrain_checkpoint` -> the split to train on and, if it chooses an epoch, the split to choose on."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell, its hash, and the run that asks for it."""

    cell: Cell
    hash: str
    settings: Settings = field(compare=False)
    origin: str = ""
    """The weights of the baseline: cells with equal ones start from the same baseline, whatever their task."""
    error: BenchError | None = field(default=None, compare=False)
    """What prevents it from running."""

    @property
    def fold(self) -> tuple[str, str, int, int]:
        """Task, backbone, seed and fold. Cells with equal ones share importances and other values."""
        return self.cell.task, self.cell.backbone, self.cell.seed, self.cell.fold


def cells_of(settings: Settings, task: Task) -> list[Cell]:
    """Return the cells that a run asks for: baselines first, then fold by fold.

    The baseline is always included; methods that are not defined on the groups of the task never are.

    Raises:
        UnknownName, UsageError: a method, parameter, backbone or fold that does not exist.
    """
    backbone = settings.backbone or task.backbones[0]
    if backbone not in task.backbones:
        raise registry.not_of_task(backbone, task, name_of(settings.task), task.backbones, settings.plugins)
    registry.backbone(backbone, task.weights, settings.plugins)
    folds = settings.folds if settings.folds is not None else range(task.folds)
    wrong = [fold for fold in folds if not 0 <= fold < task.folds]
    if wrong:
        raise UsageError(f"fold {wrong[0]}: task {task.name} has the folds 0 to {task.folds - 1}")
    methods = method_specs(settings.methods, settings.plugins, task)
    left_out = undefined(methods, task, backbone, settings.plugins)
    specs = [spec for spec in dict.fromkeys([BASELINE, *methods]) if spec not in left_out]
    # Settings of a method are neighbours, because the first of a fold computes what they share.
    every = [Cell(task.name, backbone, spec, fold, seed) for seed in settings.seeds for fold in folds for spec in specs]
    return sorted(every, key=lambda cell: cell.spec != BASELINE)


def plan(data: TaskData, settings: Settings) -> list[PlannedCell]:
    """Return the cells of a run with their hashes, in the order of `cells_of`, whose errors it raises."""
    if data.user_checkpoint is not None:
        for fold in {cell.fold for cell in cells_of(settings, data.task)}:
            data.user_checkpoint.file(fold)
    cells = []
    for cell in cells_of(settings, data.task):
        try:
            cell = with_choice(cell, data, settings)
            origin = digest(baseline_identity(cell, data))
            cells.append(PlannedCell(cell, cell_hash(cell, data, settings.plugins), settings, origin))
        except UsageError:
            raise
        except BenchError as error:
            cells.append(PlannedCell(cell, "", settings, error=error))
    return cells


def method_specs(
    text: str, plugins: Sequence[Path] = (), task: Task | None = None, *, companions: bool = True
) -> list[str]:
    """Return the canonical specs that `--methods` names: `all`, `everything`, or specs joined by commas.

    The preset of a task applies to every method that names no preset itself. With a task, `all` includes the settings
    that methods add to their defaults under its recipe, unless `companions` is false. Comparators and methods
    that need the attribute of future patients are no part of `all`, but of `everything`.

    Raises:
        UnknownName, UsageError: before anything is computed.
    """
    specs: list[str] = []
    preset = task.preset if task else "suite"
    for spec in split_specs(text):
        if spec not in MANY:
            specs.append(under(spec, preset, plugins))
            continue
        known = {name: registry.METHODS.load(name, plugins) for name in registry.METHODS.catalogue(plugins)}
        aside = (name for name, cls in known.items() if cls.needs_attribute or cls.comparator)
        names = known.keys() - (set(aside) if spec == "all" else ())
        for name in sorted(names, key=lambda name: (known[name].row, name)):
            beside = build_method(name, plugins).companions(task.recipe) if task and companions else ()
            specs += [under(one, preset, plugins) for one in (name, *(f"{name}:{setting}" for setting in beside))]
    if not specs:
        raise UsageError("--methods: name at least one method, or all")
    return list(dict.fromkeys(specs))


def under(spec: str, preset: str, plugins: Sequence[Path] = ()) -> str:
    """Return the canonical spec of a method under a preset, which sets the parameters that the spec leaves open.

    A preset in the spec wins, and a method without this preset keeps its defaults.

    Raises:
        UnknownName, UsageError: as `Registry.build`.
    """
    given = parse(spec)
    text, left_open = completed(spec, plugins) if given.tuned else (spec, [])
    options = dict(parse(text).options)
    if preset in registry.METHODS.load(given.name, plugins).presets:
        options = {"preset": preset, **options}
    found = describe(given.name, registry.METHODS.build(str(Spec(given.name, options)), plugins))
    if not given.tuned:
        return found
    whole = parse(found)
    return tuned(str(Spec(whole.name, {k: v for k, v in whole.options.items() if k not in left_open})))


@cache
def within(spec: str, preset: str, plugins: tuple[Path, ...] = ()) -> str:
    """Return the spec of a method relative to a preset, the inverse of `under`: `swift` for what that makes of it.

    A method that is not known any more keeps its spec.
    """
    if preset == "suite":
        return spec
    name = name_of(spec)
    try:
        method = registry.METHODS.build(untuned(spec), plugins)
        usual = registry.METHODS.build(under(name, preset, plugins), plugins)
    except BenchError:
        return spec
    values, usually = dataclasses.asdict(method), dataclasses.asdict(usual)
    options = {key: str(value) for key, value in values.items() if value != usually[key]}
    for key in tuple(options):
        fewer = {other: text for other, text in options.items() if other != key}
        # A parameter of the preset that does not go together with the others is left out without being named.
        with contextlib.suppress(UsageError):
            if registry.METHODS.build(under(str(Spec(name, fewer)), preset, plugins), plugins) == method:
                options = fewer
    return str(Spec(name, options, is_tuned(spec)))


def preset_of(task: str) -> str:
    """Return the preset in the name of a task."""
    return parse(task).options.get("preset", "suite")


def baseline_identity(cell: Cell, data: TaskData) -> dict[str, Any]:
    """Return all that defines a baseline: training images, pixels, network, pre-training, fold and seed.

    Tasks with equal identities share the baseline; the attribute is no part of it, and neither is which of several
    findings a task asks about. A user's checkpoint is identified
    by its file.
    """
    data = data.joint
    task, source = data.task, data.sources["source"]
    pixels = [task.image_size, task.channels, task.crop]
    several = {"labels": list(task.labels)} if task.labels else {}
    if data.user_checkpoint is not None:
        given = data.user_checkpoint.sha256(cell.fold)
        stated = {name: value for name, value in dataclasses.asdict(task.baseline).items() if value}
        identity = {"schema": SCHEMA, "given": given, "pixels": pixels, "backbone": _network(cell, data)[0]}
        return {**identity, **several, **({"preprocessing": stated} if stated else {})}
    if data.combinations is not None:
        several["combinations"] = np.nan_to_num(data.combinations, nan=-1).astype(int).tolist()
    recipe = _fields(task.recipe)
    return {
        **several,
        "schema": SCHEMA,
        "train": [
            data.fingerprint(name, cell.fold, groups=False) for name in PRETRAIN_SPLITS[task.recipe.pretrain_checkpoint]
        ],
        "source": [source.spec, source.dataset.version],
        "pixels": pixels,
        "backbone": _network(cell, data)[0],
        "weights": _network(cell, data)[1],
        "recipe": {name: recipe[name] for name in PRETRAIN_FIELDS if name in recipe},
        "fold": cell.fold,
        "seed": cell.seed,
    }


def _network(cell: Cell, data: TaskData) -> tuple[Any, str]:
    """Return what identifies the backbone of a cell and its initial weights; a file counts by its content."""
    found = data.network_of(cell.backbone)
    weights = sha256(Path(found.weights).absolute()) if is_file(found.weights) else found.weights
    spec = describe(name_of(cell.backbone), dataclasses.replace(found, weights="task"))
    versions = {"version": found.version, "prepares": found.prepares}
    return (spec if versions == {"version": 1, "prepares": 0} else {"spec": spec, **versions}), weights


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
    return identifying(settings)


def digest(identity: object) -> str:
    """Return the SHA-256 of the canonical JSON of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def checkpoint_file(cache_dir: Path, origin: str) -> Path:
    """Return the file of the weights of a baseline; `origin` is that of a planned cell."""
    return baselines_folder(cache_dir) / f"{origin[:32]}.pt"


def has_weights(planned: PlannedCell, *, verify: bool = False) -> bool:
    """Return whether the weights of the baseline of a cell's fold exist; with `verify`, whether they are whole."""
    file = checkpoint_file(planned.settings.cache, planned.origin)
    return read_sealed(file) is not None if verify else file.is_file()


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
        needs_attribute=method.needs_attribute,
        comparator=method.comparator,
        auc_says=method.auc_says,
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
        "recipe": _fields(data.task.recipe),
        "version": method.version,
        "parameters": identifying(method),
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
    methods = within(plain, data.task.preset, settings.plugins)
    again = f"run `{command('tune', dataclasses.replace(settings, methods=methods))}`"
    try:
        choice = read(choice_file(settings, cell), Choice)
    except DataInvalid:
        raise BenchError(f"nothing has been chosen {where}: {again}") from None
    if choice.identity != choice_identity(cell, data, settings.plugins):
        raise BenchError(f"the choice {where} is stale: {again} again")
    return dataclasses.replace(cell, choice=msgspec.json.encode(choice).decode())
