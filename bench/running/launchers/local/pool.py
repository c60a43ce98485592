"""Compute cells in a few worker processes on this machine, baselines first; one failure does not stop the others.

A worker computes many cells, because importing torch takes longer than a small cell. Each worker uses the number of
threads that the recipe fixes, so that results do not depend on how many run at a time. If a worker dies, its cell
fails and the worker is replaced; when this process ends, in whatever way, all workers end. A cell that another
process computes is tried again until that process has finished it or has died.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bench.cells import store
from bench.cells.identity import BASELINE, failure_file
from bench.cells.record import Error
from bench.errors import NotWritten
from bench.processes import not_interrupted, open_streams, without_main
from bench.running.attempt import Event, FailureKind, attempt, describe_error, save_failure, write_log
from bench.running.launchers.local.sharing import Sharing, WorkerSlot
from bench.running.plan import PlannedCell

ASK_AGAIN = 2.0
"""Seconds between two attempts at a cell that another process holds."""

Fold = tuple[str, str, int, int]
"""See `PlannedCell.fold`."""
ALIKE = 3
"""If this many first cells of a method fail with the same error, its other cells are not started in this run."""


def run_pool(
    cells: Sequence[PlannedCell],
    jobs: int,
    on_event: Callable[[Event], None],
    *,
    gpus: Sequence[str] = (),
    job: str = "",
) -> None:
    """Compute all cells on `jobs` workers; `on_event` is called with every event, in this process.

    The cell of a method waits for the baseline that it starts from, and is reported as blocked if that fails. The
    remaining cells of a method on a task are blocked too if its first `ALIKE` cells fail alike. With `gpus`, each
    worker sees one GPU, and a cell that runs out of memory beside others is tried again alone (`sharing`). The first
    Ctrl-C starts no more cells and waits for the running ones; the second stops at once. `job` is the SLURM job of this
    process.

    Raises:
        KeyboardInterrupt: after either.
    """
    waiting, sharing = _Waiting(list(cells)), Sharing()
    seen = list(islice(cycle(gpus or ("",)), min(jobs, len(cells))))
    start = partial(_start, job)
    with _draining() as interrupted, _workers(start, seen) as workers:
        while True:
            for planned, why in waiting.blocked():
                on_event(Event("blocked", planned, why))
            for at, worker in enumerate(workers):
                ready = [] if interrupted() or worker.busy else sharing.allowed(waiting.ready(), worker, workers)
                if ready:
                    planned = choose(ready, worker.fold, {w.busy.fold for w in workers if w.busy})
                    waiting.start(planned)
                    if planned in sharing.alone:
                        _renew(workers, worker.gpu, start)
                        worker = workers[at]
                    sharing.start(planned, worker, workers)
                    worker.fold = planned.fold
                    on_event(Event("started", planned))
                    worker.send(planned)
            busy = [worker for worker in workers if worker.busy]
            if not busy and (interrupted() or not waiting.cells):
                break
            # With a timeout: neither an interruption nor a cell that another process ends makes a pipe readable.
            for pipe in wait([worker.pipe for worker in busy], timeout=0.5):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                event = worker.receive()
                if event.error and sharing.put_back(event.planned, event.error.kind, worker):
                    event = _put_back(event, worker.gpu)
                if event.kind != "progress":
                    worker.busy = None
                    waiting.heard(event)
                if worker.dead:
                    workers[workers.index(worker)] = start(worker.gpu)
                on_event(event)
        if interrupted():
            raise KeyboardInterrupt


@dataclass
class _Waiting:
    """Cells that are not started, and the state of the baselines that they start from.

    Tasks may share the weights of a baseline. Then one of their baseline cells trains them and the others wait for it;
    if it fails, the next one tries.
    """

    cells: list[PlannedCell]
    trained: set[str] = field(default_factory=set)
    """Origins whose weights a cell of this run has trained, or found."""
    training: dict[str, PlannedCell] = field(default_factory=dict)
    """The baseline cell that trains the weights of each origin now."""
    later: dict[PlannedCell, float] = field(default_factory=dict)
    ends: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    """How the cells of each method on each task ended: the class of the error, or "" for success."""

    def __post_init__(self) -> None:
        self.baselines = Counter(p.origin for p in self.cells if p.cell.spec == BASELINE)
        """Baseline cells of each origin that have not ended."""
        self.asked = frozenset(self.baselines)

    def blocked(self) -> list[tuple[PlannedCell, str]]:
        """Remove and return the cells that must not be started, each with the reason."""
        reasons = {p: why for p in self.cells if (why := self._reason(p))}
        self.cells = [p for p in self.cells if p not in reasons]
        self.baselines.subtract(p.origin for p in reasons if p.cell.spec == BASELINE)
        return list(reasons.items())

    def _reason(self, planned: PlannedCell) -> str:
        cell, origin = planned.cell, planned.origin
        if cell.spec != BASELINE and origin in self.asked - self.trained and not self.baselines[origin]:
            return "its baseline failed"
        first = self.ends[cell.task, cell.spec][:ALIKE]
        if len(first) == ALIKE and first[0] and len(set(first)) == 1:
            return f"the first {ALIKE} cells of {cell.spec} failed alike: {first[0]}"
        return ""

    def ready(self) -> list[PlannedCell]:
        """Return the cells that may start now."""
        now = time.monotonic()
        return [p for p in self.cells if self.later.get(p, 0.0) <= now and self._startable(p)]

    def _startable(self, planned: PlannedCell) -> bool:
        if planned.origin in self.trained or planned.origin not in self.asked:
            return True
        return planned.cell.spec == BASELINE and planned.origin not in self.training

    def start(self, planned: PlannedCell) -> None:
        """Remove a cell that starts."""
        self.cells.remove(planned)
        if planned.cell.spec == BASELINE:
            self.training.setdefault(planned.origin, planned)

    def heard(self, event: Event) -> None:
        """Record how the attempt at a cell ended."""
        planned = event.planned
        if self.training.get(planned.origin) == planned:
            del self.training[planned.origin]
        if event.kind in ("held", "put back"):
            self.later[planned] = time.monotonic() + ASK_AGAIN if event.kind == "held" else 0.0
            self.cells.append(planned)
            return
        if event.kind in ("done", "failed"):
            self.ends[planned.cell.task, planned.cell.spec].append(event.error.name if event.error else "")
        if planned.cell.spec == BASELINE:
            self.baselines[planned.origin] -= 1
            if event.kind == "done":
                self.trained.add(planned.origin)


@contextlib.contextmanager
def _draining() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C was pressed. The second Ctrl-C raises KeyboardInterrupt."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def first(*_: object) -> None:
        pressed.append(1)
        # Not the previous handler: processes that a shell starts in the background ignore the signal.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(2, b"\nwaiting for the running cells; press Ctrl-C again to stop them\n")

    before = signal.signal(signal.SIGINT, first)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _workers(start: Callable[[str], _Worker], gpus: Sequence[str]) -> Iterator[list[_Worker]]:
    """Yield a worker for each entry of `gpus`; at the end, all workers are stopped."""
    workers: list[_Worker] = []
    try:
        for gpu in gpus:
            workers.append(start(gpu))
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()


def _renew(workers: list[_Worker], gpu: str, start: Callable[[str], _Worker]) -> None:
    """Replace the workers that hold memory of a GPU; none of them is busy."""
    for at, worker in enumerate(workers):
        if worker.gpu == gpu and worker.used:
            worker.process.kill()
            worker.process.join()
            workers[at] = start(gpu)


def _put_back(event: Event, gpu: str) -> Event:
    """Return the event of a cell that waits again, and remove its failure."""
    cell, results = event.planned.cell, event.planned.settings.results
    text = f"out of memory beside other cells: put back until GPU {gpu} is free"
    write_log(results, cell, text)
    failure_file(results, cell).unlink(missing_ok=True)
    return Event("put back", event.planned, text)


def choose(ready: Sequence[PlannedCell], last: Fold | None, busy: Container[Fold]) -> PlannedCell:
    """Return the cell for a worker: a baseline, else one of its last fold, of a fold without a worker, or any.

    Two workers then rarely compute the values that settings of a fold share at the same time.
    """
    if ready[0].cell.spec == BASELINE:
        return ready[0]
    own = (p for p in ready if p.fold == last)
    free = (p for p in ready if p.fold not in busy)
    return next(own, None) or next(free, None) or ready[0]


@dataclass(kw_only=True)
class _Worker(WorkerSlot):
    process: BaseProcess
    pipe: Connection
    fold: Fold | None = None
    """That of its current or last cell."""
    dead: bool = False

    def send(self, planned: PlannedCell) -> None:
        # If the worker died while idle, the next `receive` notices.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(planned)

    def receive(self) -> Event:
        assert self.busy is not None
        try:
            return replace(self.pipe.recv(), planned=self.busy)
        except (EOFError, ConnectionResetError):
            self.dead = True
            self.process.join()
            settings = self.busy.settings
            if not settings.force and store.state(settings.results, self.busy.cell, self.busy.hash) == "done":
                # It died afterwards, or before it noticed that another run had computed the cell.
                return Event("done", self.busy)
            code = self.process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            kind = kind_of_exit(code)
            hint = "; the system sends it when memory runs out" if kind == "oom" else ""
            error = Error(name="WorkerDied", kind=kind, message=f"the worker ended with {how}{hint}")
            save_failure(self.busy, error)
            return Event("failed", self.busy, error=error)


def kind_of_exit(code: int) -> FailureKind:
    """Return why a worker ended, from its exit code, which is negative for a signal."""
    if code == -signal.SIGKILL:
        return "oom"  # most likely: the system sends it when memory runs out
    return "cancelled" if code in (-signal.SIGTERM, -signal.SIGINT) else "bug"


def _start(job: str, gpu: str) -> _Worker:
    # Spawned, not forked: a fork copies locks that other threads of this process may hold.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, job, gpu), daemon=True)
    with without_main(), not_interrupted():
        process.start()
    theirs.close()
    return _Worker(process=process, pipe=ours, gpu=gpu)


def _work(pipe: Connection, job: str, gpu: str) -> None:
    open_streams()
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before the first attempt imports torch
    # Ctrl-C, and the signals by which SLURM ends a job, reach all processes of the group; the parent decides.
    for number in (signal.SIGINT, *((signal.SIGTERM, signal.SIGUSR2) if job else ())):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError):
        while True:
            planned = pipe.recv()
            try:
                event = attempt(planned, lambda text, p=planned: pipe.send(Event("progress", p, text)), job=job)
            except NotWritten as error:
                event = Event("failed", planned, error=describe_error(error))
            pipe.send(event)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
