"""One attempt at one cell, made by a worker of the local pool or by a job of a cluster.

The state of a cell is on disk before and after, so several processes may make attempts at once, be killed, and repeat.
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
from typing import Literal

from bench.cells import store
from bench.cells.identity import BASELINE, Cell, cell_place, log_file
from bench.cells.record import Error, Failure, Record
from bench.errors import BatchTooLarge, DataError, DataInvalid, EmptyGroup, NonFinite, NotWritten
from bench.files import not_written
from bench.lease import lease, mine
from bench.running.plan import PlannedCell, build_method, describe_cell, has_weights

EventKind = Literal["started", "progress", "done", "failed", "blocked", "held", "put back"]
FailureKind = Literal["oom", "timeout", "node", "preempted", "cancelled", "data", "nan", "bug"]
_NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
    "failed to map segment",
    "annot allocate memory",  # the system writes it with a capital
)
"""Messages of torch, the driver, cuDNN or cuBLAS, and the loader of libraries for a lack of memory."""


@dataclass(frozen=True)
class Event:
    """An event in the computation of a cell.

    `blocked`: its baseline failed, as `text` explains. `held`: another process, named in `text`, computes it.
    `put back`: it ran out of memory beside others on its GPU and will be tried alone. `failed`: `error` is the
    reason. `done` without a `record`: another process computed it.
    """

    kind: EventKind
    planned: PlannedCell
    text: str = ""
    record: Record | None = None
    error: Error | None = None


def attempt(planned: PlannedCell, report: Callable[[str], None] | None = None, *, job: str = "") -> Event:
    """Compute a cell and write its record or its failure, unless it is done (and not `--force`) or held.

    Args:
        planned: the cell, the hash that its result will have, and the run that asks for it.
        report: called with the progress of the method.
        job: the SLURM job that this process belongs to.

    Raises:
        NotWritten: nothing can be written, so that even a failure could not be stored.
    """
    settings = planned.settings
    place = cell_place(settings.results, planned.cell)
    try:
        with lease(place, job=job) as other:
            if other is not None:
                return Event("held", planned, str(other))
            done = store.state(settings.results, planned.cell, planned.hash, verify=True) == "done"
            # Without its weights, the result of a baseline is of no use to other cells.
            if done and not settings.force and (planned.cell.spec != BASELINE or has_weights(planned, verify=True)):
                return Event("done", planned)
            return _attempt(planned, report, job)
    except OSError as error:
        raise not_written(place.parent, error.errno) from error
    except DataInvalid as error:  # a folder in the place of the file of the failure, or a file in that of its folder
        raise NotWritten(str(error)) from error


class _TakenOver(Exception):
    """Another process holds the lease by now."""


def _attempt(planned: PlannedCell, report: Callable[[str], None] | None, job: str) -> Event:
    cell, settings = planned.cell, planned.settings

    def log(text: str) -> None:
        write_log(settings.results, cell, text)

    def still_mine() -> None:
        if not mine(cell_place(settings.results, cell)):
            raise _TakenOver

    def both(text: str) -> None:
        log(text)
        if report is not None:
            report(text)

    log(f"attempt on {platform.node()}, process {os.getpid()}{f', job {job}' if job else ''}")
    try:
        if cell.spec != BASELINE and not has_weights(planned, verify=True):
            why = f"its baseline is {'damaged' if has_weights(planned) else 'missing'}"
            log(f"blocked: {why}")
            return Event("blocked", planned, why)
        from bench.running.compute_cell import run_cell  # here, as too little memory for torch fails the cell

        record = run_cell(planned, both, still_mine)
    except NotWritten:
        raise
    except _TakenOver:
        log("stopped: this process did not renew its lease in time, and another computes the cell")
        return Event("held", planned, "another process, which found the lease of this one expired")
    except Exception as error:  # any error that a plugin raises fails its own cell
        described = describe_error(error)
        save_failure(planned, described, job=job)
        log(described.traceback.rstrip())
        return Event("failed", planned, error=described)
    log("done")
    return Event("done", planned, record=record)


def save_failure(planned: PlannedCell, error: Error, *, job: str = "") -> Path:
    """Write why a cell failed, beside the place of its result."""
    described = describe_cell(planned.cell, build_method(planned.cell.runs, planned.settings.plugins))
    found = Failure(cell=described, hash=planned.hash, error=error, job=job)
    return store.save_failure(planned.settings.results, planned.cell, found)


def describe_error(error: Exception) -> Error:
    """Return an error as the file of a failed cell stores it."""
    text = "".join(traceback.format_exception(error))
    return Error(name=type(error).__name__, kind=classify(error), message=str(error) or repr(error), traceback=text)


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


def write_log(results: Path, cell: Cell, text: str) -> None:
    """Append a line with the time to the log of a cell. A log that cannot be written stops nothing."""
    file = log_file(results, cell)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
