"""Leases: which process makes something, told by a file beside it that the holder touches while it lives.

No locks, which network file systems do not keep. The lease of `f0-s0` is a file `.f0-s0.lease.N` beside the cell's.
A name can be linked once, so of two that want number N one has it; who finds the holder of N gone takes N + 1. A lease
counts only if the directory then holds nothing but itself and the one it replaces: in doubt nobody has the cell, and
it is tried again. A holder that was suspended for so long that another took over asks `mine` before it writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

BEAT = float(os.environ.get("BENCH_LEASE_BEAT", "60"))
"""Seconds between two touches of a lease; the environment shortens it for tests."""
MISSED = 5
"""After so many missed beats a holder is taken for gone."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: process and parent, the SLURM job it is part of (or ""), and since when (seconds)."""

    host: str
    pid: int
    parent: int
    job: str
    started: float

    def __str__(self) -> str:
        return f"job {self.job} on {self.host}" if self.job else f"process {self.pid} on {self.host}"


@contextlib.contextmanager
def lease(file: Path, *, job: str = "") -> Iterator[Holder | None]:
    """Give None while this process holds the lease of a cell's `file` (its path without ending), else who does.

    Raises:
        OSError: where the folder cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    me = Holder(platform.node(), os.getpid(), os.getppid(), job, time.time())
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
    """Return who holds the lease of a cell's `file`, None where nobody does or the holder is gone."""
    leases = _leases(file)
    return None if not leases else _alive(leases[-1])


def abandon(one: Path) -> None:
    """Remove the lease `one` where its holder is gone: one that was killed with its result written never returns."""
    with contextlib.suppress(OSError):
        if _alive(one) is None:
            one.unlink()


def mine(file: Path) -> bool:
    """Tell whether this process still holds the lease of a cell's `file`: not where it was taken for dead."""
    leases = _leases(file)
    found = _read(leases[-1]) if leases else None
    return found is not None and (found.host, found.pid) == (platform.node(), os.getpid())


def _take(file: Path, me: Holder) -> Path | Holder:
    leases = _leases(file)
    replaced = leases[-1] if leases else None
    if replaced is not None:
        other = _alive(replaced)
        if other is not None:
            return other
    own = _numbered(file, _number(replaced) + 1 if replaced else 1)
    written = file.parent / f".{file.name}.taking.{me.host}.{me.pid}"
    try:
        written.write_text(json.dumps(asdict(me)), encoding="utf-8")
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
        # Another's, or gone, where this process was taken for dead: numbers begin anew once nobody holds a lease.
        # The cell is finished all the same, see above.
        with contextlib.suppress(OSError):
            if _read(own) == me:
                os.utime(own)


def _leases(file: Path) -> list[Path]:
    found = [one for one in file.parent.glob(f".{file.name}.lease.*") if one.suffix[1:].isdigit()]
    return sorted(found, key=_number)


def _numbered(file: Path, number: int) -> Path:
    return file.parent / f".{file.name}.lease.{number}"


def _number(one: Path) -> int:
    return int(one.suffix[1:])


def _read(one: Path) -> Holder | None:
    try:
        return Holder(**json.loads(one.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _alive(one: Path) -> Holder | None:
    found = _read(one)
    if found is None:
        return None
    if found.host == platform.node():
        return found if running(found.pid) and not _silent(one) else None
    return None if _silent(one) else found


def _silent(one: Path) -> bool:
    """Tell whether the beats are overdue, by the clock of the file server, which stamps both files."""
    now = one.parent / f".clock.{platform.node()}.{os.getpid()}"
    try:
        now.touch()
        return now.stat().st_mtime - one.stat().st_mtime > MISSED * BEAT
    except FileNotFoundError:
        return True
    except OSError:  # a folder that this process may only read: its own clock has to do
        return time.time() - one.stat().st_mtime > MISSED * BEAT
    finally:
        with contextlib.suppress(OSError):
            now.unlink(missing_ok=True)


def running(pid: int) -> bool:
    """Tell whether a process of this machine lives; one that ended and is not yet reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return True  # no /proc on this system
