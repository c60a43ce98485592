"""`bench run`: compute the missing cells of all runs of a command in one queue, or submit them to a cluster."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.cells import store
from bench.cells.identity import BASELINE, cell_file, failure_file, runs_folder
from bench.cells.intact import other_baselines
from bench.errors import NotWritten, number_of
from bench.lease import lease
from bench.running import launchers
from bench.running.attempt import Event, describe_error, save_failure
from bench.running.bill import Bill
from bench.running.cell_states import cell_statuses
from bench.running.plan import PlannedCell, has_weights
from bench.running.progress import watching
from bench.running.run_task import Prepared, Shared, check_files, heading, plan_runs, prepare_runs
from bench.settings import Settings, command
from bench.spec import name_of
from bench.taskfile import whole_task

TURN = 1.0
"""Seconds between two looks whether another command has submitted its cells."""
SHOWN = 2
"""Reports whose commands are printed; with more tasks, the command for all of them."""


@dataclass
class Outcome:
    """The outcome of a command, counted from its events."""

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
            lines.append(f"not started: {number_of(number, 'cell')}, {why}; run the same command again to retry")
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
        asked = (
            f"--jobs {wanted}"
            if settings.jobs
            else f"{number_of(wanted, 'cell')} on {number_of(len(settings.gpus), 'GPU')}"
        )
        used = number_of(threads, "thread")
        print(f"{asked}: reduced to {cores} at a time, because each cell uses {used}", file=sys.stderr)
    return min(wanted, cores)


def compute(runs: Sequence[Settings]) -> Outcome:
    """Compute the missing cells of some runs and return the outcome. A cell that fails does not stop the others.

    The runs have one results folder, and the options of execution of the first.

    Raises:
        UsageError, DataError: before anything is computed.
        NotWritten: results or cache cannot be written any more.
    """
    settings, prepared = runs[0], prepare_runs(runs, _say)
    cells, todo = _cells(prepared), _todo(prepared)
    outcome = Outcome(
        results=settings.results,
        planned=len(cells),
        done_before=len(cells) - len(todo),
        stored=frozenset(p for p in todo if cell_file(settings.results, p.cell).is_file()),
        unreadable=list(dict.fromkeys(text for one in prepared for text in one.unreadable)),
        warnings=list(dict.fromkeys(text for one in prepared for text in one.warnings)),
    )
    for planned in todo:
        if planned.error is not None:
            error = describe_error(planned.error)
            save_failure(planned, error)
            outcome.hear(Event("failed", planned, error=error))
    runnable = tuple(p for p in todo if p.error is None)
    if runnable:
        jobs = at_a_time(settings, max(one.task.recipe.threads for one in prepared))
        waited = set[PlannedCell]()
        with watching(runnable, jobs) as watcher:

            def hear(event: Event) -> None:
                outcome.hear(event)
                watcher(event)
                if line := given_model(event):
                    _say(line)
                if event.kind == "held" and event.planned not in waited:
                    waited.add(event.planned)
                    _say(f"waiting for {event.planned.cell}, which {event.text} computes")

            try:
                launchers.chosen(settings).submit(launchers.Work(runnable, settings, jobs), hear)
            finally:
                # Workers that were stopped in the middle of a cell do not clean up themselves.
                for one in prepared:
                    store.clear_temporaries(settings.results, one.task.name, settings.cache)
    for one in prepared:
        weights = store.weights_of(settings.results, (p.cell for p in one.cells if p.error is None))
        outcome.warnings += other_baselines(weights)
    return outcome


def given_model(event: Event) -> str:
    """Return the AUC of a user's model on its own validation part, once its cell is done; else nothing."""
    auc = event.record.log.get("user_checkpoint_auc") if event.kind == "done" and event.record else None
    fold = event.planned.cell.fold
    return "" if auc is None else f"AUC of the model of --baseline on the validation part of fold {fold}: {auc:.3f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _cells(prepared: Sequence[Prepared]) -> list[PlannedCell]:
    return [p for one in prepared for p in one.cells]


def _todo(prepared: Sequence[Prepared]) -> list[PlannedCell]:
    """Return the cells to compute of all runs, baselines first."""
    return sorted((p for one in prepared for p in one.todo), key=lambda p: p.cell.spec != BASELINE)


def start(runs: Sequence[Settings], report: str = "") -> int:
    """Compute or submit the missing cells of some runs, or print the plan (`--dry-run`). Return the exit code.

    `report` is the command that makes the tables, if it is not that of each task.

    Raises:
        UnknownName, UsageError: no such launcher, option or combination; before anything is planned.
    """
    launcher = launchers.chosen(runs[0])
    if runs[0].dry_run and not launcher.queues:
        return _print_plan(runs)
    runs = [launcher.accept(settings) for settings in runs]
    return _submit(runs, launcher) if launcher.queues else compute_and_tell(runs, report)


