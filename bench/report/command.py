"""`bench report`: from the cells on disk to files, leaving out what no longer belongs there."""

from __future__ import annotations

from pathlib import Path

from bench.report import put, terminal, write
from bench.report.across import NAME, Across, csv, markdown, sentences, theirs
from bench.report.aggregate import Results
from bench.report.comparison import compare, withheld_from
from bench.report.material import read
from bench.report.published_tables import text
from bench.run.plan import Settings, folder


def report_task(settings: Settings, reports: Path, *, min_cell: int = 0) -> Results:
    """Write and print the report of a task, and return its main table.

    Of sets with fewer than `min_cell` images of a group and class little is shown (see `bench.report.small`).

    Raises:
        BenchError: where there are no results, with the line that makes them.
    """
    material = read(settings, min_cell=min_cell)
    results = material.results
    files = write(material, reports / folder(material.task.name))
    compared = compare([material.results_of(table) for table in material.tables])
    terminal.show(results)
    print(text(compared) if compared else withheld_from(material.info), end="")
    for file in files:
        print(file)
    return results


def report_published(reports: Path) -> int:
    """Write and print what tests over tasks make of the paper's own numbers; nothing of ours is in it."""
    write_across(theirs(), reports / "published", NAME)
    return 0


def write_across(across: Across | None, reports: Path, name: str) -> dict[str, bytes]:
    """Write and print methods over tasks, and return the files by suffix; with too few remove those of before."""
    from bench.report import diagram

    made = {"md": markdown(across).encode(), "csv": csv(across).encode()} if across else {}
    if across and any(item.ranks for item in across.ranked):
        made |= diagram.diagram(across)
    files = put(reports, {f"{name}.{kind}": data for kind, data in made.items()}, f"{name}.*")
    for item in across.ranked if across else ():
        print(*sentences(item), sep="\n")
    for file in files:
        print(file)
    return made
