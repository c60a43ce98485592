"""Stored predictions: one row for each image of each set.

Columns are `image_id`, `set`, `cluster` (a number for each patient of the set, or for each lesion or image where
patients or lesions are not known), `y`, `logit` and, for each attribute, `a_<attribute>` with the number of the group
(-1: not known).
The metadata of the file hold the schema and the meaning of a cluster.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.cells.identity import Cell, predictions_file
from bench.cells.record import Record
from bench.errors import DataInvalid
from bench.files import content_of, replacing

PREDICTIONS_SCHEMA = 1
_LARGEST = float(np.finfo(np.float32).max)
ATTRIBUTE = "a_"
"""Prefix of the column of an attribute. The first such column is the attribute that is mitigated."""


class Scored(NamedTuple):
    """The images that a model was scored on, one row each, and its logits (N,).

    `images` has the columns of the file except `logit`. Models of a fold usually share one frame.
    """

    images: pd.DataFrame
    logit: np.ndarray


class Predictions:
    """Reads the predictions of cells and keeps them in memory: logits by cell, images by fold."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._kept: dict[Cell, Scored] = {}
        self._last: dict[int, tuple[pa.Table, pd.DataFrame]] = {}

    def __call__(self, record: Record) -> Scored:
        """Return the predictions of a cell; the column `a` holds the groups of the mitigated attribute.

        Raises:
            OSError, ValueError: if the file does not exist or cannot be read.
        """
        cell = record.cell.identity
        if cell not in self._kept:
            # Threads and a data set interface would take longer than the reading of such a small file.
            table = pq.ParquetFile(predictions_file(self._results, cell)).read(use_threads=False)
            mitigated = next((name for name in table.column_names if name.startswith(ATTRIBUTE)), "")
            _check(table, predictions_file(self._results, cell))
            table = table.rename_columns(["a" if name == mitigated else name for name in table.column_names])
            images = table.drop_columns("logit")
            before, frame = self._last.get(cell.fold, (None, None))
            if frame is None or not images.equals(before):
                # Converting strings takes longest, so it is done once for all models of a fold.
                frame = images.to_pandas(use_threads=False)
                self._last[cell.fold] = images, frame
            self._kept[cell] = Scored(frame, table["logit"].to_numpy())
        return self._kept[cell]


def _check(table: pa.Table, file: Path) -> None:
    """Raise DataInvalid unless a table has the columns of predictions, with labels, groups and logits that can be."""
    lacking = [name for name in ("image_id", "set", "cluster", "y", "logit") if name not in table.column_names]
    if lacking:
        raise DataInvalid(f"{file}: predictions without the column {lacking[0]!r}")
    groups = [name for name in table.column_names if name.startswith(ATTRIBUTE)]
    for name, low, high in (("y", 0, 1), *((name, -1, 1000) for name in groups), ("logit", -_LARGEST, _LARGEST)):
        values = table[name].to_numpy()
        if not np.issubdtype(values.dtype, np.number) or not bool(((values >= low) & (values <= high)).all()):
            raise DataInvalid(f"{file}: {name} must be a number from {low} to {high} in every row")


def write_predictions(file: Path, table: pd.DataFrame) -> None:
    """Write predictions in one step.

    Raises:
        NotWritten: if the folder cannot be written or the disk is full.
    """
    written = pa.Table.from_pandas(table, preserve_index=False)
    says = {"schema": str(PREDICTIONS_SCHEMA), "cluster": "patient, else lesion, else image"}
    with replacing(file) as temporary:
        pq.write_table(written.replace_schema_metadata(says), temporary)


def check_predictions(file: Path, record: Record) -> bytes:
    """Return the content of the predictions of the cell whose JSON is `file`.

    Raises:
        DataInvalid: if the file does not exist or is not the one that was stored with the record.
    """
    try:
        content = content_of(file.with_suffix(".parquet"))
    except OSError:
        raise DataInvalid("its predictions are missing") from None
    if hashlib.sha256(content).hexdigest() != record.predictions_sha256:
        raise DataInvalid("its predictions are damaged or of another run")
    return content


def read_predictions(file: Path, record: Record, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of the predictions of the cell whose JSON is `file`.

    Raises:
        DataInvalid: as `check_predictions`, or if the file cannot be read.
    """
    content = check_predictions(file, record)
    try:
        return pd.read_parquet(io.BytesIO(content), columns=list(columns))
    except (OSError, ValueError, KeyError) as error:
        raise DataInvalid(f"its predictions cannot be read: {str(error).partition(chr(10))[0]}") from None
