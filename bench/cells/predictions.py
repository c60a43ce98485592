"""Stored predictions: one row per image of each set.

Columns are `image_id`, `set`, `cluster` (numbers the patients, else lesions, of a set; no name of one is in it), `y`,
`logit` and, for each attribute, `a_<attribute>` with the number of the group. The metadata of the file say which
schema that is and what a cluster is.
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
from bench.errors import DataInvalid, DataMissing
from bench.files import replacing

PREDICTIONS_SCHEMA = 1
ATTRIBUTE = "a_"
"""How the column of an attribute begins: the first is the one that is mitigated."""


class Scored(NamedTuple):
    """The images that a model was scored on, a row each, and its logits (N,).

    Columns of `images` are those of the file but `logit`. Models of a fold share one frame, as a rule.
    """

    images: pd.DataFrame
    logit: np.ndarray


class Predictions:
    """Gives what a cell's record says it was scored on, and keeps it: logits by cell, images by fold."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._kept: dict[Cell, Scored] = {}
        self._last: dict[int, tuple[pa.Table, pd.DataFrame]] = {}

    def __call__(self, record: Record) -> Scored:
        """Return the predictions of a cell; the groups of the attribute that is mitigated are the column `a`.

        Raises:
            OSError, ValueError: they are not there, or cannot be read.
        """
        cell = record.cell.identity
        if cell not in self._kept:
            # Of files this small, threads and what is looked up beforehand take longer than the reading.
            table = pq.ParquetFile(predictions_file(self._results, cell)).read(use_threads=False)
            mitigated = next((name for name in table.column_names if name.startswith(ATTRIBUTE)), "")
            table = table.rename_columns(["a" if name == mitigated else name for name in table.column_names])
            images = table.drop_columns("logit")
            before, frame = self._last.get(cell.fold, (None, None))
            if frame is None or not images.equals(before):
                # Strings take longest to make: once for all models of a fold.
                frame = images.to_pandas(use_threads=False)
                self._last[cell.fold] = images, frame
            self._kept[cell] = Scored(frame, table["logit"].to_numpy())
        return self._kept[cell]


def write_predictions(file: Path, table: pd.DataFrame) -> None:
    """Write predictions in one step.

    Raises:
        NotWritten: the folder cannot be written, or the disk is full.
    """
    written = pa.Table.from_pandas(table, preserve_index=False)
    says = {"schema": str(PREDICTIONS_SCHEMA), "cluster": "patient, else lesion, else image"}
    with replacing(file) as temporary:
        pq.write_table(written.replace_schema_metadata(says), temporary)


def check_predictions(file: Path, record: Record) -> bytes:
    """Return the content of the predictions of the cell whose JSON is `file`.

    Raises:
        DataMissing: they are not there.
        DataInvalid: they are not those of the record.
    """
    try:
        content = file.with_suffix(".parquet").read_bytes()
    except OSError:
        get_it = "`bench run --force` makes them anew."
        raise DataMissing(f"its predictions {file.with_suffix('.parquet').name}", get_it=get_it) from None
    if hashlib.sha256(content).hexdigest() != record.predictions_sha256:
        raise DataInvalid("its predictions are damaged or of another run: `bench run --force` makes them anew")
    return content


def read_predictions(file: Path, record: Record, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of the predictions of the cell whose JSON is `file`.

    Raises:
        DataMissing: they are not there.
        DataInvalid: they are not those of the record, or cannot be read.
    """
    content = check_predictions(file, record)
    try:
        return pd.read_parquet(io.BytesIO(content), columns=list(columns))
    except (OSError, ValueError, KeyError) as error:
        raise DataInvalid(f"its predictions cannot be read: {str(error).partition(chr(10))[0]}") from None
