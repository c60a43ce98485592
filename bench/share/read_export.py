"""Exports as they are read on another machine: without the data of the task, and without torch.

An export holds the intervals over patients without the predictions that they are computed from. The bootstrap draws
are not exported: their seed is known, so that two thousand draws would reveal the predictions.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any

import msgspec

from bench import taskfile
from bench.api import Task
from bench.cells.bounds import Change, Count, OverFolds, Share, Wide
from bench.cells.identity import cells_folder, slug
from bench.cells.record import Facts, Failure, Record, decode, read
from bench.errors import BenchError, DataInvalid
from bench.reporting.figures import sweeps
from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.further import Measured, hidden
from bench.reporting.numbers.group_intervals import Place
from bench.reporting.numbers.patient_intervals import not_above_chance
from bench.reporting.numbers.ranking import TESTED, Row
from bench.reporting.numbers.support import Family, Leaning
from bench.reporting.numbers.task_info import Overlap, Undefined, check_groups
from bench.reporting.reports import report_results
from bench.reporting.tables.tuned_table import collect_tuned
from bench.reporting.task_results import TaskResults, info_of
from bench.scoring.gaps import Own
from bench.settings import Settings
from bench.share.archive import unpack
from bench.share.task_toml import from_toml, to_toml
from bench.spec import Spec, name_of
from bench.tasks import TASKS

TASK = "task.toml"
"""The definition of the task in an export; commands in an export refer to it by this name."""
INTERVALS, ATTRIBUTES = "intervals.json", "attributes.json"
"""The intervals over patients, and the numbers of further attributes, in an export."""
FIELDS = (*TESTED, "p_holm", "supported", "trained_low", "trained_high", "levelled_down")
"""Fields of a row that come from the bootstrap over patients."""
_FAILED = ".failed.json"


def variant_folder(field: str, value: object) -> str:
    """Return the folder in an export that holds the cells of its task with a field changed."""
    return f"variants/{field}-{value}"


@dataclass(frozen=True)
class Received(TaskResults):
    """The results in an export, unpacked for a while; `intervals` are those of each table, by the part it shows."""

    intervals: Mapping[str, Any] = field(default_factory=dict)
    exported: Sequence[Measured] = ()
    """The numbers of further attributes, whose groups of single images are not exported."""

    @cached_property
    def measured(self) -> list[Measured]:
        """The further attributes, without those that are suppressed here."""
        return [hidden(one, self.results.suppressed, self.info.min_cell) for one in self.exported]

    @cached_property
    def group_intervals(self) -> dict[Place, tuple[float, float]]:
        """The exported intervals of rates by group."""
        rows = self.intervals.get("", {}).get("groups", ())
        return {tuple(row[:5]): tuple(nan if end is None else end for end in row[5:]) for row in rows}  # type: ignore[misc]

    def tested(self, results: Results) -> Results:
        """Add the exported intervals over patients; sets that are suppressed here have none."""
        found = self.intervals.get(results.info.part)
        return _with_intervals(results, found) if found else results


def report_archive(file: Path, reports: Path, *, min_cell: int = 0) -> int:
    """Write and print the report of an export: the same bytes as at its origin if the report needs no other cells."""
    with opened(file, min_cell=min_cell) as results:
        report_results(results, reports / slug(results.task.name))
    return 0


@contextmanager
def opened(file: Path, *, min_cell: int = 0) -> Iterator[Received]:
    """Yield the results in an export; predictions, if it has any, can be read inside the context.

    Numbers that the export suppresses stay suppressed; a larger `min_cell` suppresses more.

    Raises:
        DataMissing: if the file does not exist.
        DataInvalid: if the archive or a cell is damaged, was not written by `bench export`, or has another schema.
    """
    with tempfile.TemporaryDirectory(prefix="bench-export-") as name:
        place = Path(name) / "export"
        place.mkdir()
        about = unpack(file, place)
        try:
            results = _received(about, place, min_cell)
        except (DataInvalid, KeyError, TypeError, AttributeError, OSError, ValueError, RecursionError) as error:
            raise DataInvalid(f"{file}: {error}") from None
        except BenchError as error:
            raise DataInvalid(f"{file}: this version of bench does not know its task: {error}") from None
        yield results


def _received(about: Mapping[str, Any], place: Path, min_cell: int) -> Received:
    task = from_toml((place / TASK).read_text(encoding="utf-8"), TASK)
    if task.name.startswith(".") or not re.fullmatch(r"\w[\w.+@-]*", slug(task.name)):
        raise DataInvalid(f"{task.name!r} is not a valid name of a task")
    cells, failures = _cells(place / "cells", lambda name: name == task.name)
    if not cells:
        raise DataInvalid("it holds no cells")
    (place / "cells").rename(place / "now")
    cells_folder(place).mkdir()
    (place / "now").rename(cells_folder(place, task.name))
    settings = Settings(_spec(task, place), place, place / "cache", None)
    undefined = tuple(Undefined(**item) for item in about["undefined"])
    least = max(min_cell, about["min_cell"])
    how: dict[str, Any] = {"min_cell": least, "elsewhere": cells[0].made == "elsewhere"}
    info = info_of(task, synthetic=cells[0].synthetic, undefined=undefined, **how)
    info = replace(info, decided=str(about.get("decided", "")), counted=str(about.get("counted", "images")))
    info = replace(info, overlaps=_overlaps_in(about.get("overlaps", []), cells))
    check_groups(cells, info)
    file = place / INTERVALS
    found = _intervals_in(file.read_bytes()) if file.is_file() else {}
    known: dict[str, TaskResults] = {}
    also = _attributes_in((place / ATTRIBUTES).read_bytes()) if (place / ATTRIBUTES).is_file() else ()
    received = Received(settings, task, info, cells, failures, known=known, intervals=found, exported=also)
    known[settings.task] = received
    for name in sweeps.OF_TASK:
        for value in sweeps.values(task, name):
            known |= _variant(place, received, name, value)
    return received


def _overlaps_in(listed: object, cells: Sequence[Record]) -> tuple[Overlap, ...]:
    try:
        found = msgspec.convert(listed, tuple[Overlap, ...])
    except msgspec.ValidationError as error:
        raise DataInvalid(f"the manifest's overlaps: {error}") from None
    if foreign := {name for one in found for name in one.sets}.difference(*(item.scores for item in cells)):
        raise DataInvalid(f"the manifest's overlaps are of sets that no cell has, such as {min(foreign)!r}")
    return found


def _variant(place: Path, results: Received, field: str, value: object) -> dict[str, Received]:
    """Read the cells of the task with a field changed, if there are any, and move them to their folder in results."""
    spec = taskfile.vary(results.settings.task, field, value)
    found = place / variant_folder(field, value)
    if spec == results.settings.task or not found.is_dir():
        return {}
    base = name_of(results.task.name)
    cells, failures = _cells(found, lambda name: name_of(name) == base)
    task, names = taskfile.resolve(spec), {item.cell.task for item in [*cells, *failures]}
    if len(names) != 1:
        raise DataInvalid(f"{found.name} holds cells of {len(names)} tasks")
    # The exported task may itself be a variant. Here it is a complete task, so that its variants have other specs.
    (name,) = names
    found.rename(cells_folder(place, task.name))
    settings, info = replace(results.settings, task=spec), replace(results.info, name=name)
    return {spec: Received(settings, replace(task, name=name), info, cells, failures, known=results.known)}


def _cells(place: Path, known: Callable[[str], bool]) -> tuple[list[Record], list[Failure]]:
    """Read the cells and failures in a folder; `known` tells whether a name is that of their task."""
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


def _spec(task: Task, place: Path) -> str:
    """Return a spec that resolves to the task here: a name of the suite, or the path of a TOML file."""
    base = name_of(task.name)
    if base in TASKS:
        return task.name
    file = place / "task" / TASK
    file.parent.mkdir()
    file.write_text(to_toml(replace(task, name=base)), encoding="utf-8")
    return str(Spec(str(file), {taskfile.FINDING: task.finding} if task.finding else {}))


def intervals(results: TaskResults) -> dict[str, Any]:
    """Return the intervals over patients of every table of a task, as JSON, by the part of the task it shows."""
    every = [results.results_of(table) for table in results.tables]
    if tuned := collect_tuned(results.cells, results.failures, results.info):
        every.append(tuned)
    found = {table.info.part: _intervals_of(table, results.tested(table)) for table in every}
    of_groups = results.group_intervals.items() if "" in found else ()
    shown = [[*place, *ends] for place, ends in of_groups if place[2] not in results.results.suppressed]
    return found | ({"": found[""] | {"groups": shown}} if shown else {})


def _intervals_of(results: Results, tested: Results) -> dict[str, Any]:
    rows = [row for row in tested.rows if row.draws]
    return {
        "rows": [[*_key(row), *(getattr(row, name) for name in FIELDS)] for row in rows],
        "patients": {name: list(counts) for name, counts in tested.patients.items()},
        "family": asdict(tested.family) if tested.family else None,
        "leaning": [[*place, *one.own, one.opposed] for place, one in tested.leaning.items()],
        "aucs": [[*place, *ends] for place, ends in tested.auc_intervals.items() if place[1] not in results.suppressed],
        "remarks": list(tested.remarks[len(results.remarks) :]),
    }


Tested = tuple[
    # what tells a row from the others, then FIELDS: the interval with p, error and draws, ...
    str,
    str,
    str,
    str,
    Change | None,
    Change | None,
    Share | None,
    Share | None,
    Count,
    # ... the adjusted p, whether it is supported, the interval over folds, whether it is levelled down
    Share | None,
    bool,
    OverFolds | None,
    OverFolds | None,
    bool,
]


class Intervals(msgspec.Struct, forbid_unknown_fields=True):
    """The intervals of a table as an export holds them, with the types and bounds of their numbers."""

    rows: list[Tested]
    patients: dict[str, tuple[Count, Count]]
    family: Family | None
    leaning: list[tuple[str, str, str, Share | None, Share | None, bool, bool]]
    aucs: list[tuple[str, str, str, Share | None, Share | None]]
    remarks: list[str]
    groups: list[tuple[str, str, str, str, str, Wide | None, Wide | None]] = []

    def __post_init__(self) -> None:
        if self.family and self.family.draws.keys() != self.patients.keys():
            raise ValueError("family: draws of the sets of `patients` expected")


def _intervals_in(content: bytes) -> Facts:
    """Return the content of `INTERVALS`; raises DataInvalid, with the field that is wrong."""
    try:
        msgspec.json.decode(content, type=dict[str, Intervals])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DataInvalid(f"{INTERVALS}: {error}") from None
    return decode(content, Facts)


def _attributes_in(content: bytes) -> list[Measured]:
    """Return the content of `ATTRIBUTES`; raises DataInvalid, with the field that is wrong."""
    try:
        found = msgspec.json.decode(content, type=list[Measured])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DataInvalid(f"{ATTRIBUTES}: {error}") from None
    sets, names = ({getattr(one, name) for one in found} for name in ("set", "attribute"))
    if len(found) != len(sets) * len(names) or len({(one.set, one.attribute) for one in found}) < len(found):
        raise DataInvalid(f"{ATTRIBUTES}: each attribute on each test set once expected")
    return found


def _with_intervals(results: Results, found: Mapping[str, Any]) -> Results:
    """Add the intervals that `intervals` returned for a table, except those of suppressed sets."""
    stored = {tuple(row[:4]): dict(zip(FIELDS, row[4:], strict=True)) for row in found["rows"]}
    kept = {key: values for key, values in stored.items() if key[1] not in results.suppressed}
    aucs = {(backbone, name, spec): (low, high) for backbone, name, spec, low, high in found["aucs"]}
    aucs = {place: ends for place, ends in aucs.items() if place[1] not in results.suppressed}
    results = not_above_chance(replace(results, auc_intervals=aucs))
    rows = [row if row.excluded else replace(row, **kept.get(_key(row), {})) for row in results.rows]
    return replace(
        results,
        rows=tuple(rows),
        patients={name: (n[0], n[1]) for name, n in found["patients"].items() if name not in results.suppressed},
        family=Family(**found["family"]) if isinstance(found["family"], Mapping) else None,
        leaning={
            (backbone, name, metric): Leaning(Own(*own), opposed)
            for backbone, name, metric, *own, opposed in found["leaning"]
            if name not in results.suppressed
        },
        remarks=(*results.remarks, *found["remarks"]),
    )


def _key(row: Row) -> tuple[str, str, str, str]:
    return row.backbone, row.set, row.metric, row.spec
