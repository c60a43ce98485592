"""An export, read elsewhere: without the data of its task, and without torch."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import taskfile
from bench.api import Task
from bench.cells.identity import cells_folder, slug
from bench.cells.record import Facts, Failure, Record, decode, read
from bench.errors import BenchError, DataInvalid
from bench.report.figures import sweeps
from bench.report.numbers.task_info import TaskInfo, Undefined
from bench.report.task_results import Material, info_of
from bench.settings import Settings
from bench.share.archive import unpack
from bench.share.received import INTERVALS, TASK, Received, variant_folder
from bench.share.task_toml import from_toml, to_toml
from bench.spec import name_of
from bench.tasks import TASKS

_FAILED = ".failed.json"


@contextmanager
def opened(file: Path, *, min_cell: int = 0) -> Iterator[Received]:
    """Give what an export holds of its task, for as long as the context lasts; predictions if they are in it.

    What it withholds as small stays withheld; a higher `min_cell` withholds more.

    Raises:
        DataMissing: no such file.
        DataInvalid: an archive or a cell that is not as `bench export` writes it, or of another schema.
    """
    with tempfile.TemporaryDirectory(prefix="bench-export-") as name:
        place = Path(name) / "export"
        place.mkdir()
        about = unpack(file, place)
        try:
            material = _material(about, place, min_cell)
        except (DataInvalid, KeyError, TypeError, AttributeError, OSError, ValueError) as error:
            raise DataInvalid(f"{file}: {error}") from None
        except BenchError as error:
            raise DataInvalid(f"{file}: its task is not one of this version of bench: {error}") from None
        yield material


def _material(about: Mapping[str, Any], place: Path, min_cell: int) -> Received:
    task = from_toml((place / TASK).read_text(encoding="utf-8"), TASK)
    if not re.fullmatch(r"\w[\w.+@-]*", slug(task.name)):
        raise DataInvalid(f"{task.name!r} is no name of a task")
    cells, failures = _cells(place / "cells", lambda name: name == task.name)
    if not cells:
        raise DataInvalid("there is no cell in it")
    (place / "cells").rename(place / "now")
    cells_folder(place).mkdir()
    (place / "now").rename(cells_folder(place, task.name))
    settings = Settings(_spec(task, place), place, place / "cache", None)
    info, found = _info(about, task, cells, min_cell), _intervals(place / INTERVALS)
    known: dict[str, Material] = {}
    received = Received(settings, task, info, cells, failures, known=known, intervals=found)
    known[settings.task] = received
    for field in sweeps.OF_TASK:
        for value in sweeps.values(task, field):
            known |= _variant(place, received, field, value)
    return received


def _variant(place: Path, material: Received, field: str, value: object) -> dict[str, Received]:
    """Read the cells of the task with a field changed, if there are any, and put them where results have them."""
    spec = taskfile.vary(material.settings.task, field, value)
    found = place / variant_folder(field, value)
    if spec == material.settings.task or not found.is_dir():
        return {}
    base = name_of(material.task.name)
    cells, failures = _cells(found, lambda name: name_of(name) == base)
    task, names = taskfile.resolve(spec), {item.cell.task for item in [*cells, *failures]}
    if len(names) != 1:
        raise DataInvalid(f"{found.name} holds cells of {len(names)} tasks")
    # There it may have been a variant already, and is a whole task here.
    (name,) = names
    found.rename(cells_folder(place, task.name))
    settings, info = replace(material.settings, task=spec), replace(material.info, name=name)
    return {spec: Received(settings, replace(task, name=name), info, cells, failures, known=material.known)}


def _cells(place: Path, known: Callable[[str], bool]) -> tuple[list[Record], list[Failure]]:
    """Read cells and failures of a task whose name is `known`."""
    cells, failures = [], []
    for path in sorted(place.rglob("*.json")):
        name = path.relative_to(place).as_posix()
        try:
            if name.endswith(_FAILED):
                failures.append(record := read(path, Failure))
            else:
                cells.append(record := read(path, Record))
        except DataInvalid as error:
            raise DataInvalid(f"{name}: {error}") from None
        place_of = name.removesuffix(_FAILED).removesuffix(".json")
        if record.cell.identity.within != place_of or not known(record.cell.task):
            raise DataInvalid(f"{name} holds another cell than its name says")
    return cells, failures


def _intervals(file: Path) -> dict[str, Any]:
    return decode(file.read_bytes(), Facts) if file.is_file() else {}


def _info(about: Mapping[str, Any], task: Task, cells: list[Record], min_cell: int) -> TaskInfo:
    undefined = tuple(Undefined(**item) for item in about["undefined"])
    return info_of(
        task, synthetic=cells[0].synthetic, undefined=undefined, min_cell=max(min_cell, int(about["min_cell"]))
    )


def _spec(task: Task, place: Path) -> str:
    """Return a spec that resolves to the task here: a name of the suite, or a file of its own."""
    base = name_of(task.name)
    if base in TASKS:
        return task.name
    file = place / "task" / TASK
    file.parent.mkdir()
    file.write_text(to_toml(replace(task, name=base)), encoding="utf-8")
    return str(file)
