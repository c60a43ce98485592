"""Images that cannot be read: found while a cache is built, listed beside it, left out of the tables.

The list of a cache, `<folder of the cache>.unreadable.json`, holds uid, path and reason of each image, and how its
file stood. A file that has changed since is no longer taken for unreadable: the next build tries it again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from bench.errors import DataError

REASON = "FILE_CORRUPT"
"""Under this name `attrs["left_out"]` of a table counts them."""
SHOWN = 10
"""So many are named in a message; the list on disk has all."""
TOO_MANY = 10
"""More than one in so many images of a set is no matter of single files."""


@dataclass(frozen=True)
class Unreadable:
    """One image that cannot be read, and why; `size` (bytes) and `changed` (ns) of its file, None without a file."""

    uid: str
    path: str
    why: str
    size: int | None
    changed: int | None


def without(table: pd.DataFrame, images: Sequence[Unreadable]) -> pd.DataFrame:
    """Return the rows of a table (column uid) but those of `images`."""
    return table[~table["uid"].isin([image.uid for image in images])].reset_index(drop=True)


def unreadable(root: Path, uid: str, path: str, why: str) -> Unreadable:
    """Return the entry of an image that could not be decoded."""
    return Unreadable(uid, path, why, *state(root / path))


def list_file(folder: Path) -> Path:
    """Return where the list of the cache that would stand in `folder` is kept."""
    return folder.with_name(f"{folder.name}.unreadable.json")


def listed(folder: Path, root: Path) -> tuple[Unreadable, ...]:
    """Return the images that could not be read and whose files are as they were then; none where there is no list."""
    try:
        entries = json.loads(list_file(folder).read_text(encoding="utf-8"))
        images = [Unreadable(**entry) for entry in entries]
    except (OSError, ValueError, TypeError):
        return ()  # no list, or not a whole one: the build makes it anew
    return tuple(image for image in images if (image.size, image.changed) == state(root / image.path))


def write_list(folder: Path, images: Sequence[Unreadable]) -> None:
    """Write the list by rename; without images there is no list."""
    file = list_file(folder)
    if not images:
        file.unlink(missing_ok=True)
        return
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps([asdict(image) for image in images], indent=1) + "\n", encoding="utf-8")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def refuse_many(images: Sequence[Unreadable], n: int, root: Path) -> None:
    """Raise DataError where more than one in ten of `n` images cannot be read: rather a wrong folder than bad files."""
    if len(images) * TOO_MANY > n:
        raise DataError(
            f"{len(images)} of {n} images cannot be read, more than one in {TOO_MANY}: is {root} the right folder?"
            + "".join(f"\n  {line}" for line in lines(images))
        )


def lines(images: Sequence[Unreadable]) -> list[str]:
    """Return one line for each of the first ten images, and one for the number of the others."""
    shown = [f"{image.path} ({image.uid}): {image.why}" for image in images[:SHOWN]]
    return shown + ([f"and {len(images) - SHOWN} more"] if len(images) > SHOWN else [])


def state(file: Path) -> tuple[int | None, int | None]:
    """Return size (bytes) and time of the last change (ns) of a file, None where it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None, None
    # The time of the last change of the inode: a good copy may well have the old size and time of modification.
    return found.st_size, found.st_ctime_ns
