"""Plan the runs of a command: their cells, which of these are missing, and the images that they need."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench import taskfile
from bench.api import Task
from bench.cells import store
from bench.cells.identity import BASELINE, baselines_folder, cells_folder, splits_file
from bench.data import split_manifest
from bench.data.set_lines import set_lines
from bench.data.task_data import TaskData, open_data
from bench.errors import DataError, EmptyGroup
from bench.files import check_writable, write_file
from bench.run.history import remember
from bench.run.plan import PlannedCell, cells_of, checkpoint_file, method_specs, plan, undefined
from bench.run.progress import counting
from bench.settings import Settings, of_tables

SAME_TABLES = ("source", "ood", "label", "attribute", "image_size", "channels", "crop", "protocol", "folds", "stratify")
"""Fields of a task that decide its tables and image caches. Tasks that differ only in others share them."""


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
        cells_of(settings, task)
    return tasks


def plan_runs(runs: Sequence[Settings]) -> Iterator[PlannedRun]:
    """Read the tables of each run and plan its cells; nothing is decoded or computed.

    Raises:
        UsageError, DataError: an invalid request, before any table is read.
    """
    tasks = check(runs)
    last: tuple[Settings, TaskData] | None = None
    for settings, task in zip(runs, tasks, strict=True):
        place = dataclasses.replace(of_tables(settings), task="")
        shared = last and last[0] == place and all(getattr(last[1].task, f) == getattr(task, f) for f in SAME_TABLES)
        if last and shared:
            data = dataclasses.replace(last[1], task=task)
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


def pending(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """Return the cells to compute: not done, stale or forced; and baselines whose weights these need but lack."""
    todo = [p for p in cells if p.settings.force or store.state(p.settings.results, p.cell, p.hash) != "done"]
    needed = {p.origin for p in todo}
    for planned in cells:
        lacking = planned.cell.spec == BASELINE and planned not in todo and planned.origin in needed
        if lacking and not checkpoint_file(planned.settings.cache, planned.origin).is_file():
            todo.append(planned)
    return sorted(todo, key=lambda p: p.cell.spec != BASELINE)


def prepare_runs(runs: Sequence[Settings], say: Callable[[str], None]) -> list[Prepared]:
    """Plan the runs and decode the images that their missing cells need. `say` is told what there is to do.

    A cell that several runs ask for belongs to the first of them.
    """
    prepared, earlier = list[Prepared](), Shared()
    for run in plan_runs(runs):
        settings, said = run.settings, heading(earlier.rest(run))
        for line in said:
            say(line)
        data = _decode(run)
        if data is not run.data:
            cells = plan(data, settings)
            run = run._replace(data=data, cells=cells, todo=pending(cells))
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


def _decode(run: PlannedRun) -> TaskData:
    """Decode the images that missing cells need; if some cannot be read, return the tables without them."""
    settings, data = run.settings, run.data
    runnable = [p for p in run.todo if p.error is None]
    if not runnable:
        return data
    if data.user_checkpoint is not None:
        from bench.learn.load_checkpoint import user_checkpoint_state

        # A checkpoint that does not fit the backbone is an error before images are decoded for it.
        for file in {data.user_checkpoint.file(p.cell.fold) for p in runnable}:
            user_checkpoint_state(file, runnable[0].cell.backbone)
    check_writable(cells_folder(settings.results))
    if not all(checkpoint_file(settings.cache, p.origin).is_file() for p in runnable if p.cell.spec == BASELINE):
        check_writable(baselines_folder(settings.cache))
    with counting("images") as progress:
        caches = data.caches(settings.cache, jobs=os.cpu_count() or 1, progress=progress)
    data.check_unchanged(settings.cache, caches)
    changed = data.found_unreadable(settings.cache) != data.unreadable
    return data.readable(settings.cache) if changed else data


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
    stale = [store.state_and_reason(settings.results, p.cell, p.hash) for p in todo]
    reasons = Counter(why for state, why in stale if state == "stale")
    groups, plugins = len(task.attribute.names), settings.plugins
    unsuited = undefined(method_specs(settings.methods, plugins, task), task, plugins)
    return [
        f"{task.name}{kind}  {settings.backbone or task.backbones[0]} backbone, {folds} folds, {methods} methods: "
        f"{len(cells)} cells, {len(set(cells) - set(todo))} done{f', {first} baselines first' if first else ''}",
        *(f"{n} finished cells are stale and computed again: {why}" for why, n in reasons.items()),
        *(f"left out: {spec} is not defined for {groups} groups: {why}" for spec, why in unsuited.items()),
        *(set_lines(data) if fresh else ()),
    ]


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
