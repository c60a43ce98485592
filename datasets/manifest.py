"""Your own images and one CSV table of them, without any code.

input:    one image file per row of the table (PNG, JPEG, TIFF, ...; 8 or 16 bits, grey or colour)
label:    any column; the task says how it becomes 0 and 1 (`label.column`)
metadata: any other columns; the task names the attribute (`attribute.column`) and the rows of each set (`where`)
website:  none, the files are yours
licence:  yours; nothing is sent anywhere
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api import Dataset, option
from bench.data.columns import require_columns, texts
from bench.data.release_files import read_csv
from bench.data.sample_table import CONTRACT
from bench.decode import read_image
from bench.errors import DataInvalid, DataMissing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Manifest(Dataset):
    """Your own images and one CSV table of them, without any code."""

    access = "Give the table with manifest:csv=PATH, relative to the data folder or absolute."
    licence = "as its owner says"
    citation = "none"

    csv: str = option("manifest.csv", says="The table, relative to the data folder or absolute.")
    images: str = option(".", says="The folder of the images, relative to the folder of the table or absolute.")
    path_column: str = option("path", says="The column of image files, relative to the folder of the images.")
    patient_column: str | None = option(
        None, says="The column of patients, none of whom is in two splits; none: each image is its own."
    )
    source_column: str | None = option(None, says="The column of sites or releases, by which folds are balanced.")

    def table(self, root: Path) -> pd.DataFrame:
        """All columns of the CSV, and those of the contract: uid, path, patient, source and drop (empty).

        Raises:
            DataMissing: the CSV does not exist, or image files do not (how many, and the first).
            DataInvalid: a column is missing, a path is empty or repeated, or a column has a name of the suite's.
        """
        file = root / self.csv
        if not file.is_file():
            raise DataMissing(f"table {file}", get_it=self.access)
        named = [column for column in (self.path_column, self.patient_column, self.source_column) if column]
        try:
            # Identifiers stay text, such as "007".
            rows = read_csv(file, dtype=dict.fromkeys(named, "string"))
        except ValueError as error:
            raise DataInvalid(f"{file} is not a CSV table in UTF-8: {error}") from error
        require_columns(rows, named, str(file))
        for name in CONTRACT:
            if name in rows.columns and name not in named:
                raise DataInvalid(
                    f"{file}: column {name!r} has a name that the suite uses itself: rename it, or declare it with "
                    "path_column, patient_column or source_column"
                )
        paths = texts(rows[self.path_column])
        _check_paths(paths, file, self.path_column)
        folder = file.parent / self.images
        _check_files(folder, list(paths))
        # An unknown patient has one image. Patient 1 of one table is not patient 1 of another.
        patients = texts(rows[self.patient_column]).fillna(paths) if self.patient_column else paths
        sources = texts(rows[self.source_column]).fillna("unknown") if self.source_column else file.stem
        table = rows.assign(
            uid=f"manifest:{file.stem}:" + paths,
            path=[_below(root, folder / path) for path in paths],
            patient=f"{file.stem}:" + patients,
            source=sources,
            drop="",
        )
        table.attrs["file"] = str(file)
        return table

    def image(self, root: Path, path: str) -> np.ndarray:
        """Decode one image: uint8 (H, W) or (H, W, 3); 16 bits are scaled to 8."""
        return read_image(root / path)


def _check_paths(paths: pd.Series, file: Path, column: str) -> None:
    """Raise DataInvalid for an empty or repeated path; rows are numbered as in a spreadsheet, the header being 1."""
    empty = paths.isna()
    if empty.any():
        raise DataInvalid(f"{file}: row {int(empty.to_numpy().argmax()) + 2}, column {column!r} is empty")
    repeated = paths.duplicated()
    if repeated.any():
        path = paths[repeated].iloc[0]
        rows = [str(int(row) + 2) for row in (paths == path).to_numpy().nonzero()[0]]
        shown = ", ".join(rows[:10])
        raise DataInvalid(f"{file}: rows {shown}, column {column!r}: the image {path!r} is listed {len(rows)} times")


def _check_files(folder: Path, paths: list[str]) -> None:
    # Each folder is listed once: asking for each of 100,000 files takes minutes on a network drive.
    listings: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        place = (folder / path).parent
        if place not in listings:
            listings[place] = {entry.name for entry in place.iterdir()} if place.is_dir() else set()
        if (folder / path).name not in listings[place]:
            missing.append(folder / path)
    if missing:
        where = f"Paths are looked up in {folder}: give images=FOLDER, relative to the table, and path_column=COLUMN."
        raise DataMissing(f"{len(missing)} of {len(paths)} images, first {missing[0]},", get_it=where)


def _below(root: Path, file: Path) -> str:
    return (file.relative_to(root) if file.is_relative_to(root) else file.absolute()).as_posix()
