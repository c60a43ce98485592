"""A whole run: plan, skip what is done, prepare the images, compute the rest or hand it to a queue."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import taskfile
from bench.cells import store
from bench.cells.identity import BASELINE, baselines_folder, cells_folder, splits_file
from bench.data import split_manifest
from bench.data.task_data import TaskData, open_data
from bench.errors import DataError, EmptyGroup, NotWritten
from bench.files import check_writable, replacing
from bench.run import launchers
from bench.run.attempt import Event, describe_error, save_failure
from bench.run.cell_states import cell_statuses
from bench.run.history import remember
from bench.run.plan import PlannedCell, check_backbone, checkpoint_file, method_specs, plan, undefined
from bench.run.progress import counting, watching
from bench.run.tuned_choice import with_choice
from bench.settings import Settings, command


@dataclass
class Outcome:
    """What a run did. `recomputed` cells were done before and had to be made again (stale or forced)."""

    planned: int = 0
    done_before: int = 0
    computed: int = 0
    recomputed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Cell -> one line on what went wrong and where the traceback is."""
    blocked: dict[str, int] = field(default_factory=dict)
    """Why cells were not started -> how many."""
    warnings: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """One paragraph for each set with images that cannot be read; all was computed without them."""


def at_a_time(settings: Settings, threads: int) -> int:
    """Return how many cells run at a time, each on so many threads: never more threads than cores."""
    cores = max(1, (os.cpu_count() or 1) // threads)
    most = len(settings.gpus) * (settings.per_gpu or 1) if settings.gpus else cores
    wanted = settings.jobs or most
    if settings.gpus and settings.per_gpu:
        wanted = min(wanted, most)
    if wanted > cores:
        threaded = f"{threads} thread{'s' if threads > 1 else ''}"
        asked = f"--jobs {wanted}" if settings.jobs else f"{wanted} cells on {len(settings.gpus)} GPUs"
        print(f"{asked}: {cores}, for each cell has {threaded} of its own", file=sys.stderr)
    return min(wanted, cores)


def plan_run(settings: Settings) -> tuple[TaskData, list[PlannedCell]]:
    """Read the tables of the task and return them with all cells of the run; nothing is decoded or computed.

    Raises:
        UsageError, DataError: for anything wrong in what was asked for, before anything is computed.
    """
    task = taskfile.resolve(settings.task)
    specs = method_specs(settings.methods, settings.plugins, task.recipe)
    backbone = check_backbone(task, settings.backbone)
    data = open_data(settings)
    folds = settings.folds if settings.folds is not None else tuple(range(task.folds))
    if data.user_checkpoint is not None:
        for fold in folds:
            data.user_checkpoint.file(fold)
    complete = partial(with_choice, data=data, settings=settings)
    return data, plan(
        data, specs, backbone=backbone, folds=folds, seeds=settings.seeds, plugins=settings.plugins, complete=complete
    )


def pending(cells: Sequence[PlannedCell], data: TaskData, settings: Settings) -> list[PlannedCell]:
    """Return the cells to compute: not done, or stale, or forced; and the baselines whose weights they lack."""
    todo = [p for p in cells if settings.force or store.state(settings.results, p.cell, p.hash) != "done"]
    needed = {(p.cell.fold, p.cell.seed) for p in todo}
    for planned in cells:
        cell = planned.cell
        lacking = cell.spec == BASELINE and planned not in todo and (cell.fold, cell.seed) in needed
        if lacking and not checkpoint_file(settings.cache, cell, data).is_file():
            todo.append(planned)
    return sorted(todo, key=lambda p: p.cell.spec != BASELINE)


def prepare(settings: Settings, *, again: bool = True) -> tuple[TaskData, list[PlannedCell], list[PlannedCell]]:
    """Return tables, cells and cells to compute, and decode the images that these need.

    Where some of them turn out to be unreadable, all is planned `again` without them.
    """
    data, cells = plan_run(settings)
    todo = pending(cells, data, settings)
    print(heading(data, cells, todo), file=sys.stderr)
    runnable = [p for p in todo if p.error is None]
    if runnable:
        _check_given(data, runnable)
        check_writable(cells_folder(settings.results))
        baselines = [checkpoint_file(settings.cache, p.cell, data) for p in runnable if p.cell.spec == BASELINE]
        if not all(file.is_file() for file in baselines):
            check_writable(baselines_folder(settings.cache))
        with counting("images") as progress:
            data.caches(settings.cache, jobs=os.cpu_count() or 1, progress=progress)
        if again and data.found_unreadable(settings.cache) != data.unreadable:
            return prepare(settings, again=False)
    return data, cells, todo


def _check_given(data: TaskData, cells: Sequence[PlannedCell]) -> None:
    """Raise DataError for a baseline of the user's that does not fit, before images are decoded for it."""
    if data.user_checkpoint is not None:
        from bench.learn.load_checkpoint import user_checkpoint_state

        for file in {data.user_checkpoint.file(p.cell.fold) for p in cells}:
            user_checkpoint_state(file, cells[0].cell.backbone)


def _begin(data: TaskData, settings: Settings, *, remembered: bool) -> None:
    """Clear up after killed processes, and store beside the results how they are split and what was asked for."""
    store.clear_temporaries(settings.results, data.task.name, settings.cache)
    if not settings.selecting:
        store_splits(data, settings.results)
        if remembered:
            remember(settings, data.task.name)


def run_task(settings: Settings) -> Outcome:
    """Compute what is missing of a run and return what was done; a failed cell stops no other.

    Raises:
        UsageError, DataError: before anything is computed.
        NotWritten: where results or cache cannot be written any more.
    """
    data, cells, todo = prepare(settings)
    _begin(data, settings, remembered=bool(todo))
    was_done = {p for p in todo if store.cell_file(settings.results, p.cell).is_file()}
    done, unreadable = len(cells) - len(todo), data.left_out(settings.cache)
    outcome = Outcome(planned=len(cells), done_before=done, unreadable=unreadable)

    def on_event(event: Event) -> None:
        cell = event.planned.cell
        if event.kind == "done" and event.record is None:
            outcome.done_before += 1  # by another run, meanwhile
        elif event.kind == "done":
            outcome.computed += 1
            outcome.recomputed += event.planned in was_done
            outcome.warnings += [
                w for w in (event.record.warnings if event.record else ()) if w not in outcome.warnings
            ]
        elif event.kind == "blocked":
            outcome.blocked[event.text] = outcome.blocked.get(event.text, 0) + 1
        elif event.kind == "failed" and event.error is not None:
            if event.error.name == NotWritten.__name__:
                raise NotWritten(event.error.message)
            file = store.failure_file(settings.results, cell)
            line = event.error.message.partition("\n")[0]
            outcome.failures[str(cell)] = f"{event.error.name}: {line} (traceback in {file})"

    runnable = [p for p in todo if p.error is None]
    _say_undefined(data, settings)
    outcome.warnings += _repeats(data, cells)
    for planned in todo:
        if planned.error is not None:
            error = describe_error(planned.error)
            save_failure(planned, settings, error)
            on_event(Event("failed", planned, error=error))
    if runnable:
        jobs = at_a_time(settings, data.task.recipe.threads)
        baselines = sum(p.cell.spec == BASELINE for p in runnable)
        work = launchers.Work(data.task.name, tuple(runnable), settings, jobs)
        with watching(baselines, len(runnable) - baselines, jobs) as watcher:

            def both(event: Event) -> None:
                on_event(event)
                watcher(event)

            try:
                launchers.chosen(settings).submit(work, both)
            finally:
                # Workers that were stopped in the middle of a cell clear nothing up themselves.
                store.clear_temporaries(settings.results, data.task.name, settings.cache)
    return outcome


def store_splits(data: TaskData, results: Path) -> Path:
    """Write the split manifest of a run beside its results, unless it stands there; return its file."""
    file, cut = splits_file(results, data.task.name), data.cut()
    try:
        same = split_manifest.sha256(split_manifest.read(file, data.task)) == split_manifest.sha256(cut)
    except DataError:
        same = False
    if not same:
        with replacing(file) as temporary:
            temporary.write_text(split_manifest.manifest(data.task, cut), encoding="utf-8", newline="\n")
    return file


def heading(data: TaskData, cells: Sequence[PlannedCell], todo: Sequence[PlannedCell]) -> str:
    """Return one line on what a run has before it."""
    cell, folds = cells[0].cell, len({p.cell.fold for p in cells})
    methods, first = len({p.cell.spec for p in cells}), sum(p.cell.spec == BASELINE for p in todo)
    kind = "  SYNTHETIC" if data.synthetic else ""
    return (
        f"{data.task.name}{kind}  {cell.backbone} backbone, {folds} folds, {methods} methods: "
        f"{len(cells)} cells, {len(cells) - len(todo)} done{f', {first} baselines first' if first else ''}"
    )


def _say_undefined(data: TaskData, settings: Settings) -> None:
    groups = len(data.task.attribute.names)
    for spec, why in undefined(method_specs(settings.methods, settings.plugins), data.task, settings.plugins).items():
        print(f"left out: {spec} is not defined on {groups} groups: {why}", file=sys.stderr)


def _repeats(data: TaskData, cells: Sequence[PlannedCell]) -> list[str]:
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


def print_plan(settings: Settings) -> int:
    """Print every cell and how it stands."""
    data, cells = plan_run(settings)
    _say_undefined(data, settings)
    for text in data.left_out(settings.cache):
        print(f"left out: {text}", file=sys.stderr)
    for planned in cells:
        how, why = store.state_and_reason(settings.results, planned.cell, planned.hash)
        how = "cannot run" if planned.error else how
        print(f"{how:<10} {planned.cell}" + (f"  {why}" if how == "stale" else ""))
    return 0


def print_run(settings: Settings) -> int:
    """Run, say on stderr what happens and on stdout what was done; return the exit code."""
    outcome = run_task(settings)
    code = tell(outcome)
    parts = [f"{outcome.done_before + outcome.computed} of {outcome.planned} cells done"]
    parts += [f"{len(outcome.failures)} failed"] if outcome.failures else []
    parts += [f"{sum(outcome.blocked.values())} not started"] if outcome.blocked else []
    parts += [f"{outcome.computed} computed", f"{outcome.recomputed} recomputed"]
    print(f"{', '.join(parts)}. `{command('report', settings)}` makes the tables.")
    return code


def tell(outcome: Outcome) -> int:
    """Print what was left out, warnings and failures on stderr; return the exit code."""
    for text in outcome.unreadable:
        print(f"left out: {text}", file=sys.stderr)
    for text in outcome.warnings:
        print(f"warning: {text}", file=sys.stderr)
    for cell, why in outcome.failures.items():
        print(f"failed: {cell}: {why}", file=sys.stderr)
    for why, number in outcome.blocked.items():
        print(f"not started: {number} of the cells, {why}; the same command tries again", file=sys.stderr)
    return 1 if outcome.failures or outcome.blocked or outcome.unreadable else 0


def start_run(settings: Settings) -> int:
    """Compute what is missing of a run, or submit it; or print what would be. Return the exit code.

    Raises:
        UnknownName, UsageError: a launcher, an option or a combination that does not exist; before anything is planned.
    """
    launcher = launchers.chosen(settings)
    if settings.dry_run and not launcher.queues:
        return print_plan(settings)
    settings = launcher.accept(settings)
    return _submit(settings, launcher) if launcher.queues else print_run(settings)


def _submit(settings: Settings, launcher: launchers.Launcher) -> int:
    """Submit what is missing of a run and is not in a queue; or print what would be. Return the exit code."""
    if settings.dry_run:
        data, cells = plan_run(settings)
        todo = pending(cells, data, settings)
        print(heading(data, cells, todo), file=sys.stderr)
    else:
        data, cells, todo = prepare(settings)
        _begin(data, settings, remembered=True)
    for planned in todo:
        if planned.error is not None:
            print(f"cannot run: {planned.cell}: {planned.error}", file=sys.stderr)
    runnable = [p for p in todo if p.error is None]
    queued = launchers.queued(settings.results, data.task.name, settings.plugins)
    now = cell_statuses(runnable, settings.results, queued)
    waiting = {cell for cell, job in queued.items() if job.state != "gone"}
    left = tuple(p for p in runnable if now[p.cell].state != "running" and str(p.cell) not in waiting)
    under_way = len(runnable) - len(left)
    work = launchers.Work(data.task.name, left, settings, queued=queued)
    if settings.dry_run:
        for line in launcher.preview(work):
            print(line)
        if under_way:
            print(f"{under_way} cells are in the queue or running already")
        return 0
    taken = launcher.submit(work, lambda event: None)
    assert taken is not None, "a launcher with a queue says how many cells it took"
    parts = [f"{len(cells) - len(todo)} of {len(cells)} cells done", f"{taken.cells} submitted in {taken.where}"]
    parts += [f"{under_way} in the queue or running before"] if under_way else []
    parts += [f"{len(left) - taken.cells} left for later: {taken.why}"] if len(left) > taken.cells else []
    print(f"{', '.join(parts)}. `{command('status', settings)}` shows how they stand, the same command resumes.")
    return 1 if len(runnable) < len(todo) else 0
