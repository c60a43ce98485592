"""The building of an image cache: a folder that grows row by row, so that a killed build can be continued.

    .NAME.part/images.npy    the rows so far, after the header of the complete array
    .NAME.part/rows.jsonl    one line per image: uid and facts of its row, or why it cannot be read

A line is written after its row, so each line has its pixels; the checksums tell whether they are complete. One process
builds at a time (`bench.lease`). The others wait for it, and continue the build if that process ends early.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from bench.data.decoding import decoded_rows
from bench.data.pixels import Pixels
from bench.data.unreadable import Unreadable, state
from bench.lease import lease

ABANDONED_AFTER = 30 * 24 * 3600
"""Seconds without a write after which the unfinished folder of another cache is removed."""
WAIT = 0.5
"""Seconds between two looks at a cache that another process builds."""
Progress = Callable[[int, int], None]
Entry = dict[str, Any]
"""A line of rows.jsonl: uid and facts of a row, or the fields of `Unreadable`, among them `why`."""


def built_by_one(
    complete: Callable[[], bool], folder: Path, total: int, build: Callable[[], None], progress: Progress | None
) -> None:
    """Call `build` unless the cache is `complete`; while another process builds it, wait."""
    while not complete():
        with lease(folder) as other:
            if other is None:
                if not complete():
                    build()
                return
        if progress:
            rows = part(folder) / "rows.jsonl"
            progress(rows.read_bytes().count(b"\n") if rows.is_file() else 0, total)
        time.sleep(WAIT)


def part(folder: Path) -> Path:
    """Return the folder in which the cache `folder` is built."""
    return folder.with_name(f".{folder.name}.part")


def filled(folder: Path, table: pd.DataFrame, how: Pixels, jobs: int, progress: Progress | None) -> list[Entry]:
    """Decode the images of `table` (uid, path) that are not in the unfinished folder yet; return all entries in order.

    Raises:
        OSError: the folder cannot be written, or the disk is full. What is done is kept.
    """
    _clear_abandoned(folder)
    n, shape = len(table), (how.size, how.size, how.channels)
    done = _resumed(part(folder), table, how)
    begun = len(done)
    needed = how.image_bytes * (n - begun)
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free")
    left = table.iloc[begun:]
    # This process alone appends rows by writing them: on a full disk a write fails, whereas a memory map would crash.
    with (part(folder) / "images.npy").open("rb+") as pixels, (part(folder) / "rows.jsonl").open("a") as lines:
        pixels.seek(0, os.SEEK_END)
        found_rows = decoded_rows(how, list(left["path"]), jobs)
        decoded = zip(left["uid"], left["path"], found_rows, strict=True)
        for number, (uid, path, found) in enumerate(decoded, start=begun + 1):
            if isinstance(found, str):
                entry = asdict(Unreadable(uid, path, found, *state(how.root / path)))
            else:
                pixels.write(found[0].data)
                entry = {"uid": uid, **found[1]}
            lines.write(json.dumps(entry) + "\n")
            done.append(entry)
            if number == n or number % max(1, n // 200) == 0:
                # In this order: the checksum would find a line without pixels, at the price of decoding it again.
                pixels.flush()
                lines.flush()
                if progress:
                    progress(number, n)
        pixels.seek(0)
        _write_header(pixels, (len(readable(done)), *shape), how.dtype)
        pixels.flush()
        os.fsync(pixels.fileno())
    return done


def readable(entries: list[Entry]) -> list[Entry]:
    """Return the entries that have pixels."""
    return [entry for entry in entries if "why" not in entry]


def _resumed(folder: Path, table: pd.DataFrame, how: Pixels) -> list[Entry]:
    """Cut an unfinished folder after its last complete entry, or begin one; return the entries."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, size = folder / "images.npy", how.image_bytes
    done = list(_complete_entries(folder, table, how.root, size))
    with pixels.open("rb+" if done else "wb") as file:
        _write_header(file, (len(table), how.size, how.size, how.channels), how.dtype)
        file.truncate(file.tell() + len(readable(done)) * size)
    text = "".join(json.dumps(entry) + "\n" for entry in done)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    return done


def _complete_entries(folder: Path, table: pd.DataFrame, root: Path, size: int) -> Iterator[Entry]:
    """Yield the entries of an unfinished folder up to the first that is damaged or out of date."""
    try:
        lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        with (folder / "images.npy").open("rb") as pixels:
            np.lib.format.read_magic(pixels)
            np.lib.format.read_array_header_1_0(pixels)
            for uid, line in zip(table["uid"], lines, strict=False):
                entry = json.loads(line)
                if "why" in entry:
                    complete = Unreadable(**entry).unchanged(root)
                else:
                    complete = hashlib.sha256(pixels.read(size)).hexdigest() == entry["sha256"]
                if entry["uid"] != uid or not complete:
                    return
                yield entry
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # not there, or cut off


def _write_header(file: BinaryIO, shape: tuple[int, ...], kind: np.dtype) -> None:
    """Write the header of an array; NumPy pads it so that the number of rows may change in place."""
    np.lib.format.write_array_header_1_0(file, {"descr": kind.str, "fortran_order": False, "shape": shape})


def _clear_abandoned(folder: Path) -> None:
    for old in folder.parent.glob(".*.part"):
        written = max((entry.stat().st_mtime for entry in (old, *old.rglob("*"))), default=0.0)
        if old != part(folder) and time.time() - written > ABANDONED_AFTER:
            shutil.rmtree(old, ignore_errors=True)
