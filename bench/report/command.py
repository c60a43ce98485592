"""`bench report`: from the cells on disk to files, leaving out what no longer belongs there."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from bench import registry, taskfile
from bench.api import Task
from bench.data.task_data import TaskData, task_data
from bench.errors import BenchError, DataError, UnknownName, UsageError
from bench.report import TaskInfo, collect, put, terminal, untuned, write
from bench.report.ablations import split
from bench.report.across import NAME, Across, csv, markdown, ours, sentences, theirs
from bench.report.aggregate import Results
from bench.report.checks import MORE_GROUPS, TWO_GROUPS, Undefined, is_tuned
from bench.report.comparison import compare, withheld_from
from bench.report.published_tables import text
from bench.run.choice import with_choice
from bench.run.plan import SCHEMA, Cell, Settings, build_method, cell_hash, folder, undefined
from bench.run.store import predictions_file, read_json
from bench.tasks import TASKS


def report_tasks(task: str | None, reports: Path, settings: Settings, *, min_cell: int = 0) -> int:
    """Write and print the report of a task, or of every task of the suite that has results and of all together.

    Of sets with fewer than `min_cell` images of a group and class little is shown (see `bench.report.small`).

    Raises:
        BenchError: where there are no results, with the line that makes them.
    """
    if settings.splits is not None and task is None:
        raise UsageError("--splits is the manifest of one task: name it by --task")
    if settings.baseline is not None and task is None:
        raise UsageError("--baseline is the checkpoint of one task: name it by --task")
    names = [task] if task else [name for name in TASKS if (settings.results / "cells" / name).is_dir()]
    if not names:
        raise BenchError(f"no results in {settings.results}: `bench run --methods all --task NAME` makes them")
    results = [_report(dataclasses.replace(settings, task=name), reports, min_cell) for name in names]
    if task is None:
        for synthetic, name in ((False, NAME), (True, f"{NAME}-synthetic")):
            _across(ours(item for item in results if item.info.synthetic is synthetic), reports, name)
    return 0


def report_published(reports: Path) -> int:
    """Write and print what tests over tasks make of the paper's own numbers; nothing of ours is in it."""
    _across(theirs(), reports / "published", NAME)
    return 0


def _report(settings: Settings, reports: Path, min_cell: int) -> Results:
    task = taskfile.resolve(settings.task)
    try:
        data = task_data(
            task, settings.data, settings.plugins, manifest=settings.splits, baseline=settings.baseline
        ).readable(settings.cache)
    except DataError as error:
        if settings.splits is not None:
            raise
        data = None
        print(f"warning: results are not checked against today's images: {error}", file=sys.stderr)
    cells, failures, left_out = read_cells(settings, task.name, data)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    info = TaskInfo(
        name=task.name,
        says=f"{task.says[:1].upper()}{task.says[1:].rstrip('.')}.",
        synthetic=bool(cells and cells[0]["synthetic"]),
        label_names=task.label_names,
        attribute_name=task.attribute.column,
        group_names=task.attribute.names,
        ood=tuple(task.ood),
        folds=task.folds,
        columns=MORE_GROUPS if task.attribute.grouped else TWO_GROUPS,
        undefined=_undefined(task, settings.plugins),
        min_cell=min_cell,
    )
    main, *ablations = split(untuned(cells), untuned(failures), task.recipe, settings.plugins)
    tuned, failed = ([item for item in items if is_tuned(item["cell"])] for items in (cells, failures))
    results = collect(main.cells, main.failures, info)
    parts = [collect(table.cells, table.failures, dataclasses.replace(info, part=table.part)) for table in ablations]
    compared = compare([results, *parts])
    place = reports / folder(task.name)
    files = write([*main.cells, *tuned], [*main.failures, *failed], info, place, ablations, compared)
    terminal.show(results)
    print(text(compared) if compared else withheld_from(info), end="")
    for file in files:
        print(file)
    return results


def _across(across: Across | None, reports: Path, name: str) -> None:
    """Write and print methods over tasks; with too few of them remove what was written before."""
    from bench.report import diagram

    if across is None:
        put(reports, {}, f"{name}.*")
        return
    contents = {"md": markdown(across).encode(), "csv": csv(across).encode(), **diagram.diagram(across)}
    files = put(reports, {f"{name}.{kind}": data for kind, data in contents.items()}, f"{name}.*")
    for item in across.ranked:
        print(*sentences(item), sep="\n")
    for file in files:
        print(file)


def _undefined(task: Task, plugins: tuple[Path, ...]) -> tuple[Undefined, ...]:
    if not task.attribute.grouped:
        return ()
    reasons = undefined(list(registry.catalogue("method", plugins)), task, plugins)
    methods = sorted(((name, build_method(name, plugins)) for name in reasons), key=lambda item: item[1].row)
    return tuple(Undefined(name, method.title, method.row, reasons[name]) for name, method in methods)


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
