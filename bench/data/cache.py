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
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bench.api import Dataset
from bench.data.building import built_by_one, filled, index
from bench.data.unreadable import Unreadable, listed, refuse_many, unreadable, write_list
from bench.data.workers import decoded_rows
from bench.errors import DataError, DataInvalid, NotWritten

SCHEMA = 2
"""Bumped when the pixels that come out of the same files change, or what is noted of them."""


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
    everything = _in_order(table)
    whole, _ = place(everything)
    known = listed(whole, root)
    table = _without(everything, known)
    folder, spec = place(table)
    decode = partial(decoded_rows, dataset, root, size=size, channels=channels, crop=crop, jobs=jobs)

    def standing() -> Path | None:
        """Where a complete cache stands; after another process built it maybe without images it could not read."""
        now = listed(whole, root)
        place_now = folder if now == known else place(_without(everything, now))[0]
        return place_now if (place_now / "cache.json").is_file() else None

    def build() -> None:
        building = filled(folder, table, root, (len(table), size, size, channels), decode, progress)
        found = [unreadable(root, entry["uid"], entry["path"], entry["why"]) for entry in building.unreadable]
        images = sorted([*known, *found], key=lambda image: image.uid)
        try:
            refuse_many(images, len(everything), root)
        except DataError:
            shutil.rmtree(building.folder, ignore_errors=True)  # another folder of images is no continuation of it
            raise
        target, described = place(_without(table, found)) if found else (folder, spec)
        write_list(whole, images)
        index(building).to_parquet(building.folder / "index.parquet", index=False)
        text = json.dumps(described, indent=2, sort_keys=True) + "\n"
        (building.folder / "cache.json").write_text(text, encoding="utf-8")
        (building.folder / "rows.jsonl").unlink()
        shutil.rmtree(target, ignore_errors=True)  # of a cache that was damaged or half deleted
        building.folder.replace(target)

    try:
        _private(folder.parent, dataset)
        built_by_one(lambda: standing() is not None, folder, len(table), build, progress)
    except OSError as error:
        raise _not_written(folder, error) from error
    return open_cache(standing() or folder)


def _without(table: pd.DataFrame, images: Sequence[Unreadable]) -> pd.DataFrame:
    return table[~table["uid"].isin([image.uid for image in images])].reset_index(drop=True)


def _private(folder: Path, dataset: Dataset) -> None:
    """Close the folder of a credentialed source to others: its licence does not let them see the images."""
    folder.mkdir(parents=True, exist_ok=True)
    if dataset.credentialed:
        folder.chmod(0o700)


def verify(cache: ImageCache) -> list[str]:
    """Return the uids whose pixels are no longer those that were decoded, by their checksums."""
    index = pd.read_parquet(cache.folder / "index.parquet", columns=["uid", "row", "sha256"])
    return [
        str(uid)
        for uid, row, expected in zip(index["uid"], index["row"], index["sha256"], strict=True)
        if hashlib.sha256(cache.array[row].data).hexdigest() != expected
    ]


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
        "schema": SCHEMA,
        "dataset": dataset_spec,
        "version": dataset.version,
        "size": size,
        "channels": channels,
        "crop": crop,
        "filter": "lanczos",
        "n": len(table),
        "images": _digest(table, root),
    }
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


def _not_written(folder: Path, error: OSError) -> NotWritten:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = f"no space left: {reason}"
    return NotWritten(f"image cache {folder} cannot be written ({reason}): choose a folder by --cache or BENCH_CACHE")
