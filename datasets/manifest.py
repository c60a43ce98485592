"""Your own images and one CSV table of them, without any code.

input:    one image file per row of the table (PNG, JPEG, TIFF, DICOM, ...; 8 or 16 bits, grey or colour)
label:    any column; the task says how it becomes 0 and 1 (`label.column`)
metadata: any other columns; the task names the attribute (`attribute.column`) and the rows of each set (`where`)
website:  none, the files are yours
licence:  yours; nothing is sent anywhere
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from bench.api import Dataset, option
from bench.data.columns import require_columns, texts
from bench.data.find_files import find_files
from bench.data.sample_table import CONTRACT
from bench.data.table_files import looks_like_data, read_table_file
from bench.decode import read_image
from bench.errors import DataInvalid, DataMissing

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Manifest(Dataset):
    """Your own images and one CSV table of them, without any code."""

    access = "Give the table with manifest:csv=PATH, relative to the data folder or absolute."
    licence = "as its owner says"
    citation = "none"

    csv: str = option("manifest.csv", says="The table, relative to the data folder or absolute.")
    images: str = option(".", says="The folder of the images, relative to the folder of the table or absolute.")
    path_column: str = option("path", says="The column of image files, relative to the folder of the images.")
    suffix: str = option(
        "", says="What to append to values of the path column; without it, a file with that stem is found."
    )
    patient_column: str | None = option(
        None, says="The column of patients, none of whom is in two splits; none: each image is its own."
    )
    source_column: str | None = option(None, says="The column of sites or releases, by which folds are balanced.")
    prefix: str = option("", says="Tables with one prefix share their patient numbers; none: the path of the table.")
    separator: Literal["auto", "comma", "semicolon", "tab", "pipe"] = option("auto", says="What separates fields.")
    encoding: str = option("auto", says="The encoding of the text, such as utf-8 or cp1252; auto: recognised.")
    bits: int | None = option(None, low=8, high=16, says="Bits that files of 16 hold, such as 12; none: all of them.")
    agreement: bool = option(
        False, says="Whether the images are under an agreement: models and files made from them say so."
    )

    @property
    def credentialed(self) -> bool:  # type: ignore[override]
        return self.agreement

    def table(self, root: Path) -> pd.DataFrame:
        """All columns of the table, and those of the contract: uid, path, patient, source and drop.

        Several rows may name one image; `bench.data.sample_table` makes one of them.

        Raises:
            DataMissing: the table does not exist.
            DataInvalid: a column is missing, a path is empty, or a column has a name of the suite's.
        """
        file = root / self.csv
        if not file.is_file():
            raise DataMissing(f"table {file}", get_it=self.access)
        rows = read_table_file(file, separator=self.separator, encoding=self.encoding)
        named = [column for column in (self.path_column, self.patient_column, self.source_column) if column]
        try:
            require_columns(rows, named, str(file))
        except DataInvalid as error:
            if looks_like_data([str(name) for name in rows.columns]):
                text = f"{error}. The first line looks like data: add a line of names above it"
                raise DataInvalid(text, code="D010") from None
            raise
        for name in CONTRACT:
            if name in rows.columns and name not in named:
                raise DataInvalid(
                    f"{file}: column {name!r} has a name that the suite uses itself: rename it, or declare it with "
                    "path_column, patient_column or source_column"
                )
        wanted = texts(rows[self.path_column])
        if wanted.isna().any():
            row = int(wanted.isna().to_numpy().argmax()) + 2
            raise DataInvalid(f"{file}: row {row}, column {self.path_column!r} is empty")
        folder = file.parent / self.images
        found = find_files(folder, [f"{path}{self.suffix}" for path in wanted])
        path = pd.Series(_all_below(root, folder, found["name"].tolist()), index=rows.index, dtype="string")
        patient = texts(rows[self.patient_column]) if self.patient_column else pd.Series(pd.NA, index=rows.index)
        cut = int(patient.str.fullmatch(r"\d+[.,]?\d*[eE]\+\d+", na=False).sum())
        cut_note = [f"{cut} patient ids are like 1.23E+11: a spreadsheet cut them, and made one patient of several"]
        prefix = self.prefix or Path(_below(root, file)).as_posix()
        table = rows.assign(
            uid="manifest:" + path,
            path=path,
            # A patient that is not known is the image alone; patient 1 of one table is not patient 1 of another.
            patient=(f"{prefix}:" + patient).fillna("image:" + path),
            source=texts(rows[self.source_column]).fillna("unknown") if self.source_column else file.stem,
            drop=found["drop"].to_numpy(),
        )
        table.attrs = {
            "file": str(file),
            "columns": [str(name) for name in rows.columns],
            "notes": rows.attrs["notes"] + cut_note * bool(cut),
            "prefix": f"{prefix}:",
            "looked_in": str(folder),
            "patients": bool(self.patient_column),
        }
        return table

    def image(self, root: Path, path: str) -> np.ndarray:
        """Decode one image: uint8 (H, W) or (H, W, 3); 16 bits, or as many as `bits` says, are scaled to 8."""
        return read_image(root / path, bits=self.bits)

    def deep_image(self, root: Path, path: str) -> np.ndarray:
        """Decode one image with all its grey levels: uint16, or uint8 (H, W) or (H, W, 3) of a file of 8 bits."""
        return read_image(root / path, bits=self.bits, deep=True)


def _all_below(root: Path, folder: Path, names: list[str]) -> list[str]:
    """Return `_below` of each file of a folder, found once for each folder that they are in."""
    before: dict[str, str] = {}
    found = []
    for name in names:
        parent, sign, last = name.rpartition("/")
        if last == "..":
            found.append(_below(root, folder / name))
            continue
        if parent + sign not in before:
            before[parent + sign] = _below(root, folder / f"{parent}{sign}x").removesuffix("x")
        found.append(before[parent + sign] + last)
    return found


def _below(root: Path, file: Path) -> str:
    """Return the path of a file below `root`, or the absolute one; one file has one, however it was written."""
    whole = Path(os.path.normpath(file.absolute()))
    home = Path(os.path.normpath(root.absolute()))
    return (whole.relative_to(home) if whole.is_relative_to(home) else whole).as_posix()
