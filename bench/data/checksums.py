"""SHA-256 of the content of image files. It identifies an image, whatever its name and times; each file is read once.

A table beside the image caches, `<cache>/checksums/<folder>.parquet`, keeps the checksum of every file beside its size
and times. A file whose size and times (of its content and of its entry) are as they were is not read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from bench.errors import NotWritten
from bench.files import replacing

MANY = 1000
"""With fewer files, no progress bar is shown."""
STATE = ["size", "modified", "changed"]
READERS = 8
"""Number of files read at the same time, because on a network drive waiting takes longer than hashing."""


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
        now = pd.DataFrame(pool.map(lambda path: _state(root / path), wanted), columns=STATE, index=wanted)
        there = now["size"] >= 0
        same = (known.reindex(wanted)[STATE] == now).all(axis=1) & there
        before = known["sha256"].reindex(wanted).where(same)
        unread = list(wanted[there & (~same | verify)])
        found = before.copy()
        for number, sha in enumerate(pool.map(lambda path: _sha256(root / path), unread), 1):
            found[unread[number - 1]] = sha
            if progress and len(unread) >= MANY:
                progress(number, len(unread))
    found = found.fillna("")
    found.attrs["unnoticed"] = int((before.notna() & (before != found)).sum())
    if unread:
        table = pd.concat([known.drop(index=unread, errors="ignore"), now.loc[unread].assign(sha256=found[unread])])
        with contextlib.suppress(OSError, NotWritten), replacing(store) as temporary:  # a report may not write there
            table.to_parquet(temporary)
    return found


def _known(store: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(store)
    except (OSError, ValueError):  # not there, or damaged: the files are read again
        nothing = pd.Index([], name="path", dtype=str)
        return pd.DataFrame({**dict.fromkeys(STATE, 0), "sha256": ""}, index=nothing)


def _state(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return -1, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
