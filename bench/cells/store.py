"""Cells on disk. A cell is done when its JSON is there with today's hash; the JSON is written last."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import time
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from bench.cells.identity import (
    SCHEMA,
    Cell,
    baselines_folder,
    cell_file,
    cells_folder,
    failure_file,
    pictures_file,
    predictions_file,
    scores_file,
    shared_folder,
)
from bench.cells.predictions import write_predictions
from bench.cells.record import Failure, Record, Scores, identity_of, read, scores_identity
from bench.errors import DataInvalid
from bench.files import replacing, write_json
from bench.lease import abandon, running

State = Literal["done", "stale", "failed", "pending"]
RECOMPUTE = "`bench metrics --recompute` makes them anew"


def state(results: Path, cell: Cell, expected: str) -> State:
    """Return the state of the files of a cell, whose hash would be `expected` today."""
    return state_and_reason(results, cell, expected)[0]


def state_and_reason(results: Path, cell: Cell, expected: str) -> tuple[State, str]:
    """Return the state of the files of a cell, and what is stale about them."""
    try:
        found = identity_of(cell_file(results, cell).read_bytes())
    except OSError:
        found = None
    if found is None:
        return ("failed" if failure_file(results, cell).is_file() else "pending"), ""
    if found.schema != SCHEMA:
        return "stale", f"schema {found.schema}, {SCHEMA} expected"
    if found.hash != expected:
        return "stale", "of other images, settings or code"
    return ("done", "") if predictions_file(results, cell).is_file() else ("stale", "its predictions are missing")


def read_cell(file: Path) -> Record:
    """Read a cell with its scores.

    Raises:
        DataInvalid: the cell or its scores are not there, not whole, of another schema, or not of each other.
    """
    record = read(file, Record)
    if not scores_file(file).is_file():
        raise DataInvalid(f"its scores are missing: {RECOMPUTE}")
    scores = read(scores_file(file), Scores)
    if scores.identity != scores_identity(record):
        raise DataInvalid(f"its scores are of other predictions or groups: {RECOMPUTE}")
    return replace(record, scores=scores.sets, metrics_version=scores.version)


def save_cell(results: Path, cell: Cell, record: Record, predictions: Any, pictures: bytes) -> Record:
    """Write the predictions (a DataFrame), the pictures, the scores and then the cell, each in one step.

    An earlier failure is removed before the cell is written, as are earlier pictures where there are none (no bytes)
    now. Returns the cell as it is read again.

    Raises:
        NotWritten: the folder cannot be written, or the disk is full.
    """
    file = predictions_file(results, cell)
    write_predictions(file, predictions)
    record = replace(record, predictions_sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    if pictures:
        with replacing(pictures_file(results, cell)) as temporary:
            temporary.write_bytes(pictures)
    else:
        pictures_file(results, cell).unlink(missing_ok=True)
    place = cell_file(results, cell)
    scores = Scores(version=record.metrics_version, identity=scores_identity(record), sets=record.scores)
    write_json(scores_file(place), scores)
    failure_file(results, cell).unlink(missing_ok=True)
    write_json(place, replace(record, scores={}, metrics_version=0))
    return record


def save_failure(results: Path, cell: Cell, failure: Failure) -> Path:
    """Write why a cell failed; counts the attempts."""
    file, before = failure_file(results, cell), 0
    with contextlib.suppress(DataInvalid):
        before = read(file, Failure).attempt
    write_json(file, replace(failure, attempt=before + 1))
    return file


def clear_temporaries(results: Path, task: str, cache: Path) -> None:
    """Remove what killed writers of a task and its cache left behind; a file of a living writer is left alone.

    That is half-written files, leases of cells, and checkpoints of baselines whose weights stand.
    """
    cells, baselines = cells_folder(results, task), baselines_folder(cache)
    for file in cells.glob("*/*/.*.lease.*"):
        abandon(file)
    for file in baselines.glob("*.checkpoint"):
        if file.with_suffix(".pt").is_file():
            with contextlib.suppress(OSError):
                file.unlink()
    for file in (*cells.glob("*/*/.*"), *baselines.glob(".*"), *shared_folder(cache).glob(".*")):
        if ".lease." in file.name:
            continue
        host, _, pid = file.name.rpartition(".")
        here = host.endswith(f".{platform.node()}") and pid.isdigit()
        with contextlib.suppress(OSError):
            if not running(int(pid)) if here else time.time() - file.stat().st_mtime > 3600:
                file.unlink()
