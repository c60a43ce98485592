"""Kinds of failure, and which of them a run may try again by itself."""

from __future__ import annotations

import signal
from typing import Literal, get_args

from bench.errors import BatchTooLarge, DataError, EmptyGroup, NonFinite

Kind = Literal["oom", "timeout", "node", "preempted", "cancelled", "data", "nan", "bug"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ATTEMPTS: dict[Kind, int] = {"node": 3, "preempted": 3, "timeout": 3}
"""Attempts that a run makes of a cell by itself; one for the kinds that are not named.

A node that went and a job that was preempted say nothing about the cell; a job over its time resumes from the last
checkpoint. Memory, data, NaN and errors of the code would end the same way again: a batch is cut where it may be while
the cell runs (`learn.chunks`), and a cell that shared its GPU has it to itself before it fails (`launchers.local`).
`bench run` again, a person's word, tries all of them.
"""
_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
"""What torch, the driver, and cuDNN or cuBLAS say where memory is short and no class of error does."""
_SLURM: dict[str, Kind] = {
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "NODE_FAIL": "node",
    "BOOT_FAIL": "node",
    "PREEMPTED": "preempted",
    "OUT_OF_MEMORY": "oom",
    "CANCELLED": "cancelled",
    "FAILED": "bug",
}


def classify(error: BaseException) -> Kind:
    """Return the kind of an error that ended a cell."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, BatchTooLarge) or names & {"MemoryError", "OutOfMemoryError"}:
        return "oom"
    if any(text in str(error) for text in _NO_MEMORY):
        return "oom"
    if isinstance(error, NonFinite):
        return "nan"
    return "data" if isinstance(error, DataError | EmptyGroup) else "bug"


def of_exit(code: int) -> Kind:
    """Return the kind of a worker's end: its exit code, negative for a signal."""
    if code == -signal.SIGKILL:
        return "oom"  # most likely: the system kills so when memory is short
    return "cancelled" if code in (-signal.SIGTERM, -signal.SIGINT) else "bug"


def of_slurm(state: str) -> Kind | None:
    """Return the kind of a SLURM job's state such as `CANCELLED by 1000`, None where the state is no failure."""
    # `sacct` shortens what is wider than its column: OUT_OF_ME+.
    word = state.split()[0].rstrip("+") if state else ""
    return next((kind for name, kind in _SLURM.items() if word and name.startswith(word)), None)
