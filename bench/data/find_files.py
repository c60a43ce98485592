"""The image files that a table names, however it writes their paths."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
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
    folders: dict[Path, _Folder] = {}
    lines = []
    for written in paths:
        path = PurePosixPath(written if (folder / written).is_file() else written.replace("\\", "/"))
        place = (folder / path).parent
        if place not in folders:
            # One listing a folder: asking for each of 100,000 files takes minutes on a network drive.
            folders[place] = _Folder(place)
        found = folders[place].find(path.name)
        lines.append((str(path.parent / (found or path.name)), "" if found else "FILE_MISSING"))
    return pd.DataFrame(lines, columns=["name", "drop"])


class _Folder:
    """The files of one folder, by name and by what a name may be written as."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.names: dict[str, bool] = {}
        self.alike: dict[str, list[str]] = defaultdict(list)
        if place.is_dir():
            with os.scandir(place) as entries:
                self.names = {entry.name: entry.is_dir() for entry in entries}
        for name, is_folder in self.names.items():
            if not is_folder:
                for key in {_key(name), _key(name.rpartition(".")[0])} - {""}:
                    self.alike[key].append(name)

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
