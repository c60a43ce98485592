"""Files of cells to records: which may be used, and why the others may not."""

from __future__ import annotations

from typing import Any

from bench.data.task_data import TaskData
from bench.errors import BenchError, UnknownName
from bench.run.choice import with_choice
from bench.run.plan import SCHEMA, Cell, Settings, cell_hash, folder
from bench.run.store import predictions_file, read_json


def read_cells(
    settings: Settings, name: str, data: TaskData | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Return the cells and failures of a task, and one line for each file that is left out.

    Left out are files that are not whole, of another schema, or stale: made with other images, another
    recipe, other parameters or an older version of the method than today's.
    """
    cells, failures, left_out = [], [], []
    for file in sorted((settings.results / "cells" / folder(name)).glob("*/*/*.json")):
        record = read_json(file)
        if file.name.endswith(".failed.json"):
            if record and "cell" in record and "error" in record:
                failures.append(record)
            continue
        why = "not a whole result" if record is None else _unusable(record, settings, data)
        if why:
            left_out.append(f"{file}: {why}")
        elif record is not None:
            cells.append(record)
    return cells, failures, left_out


def _unusable(record: dict[str, Any], settings: Settings, data: TaskData | None) -> str:
    if record.get("schema") != SCHEMA or "scores" not in record or "cell" not in record:
        return f"schema {record.get('schema')}, {SCHEMA} expected"
    known = record["cell"]
    cell = Cell(known["task"], known["backbone"], known["spec"], known["fold"], known["seed"])
    if not predictions_file(settings.results, cell).is_file():
        return "its predictions are missing"
    if data is None:
        return ""
    try:
        expected = cell_hash(with_choice(cell, data, settings), data, settings.plugins)
    except UnknownName:
        return f"method {cell.method} is not known; give its file by --plugin"
    except BenchError as error:
        return f"cannot be checked: {error}"
    return "" if expected == record.get("hash") else "stale; `bench run` again replaces it"
