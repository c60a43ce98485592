"""`bench report`: from the cells on disk to files, leaving out what no longer belongs there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError, UsageError
from bench.report import put, terminal, write
from bench.report.across import NAME, Across, csv, markdown, ours, sentences, theirs
from bench.report.aggregate import Results
from bench.report.artefacts import Artefact, artefacts, of_paper
from bench.report.comparison import compare, withheld_from
from bench.report.material import Material, read
from bench.report.published_tables import text
from bench.report.selection import chosen, lacking, listing
from bench.run.plan import Settings, folder
from bench.tasks import TASKS


def report_tasks(
    task: str | None, reports: Path, settings: Settings, *, min_cell: int = 0, only: str | None = None
) -> int:
    """Write and print the report of a task, or of every task of the suite that has results and of all together.

    Of sets with fewer than `min_cell` images of a group and class little is shown (see `bench.report.small`).
    `only` names the artefacts of one task that are wanted, joined by commas.

    Raises:
        BenchError: where there are no results, with the line that makes them.
    """
    if only is not None and task is None:
        raise UsageError("--only is of one report: name it by --task, --paper or --twins")
    every = _each(task, settings)
    if only is not None:
        material = read(every[0], min_cell=min_cell)
        return _write_chosen(material, artefacts(material), only, reports / folder(material.task.name))
    results = [_report(one, reports, min_cell) for one in every]
    if task is None:
        for synthetic, name in ((False, NAME), (True, f"{NAME}-synthetic")):
            _across(ours(item for item in results if item.info.synthetic is synthetic), reports, name)
    return 0


def report_paper(
    names: Mapping[str, str], place: Path, settings: Settings, *, min_cell: int, only: str | None = None
) -> int:
    """Write the paper's tables and figures with the tasks of `names` in place of its own, and say what is missing."""
    material = _of_paper(names, settings, min_cell)
    every = of_paper(material, names)
    if only is not None:
        return _write_chosen(material, every, only, place)
    for file in write(material, place, every):
        print(file)
    _say(lacking(every, material))
    return 0


def list_artefacts(task: str | None, names: Mapping[str, str] | None, settings: Settings) -> int:
    """Print the artefacts of a task, of the paper or of its twins; without either, of every task with results."""
    if names:
        material = _of_paper(names, settings, 0)
        print(*listing(of_paper(material, names), material), sep="\n")
        return 0
    for one in _each(task, settings):
        material = read(one)
        print(*([] if task else [f"{material.task.name}:"]), *listing(artefacts(material), material), sep="\n")
    return 0


def _each(task: str | None, settings: Settings) -> list[Settings]:
    """Return the settings of a task, or of every task of the suite with results."""
    if settings.splits is not None and task is None:
        raise UsageError("--splits is the manifest of one task: name it by --task")
    if settings.baseline is not None and task is None:
        raise UsageError("--baseline is the checkpoint of one task: name it by --task")
    names = [task] if task else [name for name in TASKS if (settings.results / "cells" / name).is_dir()]
    if not names:
        raise BenchError(f"no results in {settings.results}: `bench run --methods all --task NAME` makes them")
    return [replace(settings, task=name) for name in names]


def _of_paper(names: Mapping[str, str], settings: Settings, min_cell: int) -> Material:
    if settings.splits is not None or settings.baseline is not None:
        raise UsageError("--splits and --baseline are of one task: without --paper and --twins")
    return read(replace(settings, task=next(iter(names.values()))), min_cell=min_cell)


def _write_chosen(material: Material, every: Sequence[Artefact], only: str, place: Path) -> int:
    """Write the artefacts that are asked for; 1 where cells of one are missing, which is said."""
    wanted = chosen(every, only)
    for file in write(material, place, wanted):
        print(file)
    missing = lacking(wanted, material)
    _say(missing)
    return int(bool(missing))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


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
    missing = ", ".join(item.name for item in artefacts(material) if item.missing(material))
    if missing:
        _say([f"not made for want of cells: {missing}; `bench report --list` says what makes them"])
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
