"""Leases: a file says which process computes something; the process touches the file while it lives.

Locks are not used, because network file systems do not keep them. The lease of `f0-s0` is a file `.f0-s0.lease.N` in
the same folder. A file name can be linked only once, so of two processes that want number N one gets it; a process
that finds the holder of N dead takes N + 1. A lease counts only if the folder then holds no other lease except the
one that it replaces; in doubt no process has the cell, and it is tried again. A holder that was suspended for so long
that another took over calls `mine` before it writes.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench.errors import seconds_of
from bench.files import content_of
from bench.processes import here, running, started

BEAT = seconds_of("BENCH_LEASE_BEAT", 60)
"""Seconds between two touches of a lease. Tests set a shorter time in the environment."""
MISSED = 5
"""A holder counts as dead after this many missed beats."""
_SEEN: dict[Path, tuple[float, float]] = {}
"""The time stamp of each lease from the future, and when this process first saw it, by a clock that never jumps."""


@dataclass(frozen=True)
class Holder:
    """The holder of a lease: process and parent, its SLURM job (or ""), and the time (seconds) of the lease."""

    host: str
    pid: int
    parent: int
    job: str
    started: float
    where: str = ""
    """The machine or container, see `bench.processes.here`."""
    born: int = 0
    """Start of the process (`bench.processes.started`): another one may get its number later."""
    ahead: float = 0.0
    """Seconds by which its lease is from the future; not stored."""

    def __str__(self) -> str:
        name = f"job {self.job} on {self.host}" if self.job else f"process {self.pid} on {self.host}"
        if not self.ahead:
            return name
        wait = f"it counts as dead if it does not change for {MISSED * BEAT:.0f} s"
        return f"{name} (its lease is {self.ahead:.0f} s in the future, as after a clock was set back; {wait})"


@contextlib.contextmanager
def lease(file: Path, *, job: str = "") -> Iterator[Holder | None]:
    """Take the lease of a cell's `file` (its path without ending): yield None, or the holder if another has it.

    Raises:
        OSError: the folder cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    me = Holder(platform.node(), os.getpid(), os.getppid(), job, time.time(), here(), started(os.getpid()))
    own = _take(file, me)
    if isinstance(own, Holder):
        yield own
        return
    ended = threading.Event()
    threading.Thread(target=_beat, args=(own, me, ended), daemon=True).start()
    try:
        yield None
    finally:
        ended.set()
        if _read(own) == me:
            own.unlink(missing_ok=True)


def holder(file: Path) -> Holder | None:
    """Return the holder of the lease of a cell's `file`; None if there is none or it is dead."""
    leases = _leases(file)
    return _alive(leases[-1]) if leases else None


def abandon(one: Path) -> None:
    """Remove the lease `one` if its holder is dead: killed after writing its result, it left the lease behind."""
    with contextlib.suppress(OSError):
        if _alive(one) is None:
            one.unlink()


def mine(file: Path) -> bool:
    """Return whether this process still holds the lease of a cell's `file`; a process that seemed dead loses it."""
    leases = _leases(file)
    found = _read(leases[-1]) if leases else None
    return found is not None and (found.where, found.pid) == (here(), os.getpid())


def _take(file: Path, me: Holder) -> Path | Holder:
    leases = _leases(file)
    replaced = leases[-1] if leases else None
    if replaced is not None and (other := _alive(replaced)) is not None:
        return other
    own = file.with_name(f".{file.name}.lease.{_number(replaced) + 1 if replaced else 1}")
    written = file.with_name(f".{file.name}.taking.{me.where}.{me.pid}")
    try:
        written.write_bytes(msgspec.json.encode(me))
        os.link(written, own)
    except FileExistsError:
        return _read(own) or me
    finally:
        written.unlink(missing_ok=True)
    others = [one for one in _leases(file) if one != own]
    if others == ([replaced] if replaced else []):
        if replaced:
            replaced.unlink(missing_ok=True)
        return own
    own.unlink(missing_ok=True)
    return (_read(others[-1]) if others else None) or me


def _beat(own: Path, me: Holder, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        # The file may belong to another process, or be missing, if this one was taken for dead: numbers start again
        # once there is no lease. The cell is still finished, see above.
        with contextlib.suppress(OSError):
            if _read(own) == me:
                os.utime(own)


def _leases(file: Path) -> list[Path]:
    found = [one for one in file.parent.glob(f".{file.name}.lease.*") if one.suffix[1:].isdigit()]
    return sorted(found, key=_number)


def _number(one: Path) -> int:
    return int(one.suffix[1:])


def _read(one: Path) -> Holder | None:
    try:
        return msgspec.json.decode(content_of(one), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _alive(one: Path) -> Holder | None:
    found = _read(one)
    if found is None or (found.where == here() and not lives(found)):
        return None
    overdue, ahead = _silent(one)
    return None if overdue else replace(found, ahead=ahead)


def lives(one: Holder) -> bool:
    """Return whether the process of a holder on this machine lives, and is not another one of its number."""
    return running(one.pid) and started(one.pid) == one.born


def holders_below(folder: Path) -> list[Holder]:
    """Return the living holders of all leases in the folders below a folder."""
    leases = [one for one in folder.rglob(".*.lease.*") if one.suffix[1:].isdigit()]
    return [found for one in leases if (found := _alive(one)) is not None]


def _silent(one: Path) -> tuple[bool, float]:
    """Return whether the beats are overdue, and by how many seconds a lease is from the future.

    Both are by the clock of the file server, which stamps both files.

    A lease from the future is what a clock leaves that is set back. It is overdue once this process has seen it
    unchanged for as long.
    """
    now = one.parent / f".clock.{here()}.{os.getpid()}"
    try:
        now.touch()
        stamp = one.stat().st_mtime
        age = now.stat().st_mtime - stamp
        if age < -BEAT:
            seen, since = _SEEN.setdefault(one, (stamp, time.monotonic()))
            if seen != stamp:
                _SEEN[one] = stamp, time.monotonic()
            return seen == stamp and time.monotonic() - since > MISSED * BEAT, -age
        return age > MISSED * BEAT, 0.0
    except FileNotFoundError:
        return True, 0.0
    except OSError:  # in a read-only folder, the local clock is the only one
        return time.time() - one.stat().st_mtime > MISSED * BEAT, 0.0
    finally:
        with contextlib.suppress(OSError):
            now.unlink(missing_ok=True)
