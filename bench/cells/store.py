"""Cells on disk. A cell is done if its JSON exists and has today's hash; the JSON is written last."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from bench.cells import identity
from bench.cells.bounds import identity_of
from bench.cells.intact import damaged, damaged_scores, described, sealed, whole
from bench.cells.predictions import write_predictions
from bench.cells.record import Failure, Record, Scores, read, scores_identity
from bench.errors import DataInvalid
from bench.files import content_of, write_file, write_json
from bench.lease import abandon
from bench.processes import here, running
from bench.settings import Settings, command, of_task

State = Literal["done", "stale", "failed", "pending"]


def state(results: Path, cell: identity.Cell, expected: str, *, verify: bool = False) -> State:
    """Return the state of a cell whose hash would be `expected` today."""
    return state_and_reason(results, cell, expected, verify=verify)[0]


def state_and_reason(results: Path, cell: identity.Cell, expected: str, *, verify: bool = False) -> tuple[State, str]:
    """Return the state of a cell and, if it is stale, the reason; with `verify`, the bytes of its files are read.

    A cell whose files are not as they were written is stale.
    """
    content, found = b"", None
    with contextlib.suppress(OSError):
        content = content_of(identity.cell_file(results, cell))
        found = identity_of(content)
    if found is None and content:
        return "stale", "its record is damaged"
    if found is None:
        return ("failed" if identity.failure_file(results, cell).is_file() else "pending"), ""
    if found.schema != identity.SCHEMA:
        return "stale", f"schema {found.schema}, {identity.SCHEMA} expected"
    if found.hash != expected:
        return "stale", "computed from other images, settings or code"
    if not identity.predictions_file(results, cell).is_file():
        return "stale", "its predictions are missing"
    place = identity.cell_place(results, cell)
    why = damaged(place, content, found, verify=verify) or damaged_scores(place, found, verify=verify)
    return ("stale", why) if why else ("done", "")


def weights_of(results: Path, cells: Iterable[identity.Cell]) -> Iterator[tuple[identity.Cell, str]]:
    """Yield the cells that have a result, with the checksum of the baseline that each started from."""
    for cell in cells:
        with contextlib.suppress(OSError):
            found = identity_of(content_of(identity.cell_file(results, cell)))
            if found is not None:
                yield cell, found.baseline_sha256


def again(settings: Settings, cell: identity.Cell, *, force: bool = False) -> str:
    """Return the command that computes a cell again; `force`: even if it seems to be done."""
    if cell.backbone == identity.ELSEWHERE:
        return "bench score"
    fold, seed = (cell.fold,), (cell.seed,)
    one = replace(of_task(settings), methods=cell.spec, backbone=cell.backbone, folds=fold, seeds=seed, force=force)
    return command("run", one)


def read_cell(file: Path) -> Record:
    """Read a cell with its scores.

    Raises:
        DataInvalid: if the cell or its scores are missing or damaged, have another schema, or do not belong together.
    """
    record = read(file, Record)
    if record.checksum and not whole(content_of(file), record.checksum):
        raise DataInvalid("its record is damaged")
    if not identity.scores_file(file).is_file():
        raise DataInvalid(f"its scores are missing: {_rescore(file)}")
    scores = read(identity.scores_file(file), Scores)
    if not whole(content_of(identity.scores_file(file)), scores.checksum):
        raise DataInvalid(f"its scores are damaged: {_rescore(file)}")
    if scores.identity != scores_identity(record):
        raise DataInvalid(f"its scores were made from other predictions or groups: {_rescore(file)}")
    return structs.replace(record, scores=scores.sets, metrics_version=scores.version)


def _rescore(file: Path) -> str:
    settings = Settings("", identity.results_of(file))
    return f"`{command('metrics', settings, '--recompute')}` computes them again"


def save_cell(
    results: Path, cell: identity.Cell, record: Record, predictions: Any, pictures: bytes, weights: bytes = b""
) -> Record:
    """Write the predictions (a DataFrame), the pictures, the weights, the scores and then the cell, each in one step.

    An earlier failure is removed before the cell is written; so are earlier pictures and weights if there are no new
    ones. Returns the record as `read_cell` returns it.

    Raises:
        NotWritten: if the folder cannot be written or the disk is full.
    """
    file = identity.predictions_file(results, cell)
    write_predictions(file, predictions)
    record = structs.replace(record, predictions_sha256=hashlib.sha256(content_of(file)).hexdigest())
    for beside, content in (
        (identity.pictures_file(results, cell), pictures),
        (identity.weights_file(results, cell), weights),
    ):
        if content:
            write_file(beside, content)
        else:
            beside.unlink(missing_ok=True)
    place = identity.cell_file(results, cell)
    scores = Scores(version=record.metrics_version, identity=scores_identity(record), sets=record.scores)
    write_file(identity.scores_file(place), sealed(scores))
    identity.failure_file(results, cell).unlink(missing_ok=True)
    beside = described(identity.cell_place(results, cell), (".parquet", ".pictures.npz", ".safetensors"))
    write_file(place, sealed(structs.replace(record, beside=beside, scores={}, metrics_version=0)))
    return record


def save_failure(results: Path, cell: identity.Cell, failure: Failure) -> Path:
    """Write why a cell failed, with the number of its attempts, and return the file."""
    file, before = identity.failure_file(results, cell), 0
    with contextlib.suppress(DataInvalid):
        before = read(file, Failure).attempt
    write_json(file, structs.replace(failure, attempt=before + 1))
    return file


def clear_temporaries(results: Path, task: str, cache: Path) -> None:
    """Remove files that killed processes left in a task and its cache; files of living processes are kept.

    These are half-written files, leases, and checkpoints of baselines whose training has finished.
    """
    cells, baselines = identity.cells_folder(results, task), identity.baselines_folder(cache)
    for file in (*cells.glob("*/*/.*.lease.*"), *baselines.glob(".*.lease.*")):
        abandon(file)
    for file in baselines.glob("*.checkpoint"):
        if file.with_suffix(".pt").is_file():
            with contextlib.suppress(OSError):
                file.unlink()
    for file in (*cells.glob("*/*/.*"), *baselines.glob(".*"), *identity.shared_folder(cache).glob(".*")):
        if ".lease." in file.name:
            continue
        host, _, pid = file.name.rpartition(".")
        ours = host.endswith(f".{here()}") and pid.isdigit()
        with contextlib.suppress(OSError):
            if not running(int(pid)) if ours else time.time() - file.stat().st_mtime > 3600:
                file.unlink()
