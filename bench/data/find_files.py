"""The image files that a table names, however it writes their paths."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import pandas as pd

from bench.errors import DataInvalid


def find_files(folder: Path, paths: Sequence[str]) -> pd.DataFrame:
    """Return `name`, the path of each image below `folder`, and `drop`: empty, or FILE_MISSING.

    A path may be written with backslashes, `./` or doubled signs, in other case or Unicode form than on the disk, or
    without its suffix, where one file alone fits.

    Raises:
        DataInvalid: several files fit a path, or it is a folder.
    """
    folders: dict[str, tuple[str, _Folder]] = {}
    names, drop = [], []
    for written in paths:
        slashes = "\\" not in written or (folder / written).is_file()
        parent, name = _cut(written if slashes else written.replace("\\", "/"))
        if parent not in folders:
            # One listing a folder: asking for each of 100,000 files takes minutes on a network drive.
            place = PurePosixPath(parent)
            folders[parent] = str(place / "x").removesuffix("x"), _Folder(folder / place)
        before, there = folders[parent]
        found = there.find(name)
        names.append(f"{before}{found or name}")
        drop.append("" if found else "FILE_MISSING")
    return pd.DataFrame({"name": names, "drop": drop})


def _cut(path: str) -> tuple[str, str]:
    """Return the folder of a path, with its last sign, and the name in it; as text, for there may be a million."""
    before, sign, name = path.rpartition("/")
    if name in ("", "."):
        before, sign, name = str(PurePosixPath(path)).rpartition("/")
    return before + sign, name


class _Folder:
    """The files of one folder, by name and by what a name may be written as."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.names: dict[str, bool] = {}
        if place.is_dir():
            with os.scandir(place) as entries:
                self.names = {entry.name: entry.is_dir() for entry in entries}

    @cached_property
    def alike(self) -> dict[str, list[str]]:
        """The files by each way in which a table may write them; made when a name is not on the disk as it is."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in (name for name, is_folder in self.names.items() if not is_folder):
            for key in {_key(name), _key(name.rpartition(".")[0])} - {""}:
                found[key].append(name)
        return found

    def find(self, name: str) -> str | None:
        """Return the name on the disk, None where no file fits."""
        is_folder = self.names.get(name)
        if is_folder is False:
            return name
        fitting = self.alike[_key(name)]
        if len(fitting) > 1:
            raise DataInvalid(
                f"{self.place / name}: several files fit, {' and '.join(sorted(fitting)[:3])}: set suffix=.png, say, "
                "or write names as they are on the disk"
            )
        if not fitting and is_folder:
            raise DataInvalid(f"{self.place / name} is a folder: give the table one row for each file in it")
        return fitting[0] if fitting else None


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
