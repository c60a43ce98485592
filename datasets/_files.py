"""The files of a release as users keep them: in any folder, in any case of letters, zipped or not."""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.data.columns import require_columns
from bench.errors import DataInvalid, DataMissing

IMAGES = ("jpg", "jpeg", "png")


@dataclass(frozen=True)
class Files:
    """What lies below a folder: paths relative to `root`, the least deep first."""

    root: Path
    paths: tuple[str, ...]

    def images(self, *, parts: int = 1, prefer: str = "") -> dict[str, str]:
        """Map the last `parts` parts of each image's path, in lower case and without suffix, to its path.

        Of several images of one name, that with `prefer` in its path comes first, then the least deep.
        """
        found: dict[str, str] = {}
        for path in sorted(self.paths, key=lambda path: prefer not in path.lower()):
            stem, _, suffix = path.lower().rpartition(".")
            if suffix in IMAGES:
                found.setdefault("/".join(stem.split("/")[-parts:]), path)
        return found

    def folders(self) -> dict[str, str]:
        """Map the last part of each path, in lower case, to the path."""
        found: dict[str, str] = {}
        for path in self.paths:
            found.setdefault(path.rpartition("/")[2].lower(), path)
        return found

    def find(self, names: Sequence[str]) -> Path | None:
        """Return the first of the named files that is there, as it is or with `.gz` after its name."""
        have = self.folders()
        for name in names:
            for ending in ("", ".gz"):
                if (path := have.get(name.lower() + ending)) is not None:
                    return self.root / path
        return None

    def table(
        self, names: Sequence[str], columns: Iterable[str], *, get_it: str, other_names: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """Read the first of the named tables that is there; see `read_table`.

        Raises:
            DataMissing: none of them is there.
        """
        file = self.find(names)
        if file is None:
            listed = " or ".join(names)
            raise DataMissing(f"table {listed} (plain or .gz) in {self.root} or a folder in it", get_it=get_it)
        return read_table(file, columns, other_names=other_names)


def files_below(root: Path, *, closed: str = "(?!)") -> Files:
    """List a folder and all folders in it; those whose whole name matches `closed` are listed, not entered.

    Links are followed, since large archives lie on other disks, each folder once.
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
        columns: what must be there; other columns are left out.
        other_names: what some releases call a column -> its name in `columns`.

    Raises:
        DataInvalid: the file is no CSV table, or lacks a column.
    """
    zipped = _check_text(file)
    try:
        with warnings.catch_warnings():
            # Rows longer than the header would be cut, and their cells stand in the wrong columns.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            rows = pd.read_csv(
                file,
                dtype="string",
                keep_default_na=False,
                na_values=[""],
                index_col=False,
                encoding="utf-8-sig",
                compression="gzip" if zipped else None,
            )
    except (ValueError, EOFError, OSError, zlib.error, pd.errors.ParserWarning) as error:
        raise DataInvalid(f"{file} is not a whole CSV table ({error}): download it again", code="D004") from error
    rows = rows.rename(columns={old: new for old, new in (other_names or {}).items() if new not in rows})
    wanted = list(columns)
    require_columns(rows, wanted, str(file))
    rows = rows[wanted].apply(lambda column: column.str.strip().replace("", pd.NA))
    rows.attrs["file"] = str(file)
    return rows


def _check_text(file: Path) -> bool:
    """Return whether the file is gzipped; raise DataInvalid where it begins like something other than a table."""
    with file.open("rb") as opened:
        zipped = opened.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if zipped else file.open("rb") as opened:
            head = opened.read(200)
    except (EOFError, OSError, zlib.error) as error:
        raise DataInvalid(f"{file} is not a whole gzip file ({error}): download it again", code="D004") from error
    if not head.strip() or b"\0" in head or head.lstrip().startswith((b"<", b"version https://git-lfs")):
        raise DataInvalid(
            f"{file} begins with {head[:40]!r}, which is no CSV table (a login page or a Git LFS pointer?): "
            "download the file itself",
            code="D004",
        )
    return zipped


def read_lines(file: Path) -> frozenset[str]:
    """Return the lines of a text file, stripped; raises DataInvalid where it is a page or a pointer instead."""
    with gzip.open(file, "rt") if _check_text(file) else file.open() as opened:
        return frozenset(filter(None, (line.strip() for line in opened)))
