"""Plan the runs of a command: their cells, which of these are missing, and the images that they need."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench import taskfile
from bench.api import Preprocessing, Task
from bench.cells import store
from bench.cells.further_groups import groups_of, write_groups
from bench.cells.identity import (
    BASELINE,
    baselines_folder,
    cell_file,
    cells_folder,
    groups_file,
    splits_file,
    weights_file,
)
from bench.cells.rescore import rescore
from bench.data import split_manifest
from bench.data.set_lines import finding_lines, set_lines
from bench.data.task_data import TaskData, open_data
from bench.errors import BenchError, DataError, EmptyGroup, UsageError, number_of
from bench.files import check_writable, write_file
from bench.models.as_baseline import check_baseline, is_model
from bench.running.history import refuse_namesake, remember
from bench.running.plan import (
    PlannedCell,
    cells_of,
    has_weights,
    method_specs,
    plan,
    preset_of,
    undefined,
)
from bench.running.progress import counting
from bench.settings import Settings, of_tables
from bench.weights import is_file

SAME_TABLES = (
    *("source", "ood", "labels", "attribute", "also", "unit", "image_size", "channels", "crop"),
    *("protocol", "folds", "stratify"),
)
"""Fields of a task that decide, beside a label, its tables and image caches. Tasks that differ only in others share
them, and so do the findings of one task."""


@dataclass(frozen=True)
class Prepared:
    """A run whose cells are planned and whose images are decoded. Its tables are not kept: a command may have many."""

    settings: Settings
    task: Task
    cells: tuple[PlannedCell, ...]
    todo: tuple[PlannedCell, ...]
    """The cells to compute, baselines first; those with an error cannot run."""
    unreadable: tuple[str, ...]
    """A paragraph for each set with unreadable images, which the run leaves out."""
    warnings: tuple[str, ...]


class PlannedRun(NamedTuple):
    """A run with its tables and its cells. `fresh` tells whether the tables are others than those of the run before."""

    settings: Settings
    data: TaskData
    cells: list[PlannedCell]
    todo: list[PlannedCell]
    """The cells to compute, baselines first."""
    fresh: bool


@dataclass
class Shared:
    """The cells of the runs of a command so far, each of which belongs to the first run that asks for it."""

    cells: set[PlannedCell] = dataclasses.field(default_factory=set)
    todo: set[PlannedCell] = dataclasses.field(default_factory=set)

    def rest(self, run: PlannedRun) -> PlannedRun:
        """Return a run without the cells of earlier runs. A baseline whose weights only this run needs is to do."""
        cells = [p for p in run.cells if p not in self.cells]
        return run._replace(cells=cells, todo=[p for p in run.todo if p not in self.todo])

    def add(self, run: PlannedRun) -> None:
        """Record the cells of a run."""
        self.cells.update(run.cells)
        self.todo.update(run.todo)


def check(runs: Sequence[Settings]) -> list[Task]:
    """Return the task of each run.

    Raises:
        UsageError, UnknownName: an invalid request, whatever the data.
    """
    tasks = [taskfile.resolve(settings.task) for settings in runs]
    for settings, task in zip(runs, tasks, strict=True):
        if task.preset != preset_of(task.name):  # reports read the preset from the names of cells
            hint = f"delete it from the file, and give --task FILE.toml:preset={task.preset}"
            raise UsageError(f"{settings.task}: a preset is not a key of a task file: {hint}")
        cells_of(settings, task)
        refuse_namesake(settings, task)
    return tasks


def plan_runs(runs: Sequence[Settings]) -> Iterator[PlannedRun]:
    """Read the tables of each run and plan its cells; nothing is decoded or computed.

    Raises:
        UsageError, DataError: an invalid request, before any table is read.
    """
    tasks = check(runs)
    last: tuple[Settings, TaskData] | None = None
    for settings, task in zip(runs, tasks, strict=True):
        place = dataclasses.replace(of_tables(settings), task="", backbone=None)
        shared = last and last[0] == place and all(getattr(last[1].task, f) == getattr(task, f) for f in SAME_TABLES)
        if last and shared and (task.labels or last[1].task.label == task.label):
            data = dataclasses.replace(last[1], task=task, backbone=settings.backbone or "")
            data = data.for_finding(task) if task.labels else data
        else:
            with counting("checksums", "files") as progress:
                data = open_data(settings, progress=progress)
        last = place, data
        cells = plan(data, settings)
        yield PlannedRun(settings, data, cells, pending(cells), not shared)


def plan_run(settings: Settings) -> tuple[TaskData, list[PlannedCell]]:
    """Return the tables and cells of one run; raises as `plan_runs`."""
    run = next(plan_runs([settings]))
    return run.data, run.cells


def pending(cells: Sequence[PlannedCell], *, verify: bool = False) -> list[PlannedCell]:
    """Return the cells to compute: not done, stale or forced; and baselines whose weights these need but lack."""
    todo = [
        p for p in cells if p.settings.force or store.state(p.settings.results, p.cell, p.hash, verify=verify) != "done"
    ]
    needed = {p.origin for p in todo}
    for planned in cells:
        lacking = planned.cell.spec == BASELINE and planned not in todo and planned.origin in needed
        if lacking and not has_weights(planned, verify=verify):
            todo.append(planned)
    return sorted(todo, key=lambda p: p.cell.spec != BASELINE)


def prepare_runs(runs: Sequence[Settings], say: Callable[[str], None]) -> list[Prepared]:
    """Plan the runs and decode the images that their missing cells need. `say` is told what there is to do.

    A cell that several runs ask for belongs to the first of them.
    """
    prepared, earlier = list[Prepared](), Shared()
    for run in plan_runs(runs):
        todo = pending(run.cells, verify=True)
        if healed := sum(map(_rescored, todo)):
            say(f"{number_of(healed, 'damaged or missing file')} of scores made again from the predictions")
            todo = pending(run.cells, verify=True)
        run = run._replace(todo=todo)
        settings, said = run.settings, heading(earlier.rest(run))
        for line in said:
            say(line)
        check_files(run)
        data = _decode(run)
        if data is not run.data:
            cells = plan(data, settings)
            run = run._replace(data=data, cells=cells, todo=pending(cells, verify=True))
            for line in heading(earlier.rest(run)):
                if line not in said:
                    say(line)
        own = earlier.rest(run)
        earlier.add(run)
        one = Prepared(
            settings=settings,
            task=data.task,
            cells=tuple(own.cells),
            todo=tuple(own.todo),
            unreadable=tuple(data.left_out(settings.cache)),
            warnings=(*data.few_levels(settings.cache), *_repeats(data, run.cells)),
        )
        _begin(data, settings, remembered=bool(run.todo))
        prepared.append(one)
    return prepared


def check_files(run: PlannedRun) -> None:
    """Print what is assumed of a person's own model, and refuse weights and networks that cannot be trained.

    Raises:
        DataError: a file of weights is not of the network; no image is decoded then.
        UsageError: a network does not map images of this size to vectors of its width.
    """
    folds = {planned.cell.fold for planned in run.todo if planned.error is None}
    size, networks = run.data.task.image_size, {}
    for spec in dict.fromkeys(planned.cell.backbone for planned in run.todo):
        networks[spec] = network = run.data.network_of(spec)
        # Those of torchvision are known, and torch is left to workers.
        if network.lacks is None or not type(network).__module__.startswith("bench.backbones."):
            from bench.learn.network import check_pooled

            check_pooled(spec, network, size)
    if run.settings.baseline:
        if folds:
            _check_given(run.data, folds)
        return
    if folds and run.data.task.baseline != Preprocessing():
        print("[baseline] of the task is not read: there is no --baseline", file=sys.stderr)
    for network in networks.values():
        if is_file(network.weights):
            from bench.learn.network import build_net

            build_net(network, size=size)


def _rescored(planned: PlannedCell) -> bool:
    """Return whether of a cell only the scores were damaged, which are then made again from its predictions."""
    settings, cell = planned.settings, planned.cell
    why = store.state_and_reason(settings.results, cell, planned.hash, verify=True)[1]
    if settings.force or not why.startswith("its scores"):
        return False
    with contextlib.suppress(BenchError):
        return rescore(cell_file(settings.results, cell), lambda task: settings)
    return False


def _decode(run: PlannedRun) -> TaskData:
    """Decode the images that missing cells need; if some cannot be read, return the tables without them."""
    settings, data = run.settings, run.data
    runnable = [p for p in run.todo if p.error is None]
    if not runnable:
        return data
    check_writable(cells_folder(settings.results))
    if not all(has_weights(p) for p in runnable if p.cell.spec == BASELINE):
        check_writable(baselines_folder(settings.cache))
    with counting("images") as progress:
        caches = data.caches(settings.cache, jobs=os.cpu_count() or 1, progress=progress)
    data.check_unchanged(settings.cache, caches)
    changed = data.found_unreadable(settings.cache) != data.unreadable
    return data.readable(settings.cache) if changed else data


def _check_given(data: TaskData, folds: set[int]) -> None:
    """Print what is assumed of a user's checkpoint, and which of its tensors are left out.

    Raises:
        DataError: it does not fit the backbone. No image is decoded for it then.
    """
    from bench.learn.load_checkpoint import user_checkpoint_state

    given, told = data.user_checkpoint, dict[str, None]()
    assert given is not None
    files = sorted({given.file(fold) for fold in folds})
    told |= {check_baseline(file, data.task, data.input): None for file in files if is_model(file)}
    for file in files:
        how = {"size": data.task.image_size, "outputs": data.task.outputs}
        left_out = user_checkpoint_state(file, data.network, **how).left_out
        if left_out:
            told[f"--baseline {given.path.name}: left out, as of a loss or a metric: {', '.join(left_out)}"] = None
    stated = data.task.baseline
    unsaid = [name for name in ("mean", "std", "range", "resize") if not getattr(stated, name)]
    if unsaid and not all(map(is_model, files)):
        told[
            f"--baseline {given.path.name}: its images are taken to be {data.input}; [baseline] in the task states "
            f"otherwise ({', '.join(unsaid)})"
        ] = None
    for line in told:
        print(line, file=sys.stderr)


def heading(run: PlannedRun) -> list[str]:
    """Return how much a run has to do, how many results are stale, what it leaves out, and lines on fresh tables.

    There are none for a run without cells of its own.
    """
    settings, data, cells, todo, fresh = run
    task = data.task
    if not cells and not todo:
        return []
    folds, methods = len({p.cell.fold for p in cells}), len({p.cell.spec for p in cells})
    first, kind = sum(p.cell.spec == BASELINE for p in todo), "  SYNTHETIC" if data.synthetic else ""
    stale = [store.state_and_reason(settings.results, p.cell, p.hash, verify=True) for p in todo]
    reasons = Counter(why for state, why in stale if state == "stale")
    baselines = f", {number_of(first, 'baseline')} first" if first else ""
    network = settings.backbone or task.backbones[0]
    unsuited = undefined(method_specs(settings.methods, settings.plugins, task), task, network, settings.plugins)
    return [
        f"{task.name}{kind}  {network} backbone, {number_of(folds, 'fold')}, {number_of(methods, 'method')}: "
        f"{number_of(len(cells), 'cell')}, {len(set(cells) - set(todo))} done{baselines}",
        *(f"{number_of(n, 'stale cell')} computed again: {why}" for why, n in reasons.items()),
        *_without_weights(run),
        *(f"left out: {spec} is not defined for {on}: {why}" for spec, (on, why) in unsuited.items()),
        *(set_lines(data) if fresh else ()),
        *finding_lines(data),
    ]


def _without_weights(run: PlannedRun) -> list[str]:
    """Return how many finished cells have no weights although this run keeps them."""
    settings, done = run.settings, [p for p in run.cells if p not in run.todo]
    lacking = sum(not weights_file(settings.results, p.cell).is_file() for p in done) if settings.keep_models else 0
    if not lacking:
        return []
    return [f"{lacking} finished cells have no weights: `bench model` computes them again; --force computes all anew"]


def _begin(data: TaskData, settings: Settings, *, remembered: bool) -> None:
    """Clean up after killed processes, and store the splits and the request beside the results."""
    store.clear_temporaries(settings.results, data.task.name, settings.cache)
    if settings.selecting:
        return
    file, cut = splits_file(settings.results, data.task.name), data.cut()
    try:
        same = split_manifest.sha256(split_manifest.read(file, data.task)) == split_manifest.sha256(cut)
    except DataError:
        same = False
    if not same:
        write_file(file, split_manifest.manifest(data.task, cut))
    if data.task.also or data.task.unit_column:
        write_groups(groups_file(settings.results, data.task.name), groups_of(data.tables, data.task), data.task)
    if remembered:
        remember(settings, data.task.name)


def _repeats(data: TaskData, cells: Sequence[PlannedCell]) -> list[str]:
    """Return a warning if the external set of a fold contains images repeatedly."""
    repeats = []
    for fold in sorted({p.cell.fold for p in cells}):
        # A fold that cannot be balanced fails with its own message.
        with contextlib.suppress(EmptyGroup):
            repeats.append(data.repeats(fold))
    if not any(repeats):
        return []
    why = "the larger group has fewer images of a class than the smaller one"
    if data.task.balance == "reference":
        why = "the larger group is drawn with replacement"
    return [f"external set: up to {max(repeats)} images per fold are repeats, because {why}"]
