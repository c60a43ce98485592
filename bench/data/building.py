"""The building of an image cache: a folder that grows row by row and goes on after a kill where it was.

    .NAME.part/images.npy    the rows so far, behind the header of the whole
    .NAME.part/rows.jsonl    a line per image: uid and facts of its row, or why it cannot be read

A line is written after its row, so what has a line has pixels; the checksums tell whether they are whole. One process
builds at a time (`bench.lease`), others wait for it, and take over where it ends.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from bench.data.pixels import Pixels
from bench.data.unreadable import state
from bench.data.workers import decoded_rows
from bench.lease import lease

ABANDONED_AFTER = 30 * 24 * 3600
"""Seconds without a write after which an unfinished folder of other images is removed."""
WAIT = 0.5
"""Seconds between two looks at a cache that another process builds."""
Progress = Callable[[int, int], None]


@dataclass
class Building:
    """A folder in the making: rows and reasons so far, in the order of the images."""

    folder: Path
    done: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What has pixels."""
        return [entry for entry in self.done if "why" not in entry]

    @property
    def unreadable(self) -> list[dict[str, Any]]:
        """What cannot be read."""
        return [entry for entry in self.done if "why" in entry]

    def index(self) -> pd.DataFrame:
        """Return the table of the rows: uid, row and the facts."""
        table = pd.DataFrame(self.rows)
        table.insert(1, "row", np.arange(len(table)))
        return table


def built_by_one(
    whole: Callable[[], bool], folder: Path, total: int, build: Callable[[], None], progress: Progress | None
) -> None:
    """Call `build` unless the cache is `whole`, or another process builds it: then wait until it has, or is gone."""
    while not whole():
        with lease(folder) as other:
            if other is None:
                if not whole():
                    build()
                return
        if progress:
            progress(_lines(part(folder) / "rows.jsonl"), total)
        time.sleep(WAIT)


def part(folder: Path) -> Path:
    """Return where a cache is built that will stand in `folder`."""
    return folder.with_name(f".{folder.name}.part")


def filled(folder: Path, table: pd.DataFrame, how: Pixels, jobs: int, progress: Progress | None) -> Building:
    """Decode the images of `table` (uid, path) that are not in the unfinished folder yet; the folder is whole then.

    Raises:
        OSError: no space, or a folder that cannot be written; what is done is kept.
    """
    _clear_abandoned(folder)
    n, root, size = len(table), how.root, how.size
    shape = (n, size, size, how.channels)
    building = _resumed(part(folder), table, root, shape)
    begun = len(building.done)
    needed = math.prod(shape[1:]) * (n - begun)
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free")
    left = table.iloc[begun:]
    # Rows are appended by this process alone: on a full disk a write fails, where a memory map would crash.
    with (building.folder / "images.npy").open("rb+") as pixels, (building.folder / "rows.jsonl").open("a") as lines:
        pixels.seek(0, os.SEEK_END)
        found_rows = decoded_rows(how, list(left["path"]), jobs)
        decoded = zip(left["uid"], left["path"], found_rows, strict=True)
        for number, (uid, path, found) in enumerate(decoded, start=begun + 1):
            if isinstance(found, str):
                entry = {"uid": uid, "path": path, "why": found, "file": list(state(root / path))}
            else:
                pixels.write(found.row.data)
                entry = {"uid": uid, **vars(found.facts)}
            lines.write(json.dumps(entry) + "\n")
            building.done.append(entry)
            if number == n or number % max(1, n // 200) == 0:
                # In this order: a line without its pixels would be found by the checksum, at the price of the row.
                pixels.flush()
                lines.flush()
                if progress:
                    progress(number, n)
        pixels.seek(0)
        write_header(pixels, (len(building.rows), *shape[1:]))
        pixels.flush()
        os.fsync(pixels.fileno())
    return building


def _resumed(folder: Path, table: pd.DataFrame, root: Path, shape: tuple[int, int, int, int]) -> Building:
    """Open an unfinished folder, less what is not whole, or begin one."""
    folder.mkdir(parents=True, exist_ok=True)
    building = Building(folder)
    pixels, lines = folder / "images.npy", folder / "rows.jsonl"
    size = math.prod(shape[1:])
    if pixels.is_file() and lines.is_file():
        with pixels.open("rb") as file:
            write_from = _header_size(file)
            for uid, line in zip(table["uid"], lines.read_text(encoding="utf-8").splitlines(), strict=False):
                entry = _entry(line)
                if write_from is None or entry is None or entry.get("uid") != uid:
                    break
                if "why" in entry and entry.get("file") != list(state(root / entry["path"])):
                    break  # it has changed since, and may well be readable
                if "why" not in entry and hashlib.sha256(file.read(size)).hexdigest() != entry["sha256"]:
                    break
                building.done.append(entry)
    with pixels.open("rb+" if building.done else "wb") as file:
        write_header(file, shape)
        file.truncate(file.tell() + len(building.rows) * size)
    lines.write_text("".join(json.dumps(entry) + "\n" for entry in building.done), encoding="utf-8")
    return building


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and ("why" in entry or "sha256" in entry) else None


def _header_size(file: BinaryIO) -> int | None:
    try:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
    except ValueError:
        return None
    return file.tell()


def write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Write the header of an array; NumPy pads it so that the number of rows may change in place."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _lines(file: Path) -> int:
    try:
        return file.read_bytes().count(b"\n")
    except OSError:
        return 0


def _clear_abandoned(folder: Path) -> None:
    for old in folder.parent.glob(".*.part"):
        written = max((entry.stat().st_mtime for entry in (old, *old.rglob("*"))), default=0.0)
        if old != part(folder) and time.time() - written > ABANDONED_AFTER:
            shutil.rmtree(old, ignore_errors=True)
