"""The image cache: decoded once to uint8, then memory-mapped by every worker.

One folder per (dataset, preprocessing, list of images):

    images.npy      uint8 (N, S, S, C)
    index.parquet   uid, row, sha256 of the row's pixels
    cache.json      what it was made from; a folder without it is no cache

A folder is filled under another name and renamed when it is complete, so what stands there is whole: a build that
was killed leaves a folder that nobody reads, and of two that run at once the later one discards its own. Images that
cannot be read are listed (`bench.data.unreadable`), and the cache is that of the others.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from bench.api import Dataset
from bench.data.unreadable import Unreadable, listed, refuse_many, unreadable, write_list
from bench.data.workers import decoded_rows
from bench.errors import DataInvalid, NotWritten

SCHEMA = 1
"""Bumped when the pixels that come out of the same files change."""
ABANDONED_AFTER = 24 * 3600
"""Seconds without a write after which an unfinished folder is taken for that of a killed build."""


@dataclass(frozen=True)
class ImageCache:
    """An open cache: `array` uint8 (N, S, S, C), a read-only memory map, and `uids`, one per row."""

    folder: Path
    array: np.ndarray
    uids: pd.Index

    def rows(self, uids: Sequence[str] | pd.Series) -> np.ndarray:
        """Return the row (B,) int64 of every uid; raises DataInvalid for one that is not in the cache."""
        wanted = pd.Index(list(uids))
        rows = self.uids.get_indexer(wanted)
        if (rows < 0).any():
            lacking = wanted[rows < 0]
            raise DataInvalid(f"{self.folder}: {len(lacking)} images are not in this cache, first {lacking[0]!r}")
        return rows.astype(np.int64)

    def __reduce__(self) -> tuple[object, ...]:
        # A memory map pickles as a copy of all its pixels; another process opens the file instead.
        return open_cache, (self.folder,)


def image_cache(
    dataset: Dataset,
    dataset_spec: str,
    root: Path,
    table: pd.DataFrame,
    *,
    size: int,
    channels: int,
    crop: str,
    cache_dir: Path,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ImageCache:
    """Return the cache of the readable images in `table`, built first if it is not there.

    Args:
        dataset: decodes the files.
        dataset_spec: its name and parameters, as in `Rows.dataset`.
        root: the folder of the dataset.
        table: columns uid and path; row order does not count.
        size: S, pixels of each side.
        channels: 1 or 3.
        crop: "centre" cuts to the shorter side before the resize, "none" ignores the aspect ratio.
        cache_dir: the folder of all caches.
        jobs: processes that decode; short jobs take one in any case.
        progress: called with (done, total) in images.

    Raises:
        DataError: more than a tenth of the images cannot be read.
        NotWritten: a cache folder that cannot be written, or a full disk.
    """
    place = partial(
        cache_place, dataset, dataset_spec, root, size=size, channels=channels, crop=crop, cache_dir=cache_dir
    )
    whole, _ = place(table)
    known = listed(whole, root)
    table = _in_order(table)
    table = table[~table["uid"].isin([image.uid for image in known])].reset_index(drop=True)
    folder, spec = place(table)
    if (folder / "cache.json").is_file():
        return open_cache(folder)
    rows = decoded_rows(dataset, root, list(table["path"]), size=size, channels=channels, crop=crop, jobs=jobs)
    try:
        with _decoded(folder, table, root, (len(table), size, size, channels), rows, progress) as (building, found):
            images = sorted([*known, *found], key=lambda image: image.uid)
            refuse_many(images, len(table) + len(known), root)
            if found:
                folder, spec = place(table[~table["uid"].isin([image.uid for image in found])])
            write_list(whole, images)
            (building / "cache.json").write_text(json.dumps(spec, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            try:
                building.replace(folder)
            except OSError:  # another process was faster, its pixels are the same, and ours are cleared away
                if not (folder / "cache.json").is_file():
                    raise
    except OSError as error:
        raise _not_written(folder, error) from error
    return open_cache(folder)


def cache_place(
    dataset: Dataset,
    dataset_spec: str,
    root: Path,
    table: pd.DataFrame,
    *,
    size: int,
    channels: int,
    crop: str,
    cache_dir: Path,
) -> tuple[Path, dict[str, object]]:
    """Return the folder of the cache of exactly the images in `table`, and what it is made from."""
    table = _in_order(table)
    spec: dict[str, object] = {
        "schema": SCHEMA, "dataset": dataset_spec, "version": dataset.version, "size": size, "channels": channels,
        "crop": crop, "filter": "lanczos", "n": len(table), "images": _digest(table, root),
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", dataset_spec).strip("-.")[:60] or "dataset"
    return cache_dir / name / f"{size}x{size}x{channels}-{crop}-{key[:12]}", spec


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table[["uid", "path"]].drop_duplicates().sort_values("uid", ignore_index=True)


def open_cache(folder: Path) -> ImageCache:
    """Open a complete cache; cheap, and done by every worker for itself.

    Raises:
        DataInvalid: the folder is not a complete cache.
    """
    try:
        spec = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
        array = np.load(folder / "images.npy", mmap_mode="r")
        index = pd.read_parquet(folder / "index.parquet", columns=["uid", "row"])
    except (OSError, ValueError) as error:
        raise DataInvalid(f"{folder} is not a complete image cache ({error}): delete it, it is built again") from error
    shape = (spec["n"], spec["size"], spec["size"], spec["channels"])
    if array.shape != shape or len(index) != shape[0]:
        raise DataInvalid(f"{folder} holds {array.shape}, {shape} expected: delete it, it is built again")
    return ImageCache(folder, array, pd.Index(index.sort_values("row")["uid"]))


@contextmanager
def _decoded(
    folder: Path,
    table: pd.DataFrame,
    root: Path,
    shape: tuple[int, int, int, int],
    rows: Iterator[np.ndarray | str],
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[Path, list[Unreadable]]]:
    """Give a folder with images.npy and index.parquet of the images that can be read, and those that cannot."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(folder)
    n, needed, free = len(table), math.prod(shape), shutil.disk_usage(folder.parent).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free")
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True) as name:
        building = Path(name) / "cache"
        building.mkdir()
        uids: list[str] = []
        digests: list[str] = []
        found: list[Unreadable] = []
        # Rows are appended by this process alone: on a full disk a write fails, where a memory map would crash.
        with (building / "images.npy").open("wb") as file:
            _write_header(file, shape)
            for done, (uid, path, row) in enumerate(zip(table["uid"], table["path"], rows, strict=True), start=1):
                if isinstance(row, str):
                    found.append(unreadable(root, uid, path, row))
                else:
                    pixels = row.tobytes()
                    uids.append(uid)
                    digests.append(hashlib.sha256(pixels).hexdigest())
                    file.write(pixels)
                if progress and (done == n or done % max(1, n // 200) == 0):
                    progress(done, n)
            if found:
                file.seek(0)
                _write_header(file, (len(uids), *shape[1:]))
            file.flush()
            os.fsync(file.fileno())
        index = pd.DataFrame({"uid": uids, "row": np.arange(len(uids)), "sha256": digests})
        index.to_parquet(building / "index.parquet", index=False)
        yield building, found


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    # NumPy pads it so that the number of rows may change in place.
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _digest(table: pd.DataFrame, root: Path) -> str:
    """Hash the uids, the paths and the sizes of some files: other images under the same names are another cache."""
    digest = hashlib.sha256()
    for uid, path in zip(table["uid"], table["path"], strict=True):
        digest.update(f"{uid}\t{path}\n".encode())
    # A thousand files tell a replaced data set, and cost milliseconds where all of a large one cost a minute.
    for path in table["path"].iloc[:: max(1, len(table) // 1000)]:
        try:
            digest.update(f"{(root / path).stat().st_size}\n".encode())
        except OSError:
            digest.update(b"no file\n")  # generated images have none
    return digest.hexdigest()


def _clear_abandoned(folder: Path) -> None:
    for old in folder.parent.glob(f".{folder.name}.*"):
        written = max((entry.stat().st_mtime for entry in (old, *old.rglob("*"))), default=0.0)
        if time.time() - written > ABANDONED_AFTER:
            shutil.rmtree(old, ignore_errors=True)


def _not_written(folder: Path, error: OSError) -> NotWritten:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = f"no space left: {reason}"
    return NotWritten(f"image cache {folder} cannot be written ({reason}): choose a folder by --cache or BENCH_CACHE")
