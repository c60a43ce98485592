"""Read the stored cells of a task, and say why a file cannot be used."""

from __future__ import annotations

from pathlib import Path

from bench.cells.identity import CELL_FILE, Cell, cell_file, cells_folder, failure_file
from bench.cells.predictions import check_predictions
from bench.cells.record import Failure, Record, read
from bench.cells.store import again, read_cell
from bench.data.task_data import TaskData
from bench.errors import BenchError, DataInvalid, UnknownName
from bench.running.plan import cell_hash, with_choice
from bench.settings import Settings


def read_cells(settings: Settings, name: str, data: TaskData | None) -> tuple[list[Record], list[Failure], list[str]]:
    """Return the cells and failures of a task, and one line for each file that is left out.

    A file is left out if it is not a file of a cell, is damaged, belongs to another cell, has another schema, or is
    stale: the images, the recipe, the parameters or the version of the method have changed since it was computed.
    """
    cells, failures, left_out = [], [], []
    root = cells_folder(settings.results, name)
    for file in sorted(file for file in root.rglob("[!.]*") if not file.is_dir() or file.suffix == ".json"):
        try:
            if len(file.relative_to(root).parts) != 3 or not CELL_FILE.fullmatch(file.name):
                raise DataInvalid("not a file of a cell")
            if file.name.endswith(".failed.json"):
                failures.append(_failure(file, settings.results))
            elif file.suffix == ".json" and not file.name.endswith(".scores.json"):
                cells.append(_cell(file, settings, data))
        except DataInvalid as error:
            left_out.append(f"{file}: {error}")
    if len({record.made for record in cells}) > 1:
        why = "predictions made elsewhere are in no table with cells computed here; score them into other --results"
        others = [record.cell.identity for record in cells if record.made == "elsewhere"]
        left_out += [f"{cell_file(settings.results, cell)}: {why}" for cell in others]
        cells = [record for record in cells if record.made == "here"]
    return cells, failures, left_out


def _failure(file: Path, results: Path) -> Failure:
    failure = read(file, Failure)
    _check_place(file, failure_file(results, failure.cell.identity), failure.cell.identity)
    return failure


def _cell(file: Path, settings: Settings, data: TaskData | None) -> Record:
    record = read_cell(file)
    cell = record.cell.identity
    _check_place(file, cell_file(settings.results, cell), cell)
    try:
        check_predictions(file, record)
    except DataInvalid as error:
        raise DataInvalid(f"{error}: `{again(settings, cell, force=True)}` computes the cell again") from None
    if data is not None and record.made == "here" and (why := _stale(record, cell, data, settings)):
        raise DataInvalid(why)
    return record


def _check_place(file: Path, expected: Path, cell: Cell) -> None:
    if file != expected:
        raise DataInvalid(f"it belongs to {cell}, which is stored elsewhere")


def _stale(record: Record, cell: Cell, data: TaskData, settings: Settings) -> str:
    try:
        expected = cell_hash(with_choice(cell, data, settings), data, settings.plugins)
    except UnknownName:
        return f"method {cell.spec} is not known; give its file with --plugin"
    except BenchError as error:
        return f"cannot be checked: {error}"
    return "" if expected == record.hash else f"stale; `{again(settings, cell)}` replaces it"
