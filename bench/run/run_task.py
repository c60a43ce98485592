"""`bench run`: plan the cells of a task, prepare the images, and compute what is missing or submit it to a queue."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import taskfile
from bench.cells import store
from bench.cells.identity import BASELINE, baselines_folder, cell_file, cells_folder, failure_file, splits_file
from bench.data import split_manifest
from bench.data.set_lines import set_lines
from bench.data.task_data import TaskData, open_data
from bench.errors import DataError, EmptyGroup, NotWritten, UnknownName
from bench.files import check_writable, write_file
from bench.run import launchers
from bench.run.attempt import Event, describe_error, save_failure
from bench.run.cell_states import cell_statuses
from bench.run.history import remember
from bench.run.plan import PlannedCell, checkpoint_file, method_specs, plan, undefined, with_choice
from bench.run.progress import counting, watching
from bench.settings import Settings, command


@dataclass
class Outcome:
    """The outcome of a run, counted from its events."""

    results: Path
    planned: int
    done_before: int
    stored: frozenset[PlannedCell]
    """Cells to compute that have a result, which is stale or to be replaced (`--force`)."""
    unreadable: list[str]
    """A paragraph for each set with unreadable images, which the run leaves out."""
    warnings: list[str]
    computed: int = 0
    recomputed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Cell -> one line with the error and the file of its traceback."""
    blocked: Counter[str] = field(default_factory=Counter)
    """Reason -> the number of cells that were not started."""

    def hear(self, event: Event) -> None:
        """Count an event."""
        if event.kind == "done" and event.record is None:
            self.done_before += 1  # another run computed it in the meantime
        elif event.kind == "done" and event.record is not None:
            self.computed += 1
            self.recomputed += event.planned in self.stored
            self.warnings += [text for text in event.record.warnings if text not in self.warnings]
        elif event.kind == "blocked":
            self.blocked[event.text] += 1
        elif event.kind == "failed" and event.error is not None:
            if event.error.name == NotWritten.__name__:
                raise NotWritten(event.error.message)
            file, line = failure_file(self.results, event.planned.cell), event.error.message.partition("\n")[0]
            self.failures[str(event.planned.cell)] = f"{event.error.name}: {line} (traceback in {file})"

    def tell(self) -> int:
        """Print warnings, failures and what was left out on stderr; return the exit code."""
        lines = [f"left out: {text}" for text in self.unreadable]
        lines += [f"warning: {text}" for text in self.warnings]
        lines += [f"failed: {cell}: {why}" for cell, why in self.failures.items()]
        for why, number in self.blocked.items():
            lines.append(f"not started: {number} cell{'s' * (number > 1)}, {why}; run the same command again to retry")
        for line in lines:
            print(line, file=sys.stderr)
        return 1 if self.failures or self.blocked or self.unreadable else 0


