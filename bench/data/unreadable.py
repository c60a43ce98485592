"""Images that cannot be read: found while a cache is built, listed beside it, and left out of the tables.

`<folder of the cache>.unreadable.json` holds uid, path and reason of each image, and size and time of change of its
file. Once the file changes, the image is no longer taken for unreadable and the next build tries it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pandas as pd

from bench.errors import DataError
from bench.files import write_json

REASON = "FILE_CORRUPT"
"""The reason under which `attrs["left_out"]` of a table counts these images."""
SHOWN = 10
"""Number of images named in a message; the list on disk has all of them."""
TOO_MANY = 10
"""A build stops when more than one in this many images cannot be read."""


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be read, and why; `size` (bytes) and `changed` (ns) of its file are None without a file."""

    uid: str
    path: str
    why: str
    size: int | None
    changed: int | None

    def unchanged(self, root: Path) -> bool:
        """Tell whether the file is the one that could not be read."""
        return (self.size, self.changed) == state(root / self.path)


def without(table: pd.DataFrame, images: Sequence[Unreadable]) -> pd.DataFrame:
    """Return the rows of a table (column uid) except those of `images`, which `attrs["left_out"]` counts."""
    result = table[~table["uid"].isin([image.uid for image in images])].reset_index(drop=True)
    result.attrs = {**table.attrs, "left_out": {**table.attrs.get("left_out", {}), REASON: len(images)}}
    return result


def list_file(folder: Path) -> Path:
    """Return the file of the list for the cache in `folder`."""
    return folder.with_name(f"{folder.name}.unreadable.json")


def listed(folder: Path, root: Path) -> tuple[Unreadable, ...]:
    """Return the listed images whose files have not changed since; none where there is no list."""
    try:
        images = msgspec.json.decode(list_file(folder).read_bytes(), type=tuple[Unreadable, ...])
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()  # missing or incomplete: the next build writes it again
    return tuple(image for image in images if image.unchanged(root))


def write_list(folder: Path, images: Sequence[Unreadable]) -> None:
    """Write the list, or remove it where there are no images."""
    if images:
        write_json(list_file(folder), images)
    else:
        list_file(folder).unlink(missing_ok=True)


def refuse_many(images: Sequence[Unreadable], n: int, root: Path) -> None:
    """Raise DataError where more than one in ten of `n` images cannot be read: the folder is probably the wrong one."""
    if len(images) * TOO_MANY > n:
        raise DataError(
            f"{len(images)} of {n} images cannot be read, more than one in {TOO_MANY}: is {root} the right folder?"
            + "".join(f"\n  {line}" for line in lines(images))
        )


def lines(images: Sequence[Unreadable]) -> list[str]:
    """Return a line for each of the first ten images, and one with the number of the others."""
    shown = [f"{image.path} ({image.uid}): {image.why}" for image in images[:SHOWN]]
    return shown + ([f"and {len(images) - SHOWN} more"] if len(images) > SHOWN else [])


def state(file: Path) -> tuple[int | None, int | None]:
    """Return size (bytes) and time of the last change (ns) of a file, or None and None where there is no file."""
    try:
        found = file.stat()
    except OSError:
        return None, None
    # The time of the last change of the inode: a good copy may have the size and modification time of the bad file.
    return found.st_size, found.st_ctime_ns
