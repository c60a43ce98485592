"""`bench report`: from the cells on disk to files, leaving out what no longer belongs there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench.errors import BenchError, UsageError
from bench.report import put, terminal, write
from bench.report.across import NAME, Across, csv, markdown, ours, sentences, theirs
from bench.report.aggregate import Results
from bench.report.comparison import compare, withheld_from
from bench.report.material import Material, read
from bench.report.published_tables import text
from bench.run.plan import Settings, folder
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
    material = read(settings, min_cell=min_cell)
    return report_material(material, reports / folder(material.task.name))


def report_material(material: Material, place: Path) -> Results:
    """Write and print the report of what was read of one task."""
    results = material.results
    files = write(material, place)
    compared = compare([material.results_of(table) for table in material.tables])
    terminal.show(results)
    print(text(compared) if compared else withheld_from(material.info), end="")
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
