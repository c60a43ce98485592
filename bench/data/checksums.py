"""SHA-256 of the content of image files. It identifies an image, whatever its name and times; each file is read once.

A table beside the image caches, `<cache>/checksums/<folder>.parquet`, keeps the checksum of every file beside its size
and times. A file whose size and times (of its content and of its entry) are as they were is not read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pandas as pd

from bench.errors import DataInvalid, NotWritten
from bench.files import replacing

MANY = 1000
"""With fewer files, no progress bar is shown."""
STATE = ["size", "modified", "changed"]
READERS = 8
"""Number of files read at the same time, because on a network drive waiting takes longer than hashing."""
TOGETHER = 64
"""Files that a reader gets at a time: to hand over one costs as much as to hash a small one."""
BUFFER = 2**18
T = TypeVar("T")


def checksums(
    root: Path,
    paths: Sequence[str],
    cache_dir: Path,
    *,
    verify: bool = False,
    trust: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.Series:
    """Return the SHA-256 (64 hexadecimal digits) of each file below `root`, by path; empty where there is no file.

    `attrs["unnoticed"]` counts the files that have another content at the same size and times, with `verify`.

    Args:
        cache_dir: the folder in which checksums are kept.
        verify: read every file, whatever its size and times.
        trust: use the stored checksums without looking at the files, as workers do, because their run has looked.
        progress: called with (read, to read) in files, where there are `MANY`.
    """
    store = cache_dir / "checksums" / f"{hashlib.sha256(os.fspath(root.absolute()).encode()).hexdigest()[:16]}.parquet"
    known = _known(store)
    wanted = pd.Index(sorted(set(paths)), name="path")
    if trust and wanted.isin(known.index).all():
        return known["sha256"].reindex(wanted)
    with ThreadPoolExecutor(READERS) as pool:
        now = pd.DataFrame(_mapped(pool, _states, root, list(wanted)), columns=STATE, index=wanted)
        there = now["size"] >= 0
        same = (known.reindex(wanted)[STATE] == now).all(axis=1) & there
        before = known["sha256"].reindex(wanted).where(same)
        unread = list(wanted[there & (~same | verify)])
        found = before.copy()
        read = []
        for sha in _mapped(pool, _sha256s, root, unread):
            read.append(sha)
            if progress and len(unread) >= MANY:
                progress(len(read), len(unread))
        found[unread] = read  # at once: a single value copies the column
    found = found.fillna("")
    found.attrs["unnoticed"] = int((before.notna() & (before != found)).sum())
    if unread:
        table = pd.concat([known.drop(index=unread, errors="ignore"), now.loc[unread].assign(sha256=found[unread])])
        with contextlib.suppress(OSError, NotWritten, DataInvalid), replacing(store) as temporary:
            table.to_parquet(temporary)  # a report may not write there
    return found


def _known(store: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(store)
    except (OSError, ValueError):  # not there, or damaged: the files are read again
        nothing = pd.Index([], name="path", dtype=str)
        return pd.DataFrame({**dict.fromkeys(STATE, 0), "sha256": ""}, index=nothing)


def _mapped(
    pool: ThreadPoolExecutor, work: Callable[[list[str]], list[T]], root: Path, paths: Sequence[str]
) -> Iterator[T]:
    """Yield what `work` returns for each file below `root`, in order."""
    files = [os.path.join(root, path) for path in paths]  # strings: a million paths as objects take half a minute
    for part in pool.map(work, (files[at : at + TOGETHER] for at in range(0, len(files), TOGETHER))):
        yield from part


def _states(files: list[str]) -> list[tuple[int, int, int]]:
    return [_state(file) for file in files]


def _state(file: str) -> tuple[int, int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return -1, 0, 0
    if not stat.S_ISREG(found.st_mode):  # a FIFO would be read for ever
        return -1, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _sha256s(files: list[str]) -> list[str]:
    return [_sha256(file) for file in files]


def _sha256(file: str) -> str:
    found = hashlib.sha256()
    opened = os.open(file, os.O_RDONLY)  # an object for each file costs as much as to read a small one
    try:
        while content := os.read(opened, BUFFER):
            found.update(content)
    finally:
        os.close(opened)
    return found.hexdigest()
