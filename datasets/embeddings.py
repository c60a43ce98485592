"""Vectors in place of images, from a file of your own: of a foundation model, or of `bench prepare --features`.

input:    one vector per row, all of one length: float32 `vector` (N, D)
label:    any column; the task says how it becomes 0 and 1 (`label.column`)
metadata: `id`; optional `patient` and `source` (site); any other columns, which the task names
website:  none, the file is yours
licence:  yours; nothing is sent anywhere

A Parquet file has these columns, `vector` a list of numbers; an npz file has arrays of these names.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.api import Dataset, option
from bench.data.columns import require_columns, texts
from bench.errors import DataInvalid, DataMissing

if TYPE_CHECKING:
    import numpy as np

OWN = ("uid", "path", "drop")
"""Columns that the suite adds."""


@dataclass(frozen=True, kw_only=True)
class Embeddings(Dataset):
    """Vectors from a Parquet or npz file."""

    access = (
        "Give the file with embeddings:FILE, relative to the data folder or absolute; `bench prepare --features` "
        "writes one."
    )
    licence = "as its owner says"
    citation = "none"
    unnamed = "file"

    file: str = option("embeddings.parquet", "The file, .parquet or .npz, relative to the data folder or absolute.")
    generated: bool = option(False, "Whether they are of generated images: every table and figure then says so.")
    agreement: bool = option(False, "Whether they are of images under an agreement: models made from them say so.")

    @property
    def credentialed(self) -> bool:  # type: ignore[override]
        return self.agreement

    def table(self, root: Path) -> pd.DataFrame:
        """All columns of the file but the vectors, and those of the contract.

        Raises:
            DataMissing: the file does not exist.
            DataInvalid: as `vectors`; or a column has a name of the suite's.
        """
        rows, _ = self._read(root)
        file = root / self.file
        if taken := [name for name in OWN if name in rows.columns]:
            raise DataInvalid(f"{file}: column {taken[0]!r} has a name that the suite uses itself: rename it")
        path = texts(rows["id"])
        patient = texts(rows["patient"]) if "patient" in rows.columns else pd.Series(pd.NA, index=rows.index)
        table = rows.assign(
            uid=f"embeddings:{file.stem}/" + path,
            path=path,
            patient=(f"{file.stem}:" + patient).fillna("image:" + path),
            source=texts(rows["source"]).fillna("unknown") if "source" in rows.columns else file.stem,
            drop="",
        )
        table.attrs = {
            "file": str(file),
            "columns": [*map(str, rows.columns), "vector"],
            "patients": "patient" in rows.columns,
            "prefix": f"{file.stem}:",
        }
        return table

    def vectors(self, root: Path) -> tuple[Sequence[str], np.ndarray]:
        """Return the ids (N,) and vectors (N, D) of the file.

        Raises:
            DataMissing: the file does not exist.
            DataInvalid: an id is missing, or vectors differ in length or hold NaN; the message names the first row.
        """
        rows, values = self._read(root)
        return texts(rows["id"]).tolist(), values

    def _read(self, root: Path) -> tuple[pd.DataFrame, np.ndarray]:
        file = root / self.file
        if not file.is_file():
            raise DataMissing(f"file of embeddings {file}", get_it=self.access)
        state = file.stat()
        return _read(file, state.st_size, state.st_mtime_ns)


@lru_cache(4)
def _read(file: Path, *_: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Read a file once for all sets; it is read again when its size or time changes."""
    import numpy as np

    if file.suffix.lower() not in (".parquet", ".npz"):
        raise DataInvalid(f"{file}: a .parquet or .npz file expected", code="D004")
    try:
        found = pd.read_parquet(file) if file.suffix.lower() == ".parquet" else _npz(file)
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataInvalid(f"{file} cannot be read ({str(error).partition(chr(10))[0]})", code="D004") from None
    require_columns(found, ("id", "vector"), str(file))
    if found.empty:
        raise DataInvalid(f"{file} has no rows", code="D004")
    ids = texts(found["id"]).fillna("")
    _refuse(file, ids, (ids == "").to_numpy(), "has no id")
    lengths = np.array([np.size(vector) if np.ndim(vector) == 1 else 0 for vector in found["vector"]])
    usual = int(np.bincount(lengths).argmax())
    says = "is no vector of numbers" if usual == 0 else f"has a vector of another length than {usual}"
    _refuse(file, ids, np.asarray((lengths != usual) | (lengths == 0)), says)
    try:
        values = np.stack([np.asarray(vector, dtype=np.float32) for vector in found["vector"]])
    except (TypeError, ValueError):
        raise DataInvalid(f"{file}: column 'vector': numbers expected", code="D011") from None
    _refuse(file, ids, np.asarray(~np.isfinite(values).all(axis=1)), "has NaN or an infinite number in its vector")
    return found.drop(columns="vector"), values


def _npz(file: Path) -> pd.DataFrame:
    import numpy as np

    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("arrays of different lengths: " + ", ".join(f"{name} {n}" for name, n in lengths.items()))
    return pd.DataFrame({name: list(array) for name, array in arrays.items()})


def _refuse(file: Path, ids: pd.Series, bad: np.ndarray, says: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise DataInvalid(
            f"{file}: row {row + 1}, id {ids.iloc[row]!r}, {says} ({int(bad.sum())} such rows)", code="D011"
        )
