"""The files of a release as users keep them: in any folder, in upper or lower case, gzipped or not."""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.data.columns import require_columns
from bench.errors import DataInvalid, DataMissing

IMAGES = ("jpg", "jpeg", "png")


@dataclass(frozen=True)
class Files:
    """The files below a folder: paths relative to `root`, those in the fewest folders first."""

    root: Path
    paths: tuple[str, ...]

    def images(self, *, parts: int = 1, prefer: str = "") -> dict[str, str]:
        """Map the last `parts` parts of each image's path, in lower case and without suffix, to its path.

        Of several images with one name, one with `prefer` in its path is taken, otherwise that in the fewest folders.
        """
        found: dict[str, str] = {}
        for path in sorted(self.paths, key=lambda path: prefer not in path.lower()):
            stem, _, suffix = path.lower().rpartition(".")
            if suffix in IMAGES:
                found.setdefault("/".join(stem.split("/")[-parts:]), path)
        return found

    def by_name(self) -> dict[str, str]:
        """Map the last part of each path, in lower case, to the path."""
        found: dict[str, str] = {}
        for path in self.paths:
            found.setdefault(path.rpartition("/")[2].lower(), path)
        return found

    def find(self, names: Sequence[str]) -> Path | None:
        """Return the first of the named files that exists, with or without `.gz` after its name."""
        have = self.by_name()
        wanted = (name.lower() + ending for name in names for ending in ("", ".gz"))
        return next((self.root / have[name] for name in wanted if name in have), None)

    def table(
        self, names: Sequence[str], columns: Iterable[str], *, get_it: str, other_names: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """Read the first of the named tables that exists; see `read_table`.

        Raises:
            DataMissing: none of them exists.
        """
        file = self.find(names)
        if file is None:
            listed = " or ".join(names)
            raise DataMissing(f"table {listed} (plain or .gz) in {self.root} or a folder in it", get_it=get_it)
        return read_table(file, columns, other_names=other_names)


def files_below(root: Path, *, closed: str = "(?!)") -> Files:
    """List the files in a folder and all folders below it; a folder whose name matches `closed` is listed, not entered.

    Links are followed, because large archives are often on other disks, and each folder is entered once.
    """
    found: list[str] = []
    seen: set[Path] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = Path(folder).resolve()
        shut = [name for name in folders if re.fullmatch(closed, name)]
        folders[:] = [] if real in seen else sorted({*folders} - {*shut})
        if real not in seen:
            prefix = Path(folder).relative_to(root).as_posix() + "/"
            found += [prefix.removeprefix("./") + name for name in (*names, *shut)]
        seen.add(real)
    return Files(root, tuple(sorted(found, key=lambda path: (path.count("/"), path))))


def read_table(file: Path, columns: Iterable[str], *, other_names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the named columns of a CSV table as text; only an empty cell is missing.

    Args:
        file: plain or gzipped, whatever its name says.
        columns: the columns that are needed; others are left out.
        other_names: the name of a column in some releases -> its name in `columns`.

    Raises:
        DataInvalid: the file is not a CSV table, or lacks a column.
    """
    zipped = _check_text(file)
    try:
        rows = read_csv(file, dtype="string", compression="gzip" if zipped else None)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise DataInvalid(f"{file} is not a complete CSV table ({error}): download it again", code="D004") from error
    rows = rows.rename(columns={old: new for old, new in (other_names or {}).items() if new not in rows})
    wanted = list(columns)
    require_columns(rows, wanted, str(file))
    rows = rows[wanted].apply(lambda column: column.str.strip().replace("", pd.NA))
    rows.attrs["file"] = str(file)
    return rows


def read_csv(file: Path, **options: Any) -> pd.DataFrame:
    """Return a CSV table in UTF-8 in which only an empty cell is missing; words such as "None" are values.

    Raises:
        ValueError: the file is not such a table, or a row is longer than the header.
    """
    with warnings.catch_warnings():
        # pandas would cut such rows and put their cells into the wrong columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(
                file, keep_default_na=False, na_values=[""], index_col=False, encoding="utf-8-sig", **options
            )
        except pd.errors.ParserWarning as error:
            raise ValueError(str(error)) from error


def _check_text(file: Path) -> bool:
    """Return whether the file is gzipped; raise DataInvalid where its beginning is not that of a table."""
    with file.open("rb") as opened:
        zipped = opened.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if zipped else file.open("rb") as opened:
            head = opened.read(200)
    except (EOFError, OSError, zlib.error) as error:
        raise DataInvalid(f"{file} is not a complete gzip file ({error}): download it again", code="D004") from error
    if not head.strip() or b"\0" in head or head.lstrip().startswith((b"<", b"version https://git-lfs")):
        raise DataInvalid(
            f"{file} begins with {head[:40]!r}, which is not a CSV table (a login page or a Git LFS pointer?): "
            "download the file itself",
            code="D004",
        )
    return zipped


def read_lines(file: Path) -> frozenset[str]:
    """Return the lines of a text file, stripped; raise DataInvalid for a web page or a pointer."""
    with gzip.open(file, "rt") if _check_text(file) else file.open() as opened:
        return frozenset(filter(None, (line.strip() for line in opened)))
