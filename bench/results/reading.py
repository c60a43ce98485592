"""Files of cells to records: which may be used, and why the others may not."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from bench.cells.store import cell_file, failure_file, predictions_file, read_json
from bench.data.task_data import TaskData
from bench.errors import BenchError, UnknownName
from bench.run.plan import SCHEMA, Cell, cell_hash, folder
from bench.run.tuned_choice import with_choice
from bench.settings import Settings

Record = dict[str, Any]

_NAMES = re.compile(r"f\d+-s\d+\.(json|failed\.json|parquet|pictures\.npz|log)")
"""Files of a cell, whose place is <backbone>/<method>/ in the folder of the task."""
_CELL = {"task": str, "backbone": str, "method": str, "title": str, "spec": str, "row": int, "fold": int, "seed": int}


def read_cells(settings: Settings, name: str, data: TaskData | None) -> tuple[list[Record], list[Record], list[str]]:
    """Return the cells and failures of a task, and one line for each file that is left out.

    Left out are files that no cell has, that are not whole, of another cell or schema, or stale: made with other
    images, another recipe, other parameters or an older version of the method than today's.
    """
    cells, failures, left_out = [], [], []
    root = settings.results / "cells" / folder(name)
    for file in sorted(file for file in root.rglob("[!.]*") if not file.is_dir() or file.suffix == ".json"):
        if len(file.relative_to(root).parts) != 3 or not _NAMES.fullmatch(file.name):
            left_out.append(f"{file}: not a file of a cell")
        elif file.suffix == ".json":
            record = read_json(file)
            failed = file.name.endswith(".failed.json")
            why = _broken_failure(record, file, settings) if failed else _unusable(record, file, settings, data)
            if why:
                left_out.append(f"{file}: {why}")
            elif record is not None:
                (failures if failed else cells).append(record)
    return cells, failures, left_out


def _broken_failure(record: Record | None, file: Path, settings: Settings) -> str:
    cell, error = (_cell(record), record.get("error")) if record else (None, None)
    if record is None or cell is None or not isinstance(error, dict) or "class" not in error:
        return "not a whole record of a failure"
    return "" if failure_file(settings.results, cell) == file else _elsewhere(cell)


def _unusable(record: Record | None, file: Path, settings: Settings, data: TaskData | None) -> str:
    if record is None:
        return "not a whole result"
    if record.get("schema") != SCHEMA:
        return f"schema {record.get('schema')}, {SCHEMA} expected"
    cell = _cell(record)
    parts = (record.get(part) for part in ("scores", "cost", "data"))
    if cell is None or not all(isinstance(part, dict) for part in parts) or "synthetic" not in record:
        return "not a whole result"
    if cell_file(settings.results, cell) != file:
        return _elsewhere(cell)
    predictions = predictions_file(settings.results, cell)
    if not predictions.is_file():
        return "its predictions are missing"
    stored = record.get("predictions", {}).get("sha256")
    if stored and hashlib.sha256(predictions.read_bytes()).hexdigest() != stored:
        return "its predictions are not those that it was stored with"
    return _stale(record, cell, data, settings) if data is not None else ""


def _stale(record: Record, cell: Cell, data: TaskData, settings: Settings) -> str:
    try:
        expected = cell_hash(with_choice(cell, data, settings), data, settings.plugins)
    except UnknownName:
        return f"method {cell.method} is not known; give its file by --plugin"
    except BenchError as error:
        return f"cannot be checked: {error}"
    return "" if expected == record.get("hash") else "stale; `bench run` again replaces it"


def _cell(record: Record) -> Cell | None:
    """The cell that a record says it is of, None where it does not say."""
    known = record.get("cell")
    if not isinstance(known, dict) or any(type(known.get(name)) is not kind for name, kind in _CELL.items()):
        return None
    return Cell(known["task"], known["backbone"], known["spec"], known["fold"], known["seed"])


def _elsewhere(cell: Cell) -> str:
    return f"it is of {cell}, whose place is another"
