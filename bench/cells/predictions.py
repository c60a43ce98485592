"""Stored predictions of a task's cells, each file read once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.cells.store import predictions_file
from bench.run.plan import Cell


class Scored(NamedTuple):
    """The images that a model was scored on, a row each, and its logits (N,).

    Columns of `images` are set, image_id, y, a and, if young, group. Models of a fold share one frame, as a rule.
    """

    images: pd.DataFrame
    logit: np.ndarray


class Predictions:
    """Gives what a cell's record says it was scored on, and keeps it: logits by cell, images by fold."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._kept: dict[Cell, Scored] = {}
        self._last: dict[int, tuple[pa.Table, pd.DataFrame]] = {}

    def __call__(self, record: Mapping[str, Any]) -> Scored:
        """Return the predictions of a cell.

        Raises:
            OSError, ValueError: they are not there, or cannot be read.
        """
        cell = place_of(record)
        if cell not in self._kept:
            table = read_table(self._results, cell)
            images = table.drop_columns("logit")
            before, frame = self._last.get(cell.fold, (None, None))
            if frame is None or not images.equals(before):
                # Strings take longest to make: once for all models of a fold.
                frame = images.to_pandas(use_threads=False)
                self._last[cell.fold] = images, frame
            self._kept[cell] = Scored(frame, table["logit"].to_numpy())
        return self._kept[cell]


def read_table(results: Path, cell: Cell) -> pa.Table:
    """Read the predictions of a cell: set, image_id, y, a, logit and, if young, group."""
    # Of files this small, threads and what is looked up beforehand take longer than the reading.
    return pq.ParquetFile(predictions_file(results, cell)).read(use_threads=False)


def place_of(record: Mapping[str, Any]) -> Cell:
    """Return which cell a record is of."""
    known = record["cell"]
    return Cell(known["task"], known["backbone"], known["spec"], known["fold"], known["seed"])
