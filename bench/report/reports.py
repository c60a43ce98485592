"""`bench report`: from the cells on disk to files, leaving out what no longer belongs there."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.cells.identity import slug
from bench.errors import UsageError
from bench.report import put, write
from bench.report.artefacts import Artefact, artefacts, of_paper
from bench.report.build import made_by_two
from bench.report.numbers.across_tasks import NAME, Across, csv, markdown, sentences, theirs
from bench.report.numbers.aggregate import Results
from bench.report.numbers.comparison import compare, withheld_from
from bench.report.selection import chosen, everything, lacking, listing
from bench.report.tables import terminal
from bench.report.tables.published_tables import text
from bench.report.task_results import Material, read
from bench.settings import Settings


def report_chosen(settings: Settings, reports: Path, only: str, *, min_cell: int = 0) -> int:
    """Write the artefacts of a task that `only` names, joined by commas; 1 where cells of one are missing."""
    material = read(settings, min_cell=min_cell)
    return _write_chosen(material, artefacts(material), only, reports / slug(material.task.name))


def report_paper(
    names: Mapping[str, str], place: Path, settings: Settings, *, min_cell: int, only: str | None = None
) -> int:
    """Write the paper's tables and figures with the tasks of `names` in place of its own, and say what is missing."""
    material = _of_paper(names, settings, min_cell)
    every = of_paper(material, names)
    if only is not None:
        return _write_chosen(material, every, only, place)
    for file in write(material, place, [item for item in every if not item.named_only]):
        print(file)
    _say([*lacking(every, material), *_not_handed_on(every, material)])
    return 0


def list_artefacts(settings: Sequence[Settings]) -> int:
    """Print the artefacts of some tasks, and what makes those that are missing."""
    for one in settings:
        material = read(one)
        every = artefacts(material)
        head = [f"{material.task.name}:"] * (len(settings) > 1)
        print(*head, *listing(every, material), *everything(every, material), sep="\n")
    return 0


def list_paper(names: Mapping[str, str], settings: Settings) -> int:
    """Print the paper's tables and figures with the tasks of `names`, and what makes those that are missing."""
    material = _of_paper(names, settings, 0)
    every = of_paper(material, names)
    print(*listing(every, material), *everything(every, material), sep="\n")
    return 0


def _of_paper(names: Mapping[str, str], settings: Settings, min_cell: int) -> Material:
    if settings.splits is not None or settings.baseline is not None:
        raise UsageError("--splits and --baseline are of one task: without --paper and --twins")
    return read(replace(settings, task=next(iter(names.values()))), min_cell=min_cell)


def _write_chosen(material: Material, every: Sequence[Artefact], only: str, place: Path) -> int:
    wanted = chosen(every, only)
    for file in write(material, place, wanted):
        print(file)
    _say(lacking(wanted, material))
    return int(any(item.missing(material) for item in wanted))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def report_task(settings: Settings, reports: Path, *, min_cell: int = 0) -> Results:
    """Write and print the report of a task, and return its main table.

    Of sets with fewer than `min_cell` images of a group and class little is shown (see `numbers.suppression`).

    Raises:
        BenchError: where there are no results, with the line that makes them.
    """
    material = read(settings, min_cell=min_cell)
    return report_material(material, reports / slug(material.task.name))


def report_material(material: Material, place: Path) -> Results:
    """Write and print the report of what was read of one task."""
    gc.freeze()  # records are kept to the end: to go through them for garbage again and again takes seconds
    results = material.results
    files = write(material, place, make=made_by_two)
    compared = compare([material.results_of(table) for table in material.tables])
    terminal.show(results)
    print(text(compared) if compared else withheld_from(material.info), end="")
    for file in files:
        print(file)
    missing = ", ".join(item.name for item in artefacts(material) if item.missing(material))
    if missing:
        _say([f"not made for want of cells: {missing}; --list or the page says what makes them"])
    _say(_not_handed_on(artefacts(material), material))
    return results


def _not_handed_on(every: Sequence[Artefact], material: Material) -> list[str]:
    names = ", ".join(item.name for item in every if item.named_only and not item.missing(material))
    return [f"not made: {names} would show images of patients; `--only` makes it, not to be handed on"] if names else []


def report_published(reports: Path) -> int:
    """Write and print what tests over tasks make of the paper's own numbers; nothing of ours is in it."""
    write_across(theirs(), reports / "published", NAME)
    return 0


def write_across(across: Across | None, reports: Path, name: str) -> dict[str, bytes]:
    """Write and print methods over tasks, and return the files by suffix; with too few remove those of before."""
    from bench.report.figures import rank_diagram

    made = {"md": markdown(across).encode(), "csv": csv(across).encode()} if across else {}
    if across and any(item.ranks for item in across.ranked):
        made |= rank_diagram.diagram(across)
    files = put(reports, {f"{name}.{kind}": data for kind, data in made.items()}, f"{name}.*")
    for item in across.ranked if across else ():
        print(*sentences(item), sep="\n")
    for file in files:
        print(file)
    return made
