"""Processes of this machine: which one it is, whether it lives, whether it is a run of `bench`, and its streams."""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

RUNS = ("run", "tune", "retry")
"""Commands that compute cells."""


@contextmanager
def without_main() -> Iterator[None]:
    """Start processes that do not import the main module: a script that calls `bench.run` would run again in each."""
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@cache
def here() -> str:
    """Return a name of this machine since it was started, or of this container. Only here do process numbers count.

    Containers may share the name of a host and even the numbers of processes, so that the name is followed by a hash
    of the boot and of the namespace of processes.
    """
    known = []
    with suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        known.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return f"{platform.node()}-{hashlib.sha256(''.join(known).encode()).hexdigest()[:8]}"


def running(pid: int) -> bool:
    """Return whether a process of this machine lives. One that ended but is not yet reaped does not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    facts = _facts(pid)
    return not facts or facts[0] not in "ZX"


def started(pid: int) -> int:
    """Return when a process started, in ticks since the machine did; 0 if that is not known."""
    facts = _facts(pid)
    return int(facts[19]) if facts else 0


def parent(pid: int) -> int:
    """Return the parent of a process; 0 if it is not known."""
    facts = _facts(pid)
    return int(facts[1]) if facts else 0


def computes_cells(pid: int) -> bool:
    """Return whether the command line of a process is `bench run`, `tune` or `retry`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return is_run(words)


def is_run(words: list[str]) -> bool:
    """Return whether a command line is `bench run`, `tune` or `retry`, by itself or after a Python."""
    if words and Path(words[0]).name.startswith("python"):
        words = [word for word in words[1:] if not word.startswith("-")]
    return len(words) > 1 and Path(words[0]).name in ("bench", "bench.cli", "cli.py") and words[1] in RUNS


@contextmanager
def not_interrupted() -> Iterator[None]:
    """Start processes in this block that do not hear Ctrl-C, which reaches the whole group: this one decides."""
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would end the blocking, were it started in the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Patient:
    """A stream on which a failed write loses text and stops nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_streams() -> None:
    """Open standard streams that are closed, so that no other file gets their numbers; stderr may be on a full disk."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if sys.stderr is sys.__stderr__:
        sys.stderr = _Patient(sys.stderr)


def _facts(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; none without such a file."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
