"""Run cells in a few worker processes of this machine, baselines first; one failure stops nothing else.

Workers live through many cells, because importing torch takes longer than a small cell. Each computes with
the number of threads that the recipe fixes, so that results do not depend on how many run beside it. A worker
that dies fails its cell alone and is replaced; all workers leave when this process goes, however it goes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from bench.run.plan import BASELINE, PlannedCell, Settings

Fold = tuple[int, int]
"""Fold and seed: cells that agree in them start from one baseline."""


@dataclass(frozen=True)
class Event:
    """What happened to a cell; `error` has class, message and traceback where it failed."""

    kind: Literal["started", "progress", "done", "failed", "blocked"]
    planned: PlannedCell
    text: str = ""
    record: dict[str, Any] | None = None
    error: dict[str, str] | None = None


def run_pool(cells: Sequence[PlannedCell], settings: Settings, jobs: int, on_event: Callable[[Event], None]) -> None:
    """Run all cells on `jobs` workers; `on_event` hears of everything, in this process.

    A method's cell waits for the baseline of its fold, and is reported as blocked where that failed.
    """
    waiting = list(cells)
    unfinished = {_fold(p) for p in waiting if p.cell.method == BASELINE}
    broken: set[Fold] = set()
    workers = [_start(settings) for _ in range(min(jobs, len(waiting)))]
    try:
        while True:
            for planned in [p for p in waiting if p.cell.method != BASELINE and _fold(p) in broken]:
                waiting.remove(planned)
                on_event(Event("blocked", planned))
            for worker in workers:
                ready = [p for p in waiting if p.cell.method == BASELINE or _fold(p) not in unfinished]
                if worker.busy is None and ready:
                    planned = choose(ready, worker.fold, {_fold(w.busy) for w in workers if w.busy})
                    waiting.remove(planned)
                    worker.busy, worker.fold = planned, _fold(planned)
                    on_event(Event("started", planned))
                    worker.send(planned)
            busy = [worker for worker in workers if worker.busy]
            if not busy:
                return
            for pipe in wait([worker.pipe for worker in busy]):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                event = worker.receive()
                if event.kind != "progress":
                    worker.busy = None
                    if event.planned.cell.method == BASELINE:
                        unfinished.discard(_fold(event.planned))
                        broken |= {_fold(event.planned)} if event.kind == "failed" else set()
                if worker.dead:
                    workers[workers.index(worker)] = _start(settings)
                on_event(event)
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()


def choose(ready: Sequence[PlannedCell], last: Fold | None, busy: Container[Fold]) -> PlannedCell:
    """Return the cell for a worker: a baseline, else one of the fold it was on, of a fold nobody is on, or any.

    What settings of a fold have in common is then made once, not by two workers at the same time.
    """
    if ready[0].cell.method == BASELINE:
        return ready[0]
    own = (p for p in ready if _fold(p) == last)
    free = (p for p in ready if _fold(p) not in busy)
    return next(own, None) or next(free, None) or ready[0]


def _fold(planned: PlannedCell) -> Fold:
    return planned.cell.fold, planned.cell.seed


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    busy: PlannedCell | None = None
    fold: Fold | None = None
    """Of the cell that it works on or worked on last."""
    dead: bool = False

    def send(self, planned: PlannedCell) -> None:
        # A worker that died while idle is found out by the next `receive`.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(planned)

    def receive(self) -> Event:
        assert self.busy is not None
        try:
            return replace(self.pipe.recv(), planned=self.busy)
        except (EOFError, ConnectionResetError):
            self.dead = True
            self.process.join()
            code = self.process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            hint = "; the system kills a process so when memory is short" if code == -signal.SIGKILL else ""
            error = {"class": "WorkerDied", "message": f"the worker ended by {how}{hint}", "traceback": ""}
            return Event("failed", self.busy, error=error)


def _start(settings: Settings) -> _Worker:
    # Spawned, not forked: a fork copies locks that other threads of this process may hold.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, settings), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(_run(pipe.recv(), settings, pipe))


def _run(planned: PlannedCell, settings: Settings, pipe: Connection) -> Event:
    try:
        from bench.run.cell import run_cell

        record = run_cell(planned, settings, lambda text: pipe.send(Event("progress", planned, text)))
        return Event("done", planned, record=record)
    except Exception as error:  # whatever a plugin raises fails its own cell
        return Event("failed", planned, error=describe_error(error))


def describe_error(error: Exception) -> dict[str, str]:
    """Return class, message and traceback, as they are stored in a failed cell's file."""
    return {
        "class": type(error).__name__,
        "message": str(error) or repr(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
