"""One attempt at one cell, by whoever makes it: a worker of the local pool or a job of a cluster.

What state a cell is in is on disk before and after, so attempts may be made by several at once, killed, and repeated.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from bench.cells import store
from bench.cells.identity import BASELINE, cell_place, log_file
from bench.cells.record import Error, Failure, Record
from bench.errors import BatchTooLarge, DataError, EmptyGroup, NonFinite, NotWritten
from bench.files import not_written
from bench.lease import lease, mine
from bench.run.plan import PlannedCell, build_method, checkpoint_file, describe_cell
from bench.settings import Settings

EventKind = Literal["started", "progress", "done", "failed", "blocked", "held", "put back"]
FailureKind = Literal["oom", "timeout", "node", "preempted", "cancelled", "data", "nan", "bug"]
FAILURE_KINDS: tuple[FailureKind, ...] = get_args(FailureKind)
_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
"""What torch, the driver, and cuDNN or cuBLAS say where memory is short and no class of error does."""


@dataclass(frozen=True)
class Event:
    """What happened to a cell.

    `error` says why it failed. A cell is `blocked` where its baseline failed and
    `held` where another process computes it; `text` says which. It is `put back` where it had no memory beside others
    on its GPU and will be tried alone. A `done` event without `record` means that somebody
    else did it.
    """

    kind: EventKind
    planned: PlannedCell
    text: str = ""
    record: Record | None = None
    error: Error | None = None


def attempt(
    planned: PlannedCell,
    settings: Settings,
    report: Callable[[str], None] | None = None,
    *,
    job: str = "",
) -> Event:
    """Compute a cell unless it is done (`--force`: even so) or held, and leave its record or its failure on disk.

    Args:
        planned: the cell and the hash that its result will have.
        settings: task and folders.
        report: called with where the method is.
        job: the SLURM job that this process is part of.

    Raises:
        NotWritten: where nothing can be written; no failure could be kept there either.
    """
    cell = planned.cell
    place = cell_place(settings.results, cell)
    try:
        with lease(place, job=job) as other:
            if other is not None:
                return Event("held", planned, str(other))
            if not settings.force and _done(planned, settings):
                return Event("done", planned)
            return _attempt(planned, settings, report, job)
    except OSError as error:
        raise not_written(place.parent, error.errno) from error


def _done(planned: PlannedCell, settings: Settings) -> bool:
    """Tell whether nothing is to be done: the result of a baseline is of no use to others without its weights."""
    if store.state(settings.results, planned.cell, planned.hash) != "done":
        return False
    return planned.cell.spec != BASELINE or _weights(planned, settings).is_file()


def _weights(planned: PlannedCell, settings: Settings) -> Path:
    from bench.run.compute_cell import open_task

    return checkpoint_file(settings.cache, planned.cell, open_task(settings))


class _TakenOver(Exception):
    """Another process has the lease by now."""


def _attempt(planned: PlannedCell, settings: Settings, report: Callable[[str], None] | None, job: str) -> Event:
    from bench.run.compute_cell import run_cell

    cell, log = planned.cell, log_file(settings.results, planned.cell)
    write_log(log, f"attempt on {platform.node()}, process {os.getpid()}{f', job {job}' if job else ''}")

    def still_mine() -> None:
        if not mine(cell_place(settings.results, cell)):
            raise _TakenOver

    def both(text: str) -> None:
        write_log(log, text)
        if report is not None:
            report(text)

    try:
        if cell.spec != BASELINE and not _weights(planned, settings).is_file():
            write_log(log, "blocked: its baseline is not there")
            return Event("blocked", planned, "its baseline is not there")
        record = run_cell(planned, settings, both, still_mine)
    except NotWritten:
        raise
    except _TakenOver:
        write_log(log, "left: this process was silent for so long that another computes the cell")
        return Event("held", planned, "another process, which took this one for dead")
    except Exception as error:  # whatever a plugin raises fails its own cell
        described = describe_error(error)
        save_failure(planned, settings, described, job=job)
        write_log(log, described.traceback.rstrip())
        return Event("failed", planned, error=described)
    write_log(log, "done")
    return Event("done", planned, record=record)


def save_failure(planned: PlannedCell, settings: Settings, error: Error, *, job: str = "") -> Path:
    """Write why a cell failed beside where its result would be."""
    described = describe_cell(planned.cell, build_method(planned.cell.runs, settings.plugins))
    found = Failure(cell=described, hash=planned.hash, error=error, job=job)
    return store.save_failure(settings.results, planned.cell, found)


def describe_error(error: Exception) -> Error:
    """Return an error as the file of a failed cell holds it."""
    return Error(
        name=type(error).__name__,
        kind=classify(error),
        message=str(error) or repr(error),
        traceback="".join(traceback.format_exception(error)),
    )


def classify(error: BaseException) -> FailureKind:
    """Return the kind of an error that ended a cell."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, BatchTooLarge) or names & {"MemoryError", "OutOfMemoryError"}:
        return "oom"
    if any(text in str(error) for text in _NO_MEMORY):
        return "oom"
    if isinstance(error, NonFinite):
        return "nan"
    return "data" if isinstance(error, DataError | EmptyGroup) else "bug"


def write_log(file: Path, text: str) -> None:
    """Append to a log, with the time; what cannot be logged stops nothing."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