def compute_and_tell(runs: Sequence[Settings], report: str = "") -> int:
    """Compute some runs, report events on stderr and the outcome on stdout; return the exit code."""
    outcome = compute(runs)
    code = outcome.tell()
    done = outcome.done_before + outcome.computed
    parts = [f"{done} of {number_of(outcome.planned, 'cell')} done"]
    parts += [f"{len(outcome.failures)} failed"] if outcome.failures else []
    parts += [f"{outcome.blocked.total()} not started"] if outcome.blocked else []
    parts += [f"{outcome.computed} computed", f"{outcome.recomputed} recomputed"]
    print(f"{', '.join(parts)}.{f' {_tables(runs, report)}' if done else ''}")
    return code


def _tables(runs: Sequence[Settings], report: str) -> str:
    """Return the sentence with the command of the report, or of each task's; that of a task covers many variants."""
    runs = [replace(one, task=whole_task(one.task)) for one in runs]  # findings are reported together
    reports = [f"`{report}`"] if report else list(dict.fromkeys(f"`{command('report', one)}`" for one in runs))
    if len(reports) > SHOWN:
        bases = [replace(one, task=name_of(one.task)) for one in runs]
        reports = list(dict.fromkeys(f"`{command('report', one)}`" for one in bases))
    if len(reports) > SHOWN:
        reports = [f"`{command('report', replace(runs[0], task=''), '--all')}`"]
    return f"{' and '.join(reports)} {'makes' if len(reports) == 1 else 'make'} the tables."


def _print_plan(runs: Sequence[Settings]) -> int:
    """Print every cell with its state, and what the missing ones cost."""
    cost, earlier = Bill(), Shared()
    for whole in plan_runs(runs):
        run = earlier.rest(whole)
        earlier.add(whole)
        unreadable = run.data.left_out(run.settings.cache)
        for line in (*heading(run), *(f"left out: {text}" for text in unreadable)):
            _say(line)
        check_files(run)
        for planned in run.cells:
            state, why = store.state_and_reason(run.settings.results, planned.cell, planned.hash)
            state = "cannot run" if planned.error else state
            print(f"{state:<10} {planned.cell}" + (f"  {why}" if state == "stale" else ""))
        cost.add([p for p in run.todo if p.error is None], run.data)
    print(cost.says())
    return 0


def _submit(runs: Sequence[Settings], launcher: launchers.Launcher) -> int:
    """Submit the missing cells of some runs that are not in a queue, or print the plan. Return the exit code."""
    settings = runs[0]
    if settings.dry_run:
        cells, todo, earlier = [], [], Shared()
        for whole in plan_runs(runs):
            run = earlier.rest(whole)
            earlier.add(whole)
            for line in heading(run):
                _say(line)
            check_files(run)
            cells += run.cells
            todo += run.todo
    else:
        prepared = prepare_runs(runs, _say)
        cells, todo = _cells(prepared), _todo(prepared)
    for planned in todo:
        if planned.error is not None:
            print(f"cannot run: {planned.cell}: {planned.error}", file=sys.stderr)
    if settings.dry_run:
        return _submit_rest(cells, todo, runs, launcher)
    with _in_turn(settings.results):
        return _submit_rest(cells, todo, runs, launcher)


@contextlib.contextmanager
def _in_turn(results: Path) -> Iterator[None]:
    """Wait until no other command submits cells of these results: what it submits is in the queue then."""
    told = False
    while True:
        with lease(runs_folder(results) / "submission") as other:
            if other is None:
                yield
                return
        if not told:
            told = True
            _say(f"waiting for {other}, which submits cells of these results")
        time.sleep(TURN)


def _lacking(planned: PlannedCell, state: str) -> bool:
    """Return whether a planned cell is still to be computed: another command may have done so, or may be doing it."""
    if state != "done":
        return state != "running"
    return planned.settings.force or (planned.cell.spec == BASELINE and not has_weights(planned))


def _submit_rest(
    cells: list[PlannedCell], todo: list[PlannedCell], runs: Sequence[Settings], launcher: launchers.Launcher
) -> int:
    settings = runs[0]
    runnable = [p for p in todo if p.error is None]
    queued: dict[str, launchers.Queued] = {}
    for task in dict.fromkeys(p.cell.task for p in cells):
        queued |= launchers.queued(settings.results, task, settings.plugins)
    now = cell_statuses(runnable, settings.results, queued)
    waiting = {cell for cell, job in queued.items() if job.state != "gone"}
    left = tuple(p for p in runnable if str(p.cell) not in waiting and _lacking(p, now[p.cell].state))
    under_way = len(runnable) - len(left)
    work = launchers.Work(left, settings, queued=queued)
    if settings.dry_run:
        for line in launcher.preview(work):
            print(line)
        if under_way:
            print(f"{number_of(under_way, 'cell')} already queued or running")
        return 0
    taken = launcher.submit(work, lambda event: None)
    assert taken is not None, "a launcher with a queue returns how many cells it accepted"
    parts = [
        f"{len(cells) - len(todo)} of {number_of(len(cells), 'cell')} done",
        f"{taken.cells} submitted in {taken.where}",
    ]
    parts += [f"{under_way} already queued or running"] if under_way else []
    parts += [f"{len(left) - taken.cells} left for later: {taken.why}"] if len(left) > taken.cells else []
    hint = command("status", settings if len({one.task for one in runs}) == 1 else replace(settings, task=""))
    print(f"{', '.join(parts)}. `{hint}` shows their state; run the same command to resume.")
    return 1 if len(runnable) < len(todo) else 0
