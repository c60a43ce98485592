"""The image cache: decoded once to uint8, then memory-mapped by every worker.

One folder per (dataset, preprocessing, list of images):

    images.npy      uint8 (N, S, S, C)
    index.parquet   uid, row, and the facts of each image (`bench.data.facts`), the SHA-256 of its pixels among them
    cache.json      what it was made from; a folder without it is no cache

A folder is filled under another name and renamed when it is complete, so what stands there is whole (see
`bench.data.building`). Images that cannot be read are listed (`bench.data.unreadable`), and the cache is that of the
others. Nothing in it depends on where it stands or on times of files: it may be copied to another machine.
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

from bench.data.building import built_by_one, filled
from bench.data.pixels import Pixels, in_order
from bench.data.unreadable import listed, refuse_many, unreadable, without, write_list
from bench.errors import DataError, DataInvalid, NotWritten


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
    how: Pixels, table: pd.DataFrame, *, jobs: int = 1, progress: Callable[[int, int], None] | None = None
) -> ImageCache:
    """Return the cache of the readable images in `table`, built first if it is not there.

    Args:
        how: which images they are, and how they become pixels.
        table: columns uid and path; row order does not count.
        jobs: processes that decode; short jobs take one in any case.
        progress: called with (done, total) in images.

    Raises:
        DataError: more than a tenth of the images cannot be read.
        NotWritten: a cache folder that cannot be written, or a full disk.
    """
    everything, root = in_order(table), how.root
    whole, _ = how.place(everything)
    known = listed(whole, root)
    table = without(everything, known)
    folder, made_from = how.place(table)

    def standing() -> Path | None:
        """Where a complete cache stands; after another process built it maybe without images it could not read."""
        now = listed(whole, root)
        place = folder if now == known else how.place(without(everything, now))[0]
        return place if (place / "cache.json").is_file() else None

    def build() -> None:
        part = filled(folder, table, how, jobs, progress)
        found = [unreadable(root, entry["uid"], entry["path"], entry["why"]) for entry in part.unreadable]
        images = sorted([*known, *found], key=lambda image: image.uid)
        try:
            refuse_many(images, len(everything), root)
        except DataError:
            shutil.rmtree(part.folder, ignore_errors=True)  # another folder of images is no continuation of it
            raise
        target, described = how.place(without(table, found)) if found else (folder, made_from)
        write_list(whole, images)
        part.index().to_parquet(part.folder / "index.parquet", index=False)
        text = json.dumps(described, indent=2, sort_keys=True) + "\n"
        (part.folder / "cache.json").write_text(text, encoding="utf-8")
        (part.folder / "rows.jsonl").unlink()
        shutil.rmtree(target, ignore_errors=True)  # of a cache that was damaged or half deleted
        part.folder.replace(target)

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if how.dataset.credentialed:
            folder.parent.chmod(0o700)  # its licence does not let other users see the images
        built_by_one(lambda: standing() is not None, folder, len(table), build, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"no space left: {reason}"
        raise NotWritten(
            f"image cache {folder} cannot be written ({reason}): choose a folder by --cache or BENCH_CACHE"
        ) from error
    return open_cache(standing() or folder)


def verify(cache: ImageCache) -> list[str]:
    """Return the uids whose pixels are no longer those that were decoded, by their checksums."""
    index = pd.read_parquet(cache.folder / "index.parquet", columns=["uid", "row", "sha256"])
    return [
        str(uid)
        for uid, row, expected in zip(index["uid"], index["row"], index["sha256"], strict=True)
        if hashlib.sha256(cache.array[row].data).hexdigest() != expected
    ]


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
