"""`bench report`: from the cells on disk to files, leaving out what no longer belongs there."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.cells.identity import cells_folder, slug
from bench.errors import BenchError, NotWritten, UsageError
from bench.report import named, put, write
from bench.report.artefacts import Artefact, artefacts, chosen, everything, lacking, listing, of_paper
from bench.report.numbers.across_tasks import Across, ours, theirs
from bench.report.numbers.aggregate import Results
from bench.report.numbers.comparison import withheld_from
from bench.report.render import document
from bench.report.tables import across_table, terminal
from bench.report.tables.across_table import NAME, sentences
from bench.report.tables.published_tables import text
from bench.report.task_results import Material, read
from bench.run.history import remembered
from bench.settings import Settings, command
from bench.spec import name_of
from bench.tasks import TASKS


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
    return int(not all(item.possible(material) for item in wanted))


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
    files = write(material, place)
    terminal.show(results)
    print(text(material.compared) if material.compared else withheld_from(material.info), end="")
    for file in files:
        print(file)
    every = artefacts(material)
    missing = ", ".join(item.name for item in every if not item.possible(material))
    if missing:
        _say([f"not made for want of cells: {missing}; --list or the page says what makes them"])
    _say(_not_handed_on(every, material))
    return results


def _not_handed_on(every: Sequence[Artefact], material: Material) -> list[str]:
    names = ", ".join(item.name for item in every if item.named_only and item.possible(material))
    return [f"not made: {names} would show images of patients; `--only` makes it, not to be handed on"] if names else []


def report_published(reports: Path) -> int:
    """Write and print what tests over tasks make of the paper's own numbers; nothing of ours is in it."""
    write_across(theirs(), reports / "published", NAME)
    return 0


def write_across(across: Across | None, reports: Path, name: str) -> dict[str, bytes]:
    """Write and print methods over tasks, and return the files by suffix; with too few remove those of before."""
    from bench.report.figures import rank_diagram

    texts = {**document.written(across_table.section(across)), "csv": across_table.csv(across)} if across else {}
    made = {kind: text.encode() for kind, text in texts.items()}
    if across and any(item.ranks for item in across.ranked):
        made |= rank_diagram.diagram(across)
    files = put(reports, named(name, made), f"{name}.*")
    for item in across.ranked if across else ():
        print(*sentences(item), sep="\n")
    for file in files:
        print(file)
    return made


def report_all(settings: Settings, reports: Path, *, min_cell: int = 0) -> int:
    """Write and print all of it; return 1 where a task could not be reported, which is said, and 0 else.

    Raises:
        BenchError: where there are no results at all.
    """
    tasks = with_results(settings)
    every: list[Results] = []
    for one in tasks:
        try:
            every.append(report_task(one, reports, min_cell=min_cell))
        except NotWritten:
            raise
        except BenchError as error:
            print(f"no report of {one.task}: {error}", file=sys.stderr)
    _over_tasks(every, reports)
    return int(len(every) < len(tasks))


def with_results(settings: Settings) -> list[Settings]:
    """The tasks of the suite, then the users' own as they were last run; a variant is a part of its task's report.

    Raises:
        BenchError: where there are no results at all.
    """
    if settings.splits is not None:
        raise UsageError("--splits is the manifest of one task: name it by --task")
    if settings.baseline is not None:
        raise UsageError("--baseline is the checkpoint of one task: name it by --task")
    cells = cells_folder(settings.results)
    listed = [replace(settings, task=name) for name in TASKS if (cells / name).is_dir()]
    own = [
        runs[-1]
        for name, runs in remembered(settings.results).items()
        if runs and name == name_of(name) and name not in TASKS and (cells / name).is_dir()
    ]
    if not listed and not own:
        hint = command("run", replace(settings, task="NAME"))
        raise BenchError(f"no results in {settings.results}: `{hint}` makes those of the task NAME")
    return [*listed, *own]


def _over_tasks(every: list[Results], reports: Path) -> None:
    from bench.report import page

    shown = []
    for synthetic, name, says in (
        (False, NAME, "methods over tasks"),
        (True, f"{NAME}-synthetic", "methods over tasks, on synthetic data"),
    ):
        made = write_across(ours(item for item in every if item.info.synthetic is synthetic), reports, name)
        shown += [page.Shown(name, says, made)] if made else []
    for file in put(reports, {page.NAME: page.index(every, shown)}):
        print(file)