def at_a_time(settings: Settings, threads: int) -> int:
    """Return the number of cells that run at a time, so that all their `threads` fit on the cores."""
    cores = max(1, (os.cpu_count() or 1) // threads)
    most = len(settings.gpus) * (settings.per_gpu or 1) if settings.gpus else cores
    wanted = settings.jobs or most
    if settings.gpus and settings.per_gpu:
        wanted = min(wanted, most)
    if wanted > cores:
        asked = f"--jobs {wanted}" if settings.jobs else f"{wanted} cells on {len(settings.gpus)} GPUs"
        used = f"{threads} thread{'s' if threads > 1 else ''}"
        print(f"{asked}: reduced to {cores} at a time, because each cell uses {used}", file=sys.stderr)
    return min(wanted, cores)


def plan_run(settings: Settings) -> tuple[TaskData, list[PlannedCell]]:
    """Read the tables of the task and return them with all cells of the run; nothing is decoded or computed.

    Raises:
        UsageError, DataError: an invalid request, before anything is computed.
    """
    task = taskfile.resolve(settings.task)
    specs = method_specs(settings.methods, settings.plugins, task.recipe)
    backbone = settings.backbone or task.backbones[0]
    if backbone not in task.backbones:
        raise UnknownName("backbone", backbone, task.backbones, where=f" of task {task.name}")
    with counting("checksums", "files") as progress:
        data = open_data(settings, progress=progress)
    folds = settings.folds if settings.folds is not None else tuple(range(task.folds))
    if data.user_checkpoint is not None:
        for fold in folds:
            data.user_checkpoint.file(fold)
    complete = partial(with_choice, data=data, settings=settings)
    return data, plan(
        data, specs, backbone=backbone, folds=folds, seeds=settings.seeds, plugins=settings.plugins, complete=complete
    )


def pending(cells: Sequence[PlannedCell], data: TaskData, settings: Settings) -> list[PlannedCell]:
    """Return the cells to compute: not done, stale or forced; and baselines whose weights these need but lack."""
    todo = [p for p in cells if settings.force or store.state(settings.results, p.cell, p.hash) != "done"]
    needed = {p.origin for p in todo}
    for planned in cells:
        lacking = planned.cell.spec == BASELINE and planned not in todo and planned.origin in needed
        if lacking and not checkpoint_file(settings.cache, planned.cell, data).is_file():
            todo.append(planned)
    return sorted(todo, key=lambda p: p.cell.spec != BASELINE)


def prepare(settings: Settings, *, again: bool = True) -> tuple[TaskData, list[PlannedCell], list[PlannedCell]]:
    """Return tables, cells and cells to compute, and decode the images that these need.

    If some images turn out to be unreadable, everything is planned `again` without them.
    """
    data, cells = plan_run(settings)
    todo = pending(cells, data, settings)
    print(heading(data, cells, todo, settings), file=sys.stderr)
    runnable = [p for p in todo if p.error is None]
    if runnable:
        if data.user_checkpoint is not None:
            from bench.learn.load_checkpoint import user_checkpoint_state

            # A checkpoint that does not fit the backbone is an error before images are decoded for it.
            for file in {data.user_checkpoint.file(p.cell.fold) for p in runnable}:
                user_checkpoint_state(file, runnable[0].cell.backbone)
        check_writable(cells_folder(settings.results))
        baselines = [checkpoint_file(settings.cache, p.cell, data) for p in runnable if p.cell.spec == BASELINE]
        if not all(file.is_file() for file in baselines):
            check_writable(baselines_folder(settings.cache))
        with counting("images") as progress:
            caches = data.caches(settings.cache, jobs=os.cpu_count() or 1, progress=progress)
        data.check_unchanged(settings.cache, caches)
        if again and data.found_unreadable(settings.cache) != data.unreadable:
            return prepare(settings, again=False)
    return data, cells, todo


def heading(data: TaskData, cells: Sequence[PlannedCell], todo: Sequence[PlannedCell], settings: Settings) -> str:
    """Return a line that says how much a run has to do, one if results are stale, and those of the sets."""
    cell, folds = cells[0].cell, len({p.cell.fold for p in cells})
    methods, first = len({p.cell.spec for p in cells}), sum(p.cell.spec == BASELINE for p in todo)
    kind = "  SYNTHETIC" if data.synthetic else ""
    stale = [store.state_and_reason(settings.results, p.cell, p.hash) for p in todo]
    reasons = Counter(why for state, why in stale if state == "stale")
    return "\n".join(
        [
            f"{data.task.name}{kind}  {cell.backbone} backbone, {folds} folds, {methods} methods: "
            f"{len(cells)} cells, {len(cells) - len(todo)} done{f', {first} baselines first' if first else ''}",
            *(f"{n} finished cells are stale and computed again: {why}" for why, n in reasons.items()),
            *set_lines(data),
        ]
    )


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


def run_task(settings: Settings) -> Outcome:
    """Compute the missing cells of a run and return the outcome. A cell that fails does not stop the others.

    Raises:
        UsageError, DataError: before anything is computed.
        NotWritten: results or cache cannot be written any more.
    """
    data, cells, todo = prepare(settings)
    _begin(data, settings, remembered=bool(todo))
    outcome = Outcome(
        results=settings.results,
        planned=len(cells),
        done_before=len(cells) - len(todo),
        stored=frozenset(p for p in todo if cell_file(settings.results, p.cell).is_file()),
        unreadable=data.left_out(settings.cache),
        warnings=[*data.few_levels(settings.cache), *_repeats(data, cells)],
    )
    _say_undefined(data, settings)
    runnable = tuple(p for p in todo if p.error is None)
    for planned in todo:
        if planned.error is not None:
            error = describe_error(planned.error)
            save_failure(planned, settings, error)
            outcome.hear(Event("failed", planned, error=error))
    if runnable:
        jobs = at_a_time(settings, data.task.recipe.threads)
        baselines = sum(p.cell.spec == BASELINE for p in runnable)
        work = launchers.Work(data.task.name, runnable, settings, jobs)
        with watching(baselines, len(runnable) - baselines, jobs) as watcher:

            def hear(event: Event) -> None:
                outcome.hear(event)
                watcher(event)

            try:
                launchers.chosen(settings).submit(work, hear)
            finally:
                # Workers that were stopped in the middle of a cell do not clean up themselves.
                store.clear_temporaries(settings.results, data.task.name, settings.cache)
    return outcome


def _say_undefined(data: TaskData, settings: Settings) -> None:
    groups = len(data.task.attribute.names)
    for spec, why in undefined(method_specs(settings.methods, settings.plugins), data.task, settings.plugins).items():
        print(f"left out: {spec} is not defined for {groups} groups: {why}", file=sys.stderr)


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


def print_run(settings: Settings) -> int:
    """Run, report events on stderr and the outcome on stdout; return the exit code."""
    outcome = run_task(settings)
    code = outcome.tell()
    parts = [f"{outcome.done_before + outcome.computed} of {outcome.planned} cells done"]
    parts += [f"{len(outcome.failures)} failed"] if outcome.failures else []
    parts += [f"{outcome.blocked.total()} not started"] if outcome.blocked else []
    parts += [f"{outcome.computed} computed", f"{outcome.recomputed} recomputed"]
    print(f"{', '.join(parts)}. `{command('report', settings)}` makes the tables.")
    return code


def start_run(settings: Settings) -> int:
    """Compute or submit the missing cells of a run, or print the plan (`--dry-run`). Return the exit code.

    Raises:
        UnknownName, UsageError: no such launcher, option or combination; before anything is planned.
    """
    launcher = launchers.chosen(settings)
    if settings.dry_run and not launcher.queues:
        return _print_plan(settings)
    settings = launcher.accept(settings)
    return _submit(settings, launcher) if launcher.queues else print_run(settings)


def _print_plan(settings: Settings) -> int:
    """Print every cell with its state."""
    data, cells = plan_run(settings)
    print(*set_lines(data), sep="\n", file=sys.stderr)
    _say_undefined(data, settings)
    for text in data.left_out(settings.cache):
        print(f"left out: {text}", file=sys.stderr)
    for planned in cells:
        state, why = store.state_and_reason(settings.results, planned.cell, planned.hash)
        state = "cannot run" if planned.error else state
        print(f"{state:<10} {planned.cell}" + (f"  {why}" if state == "stale" else ""))
    return 0


def _submit(settings: Settings, launcher: launchers.Launcher) -> int:
    """Submit the missing cells of a run that are not in a queue, or print the plan. Return the exit code."""
    if settings.dry_run:
        data, cells = plan_run(settings)
        todo = pending(cells, data, settings)
        print(heading(data, cells, todo, settings), file=sys.stderr)
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
            print(f"{under_way} cells are already queued or running")
        return 0
    taken = launcher.submit(work, lambda event: None)
    assert taken is not None, "a launcher with a queue returns how many cells it accepted"
    parts = [f"{len(cells) - len(todo)} of {len(cells)} cells done", f"{taken.cells} submitted in {taken.where}"]
    parts += [f"{under_way} already queued or running"] if under_way else []
    parts += [f"{len(left) - taken.cells} left for later: {taken.why}"] if len(left) > taken.cells else []
    print(f"{', '.join(parts)}. `{command('status', settings)}` shows their state; run the same command to resume.")
    return 1 if len(runnable) < len(todo) else 0
