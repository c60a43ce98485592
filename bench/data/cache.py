"""The image cache: images decoded once, to uint8 unless a backbone wants more, then memory-mapped by every worker.

One folder for each dataset, preprocessing and list of images:

    images.npy      uint8, uint16 or float32 (N, S, S, C)
    index.parquet   uid, row, and the facts of each image (`bench.data.decoding.facts`), among them a SHA-256
    cache.json      what the cache was made from; a folder without this file is not a cache

A folder is filled under another name and renamed when it is complete (see `bench.data.building`). Images that cannot be
read are listed beside it (`bench.data.unreadable`) and are not in the cache. A cache holds no absolute paths and no
times of files: it may be copied to another machine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.data.building import built_by_one, filled, part, readable
from bench.data.pixels import Pixels, in_order
from bench.data.unreadable import Unreadable, listed, refuse_many, without, write_list
from bench.errors import DataError, DataInvalid, NotWritten


@dataclass(frozen=True)
class ImageCache:
    """An open cache: `array` (N, S, S, C), a read-only memory map, and `uids`, one per row."""

    folder: Path
    array: np.ndarray
    uids: pd.Index

    def rows(self, uids: Sequence[str] | pd.Series) -> np.ndarray:
        """Return the row (B,) int64 of each uid; raise DataInvalid for a uid that is not in the cache."""
        wanted = pd.Index(list(uids))
        rows = self.uids.get_indexer(wanted)
        if (rows < 0).any():
            lacking = wanted[rows < 0]
            raise DataInvalid(f"{self.folder}: {len(lacking)} images are not in this cache, first {lacking[0]!r}")
        return rows.astype(np.int64)

    def __reduce__(self) -> tuple[object, ...]:
        # A pickled memory map would hold a copy of all pixels; another process opens the file instead.
        return open_cache, (self.folder,)


def image_cache(
    how: Pixels, table: pd.DataFrame, *, jobs: int = 1, progress: Callable[[int, int], None] | None = None
) -> ImageCache:
    """Return the cache of the readable images in `table`; build it first if it does not exist.

    Args:
        how: where the images come from, and how they become pixels.
        table: columns uid and path, in any order of the rows.
        jobs: number of processes that decode; a short build uses one.
        progress: called with the numbers of images done and in total.

    Raises:
        DataError: more than a tenth of the images cannot be read.
        NotWritten: the cache folder cannot be written, or the disk is full.
    """
    everything, root = in_order(table), how.root
    whole, _ = how.place(everything)
    known = listed(whole, root)
    table = without(everything, known)
    folder, made_from = how.place(table)
    building = part(folder)

    def complete() -> Path | None:
        """Return the folder of the complete cache; another process may have built it and listed more images."""
        now = listed(whole, root)
        place = folder if now == known else how.place(without(everything, now))[0]
        return place if (place / "cache.json").is_file() else None

    def build() -> None:
        entries = filled(folder, table, how, jobs, progress)
        found = [Unreadable(**entry) for entry in entries if "why" in entry]
        images = sorted([*known, *found], key=lambda image: image.uid)
        try:
            refuse_many(images, len(everything), root)
        except DataError:
            shutil.rmtree(building, ignore_errors=True)  # the right folder of images cannot continue this build
            raise
        target, described = how.place(without(table, found)) if found else (folder, made_from)
        write_list(whole, images)
        index = pd.DataFrame(readable(entries))
        index.insert(1, "row", np.arange(len(index)))
        index.to_parquet(building / "index.parquet", index=False)
        text = json.dumps(described, indent=2, sort_keys=True) + "\n"
        (building / "cache.json").write_text(text, encoding="utf-8")
        (building / "rows.jsonl").unlink()
        shutil.rmtree(target, ignore_errors=True)  # a cache that is damaged or half deleted
        building.replace(target)

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if how.dataset.credentialed:
            folder.parent.chmod(0o700)  # the licence does not allow other users to see the images
        built_by_one(lambda: complete() is not None, folder, len(table), build, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"no space left: {reason}"
        raise NotWritten(
            f"image cache {folder} cannot be written ({reason}): choose a folder by --cache or BENCH_CACHE"
        ) from error
    return open_cache(complete() or folder)


def verify(cache: ImageCache) -> list[str]:
    """Return the uids whose pixels no longer match the checksums of what was decoded."""
    index = pd.read_parquet(cache.folder / "index.parquet", columns=["uid", "row", "sha256"])
    return [
        str(uid)
        for uid, row, expected in zip(index["uid"], index["row"], index["sha256"], strict=True)
        if hashlib.sha256(cache.array[row].data).hexdigest() != expected
    ]


def open_cache(folder: Path) -> ImageCache:
    """Open a complete cache. It is cheap, and each worker does it.

    Raises:
        DataInvalid: the folder is not a complete cache.
    """
    try:
        spec = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
        array = np.lib.format.open_memmap(folder / "images.npy", mode="r")  # unlike np.load, no archive and no pickle
        index = pd.read_parquet(folder / "index.parquet", columns=["uid", "row"])
        shape = (spec["n"], spec["size"], spec["size"], spec["channels"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataInvalid(f"{folder} is not a complete image cache ({error}): delete it, it is built again") from error
    if array.shape != shape or len(index) != shape[0]:
        raise DataInvalid(f"{folder} holds {array.shape}, {shape} expected: delete it, it is built again")
    return ImageCache(folder, array, pd.Index(index.sort_values("row")["uid"]))
