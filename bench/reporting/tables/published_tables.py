"""The comparison with the published numbers: a table per backbone, set and metric."""

from __future__ import annotations

from typing import Any

from bench.reporting.numbers.comparison import Comparison
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.grouping import grouped
from bench.reporting.render import document, table
from bench.reporting.render.document import Float, Section
from bench.reporting.render.table import Column, Entry, Table, Value
from bench.scoring.definitions import METRICS
from bench.spec import label

PUBLISHED = "published"
"""Name of the files."""
COLUMNS = (
    Column("method", "left"),
    Column("ours"),
    Column("published"),
    Column("difference", signed=True),
    Column("within the spread", "left"),
)


def files(compared: Comparison) -> dict[str, str]:
    """Return the comparison by suffix, with remarks on the published numbers; NaN is empty in the CSV."""
    info, tables, numbers = compared.info, _tables(compared), compared.numbers
    remarks = grouped(
        (str(item.note), f"Table {item.table}, {item.label}, {_of_column(item.set, item.metric)}")
        for item in numbers[numbers["metric"] != "eodds_signed"].itertuples()
        if item.note
    )
    notes = [*compared.notes, *(f"{'; '.join(places)}: {note}" for note, places in remarks.items())]
    section = Section(f"{info.name}: ours and published", [*tables, Section("How to read this", [notes])])
    floats = [
        Float(
            f"{item.title}, ours and published, by {display_name(info.attribute_name)}{label('', info.name)}.",
            f"{info.name}-published-{place}",
            [Table(item.columns, item.rows)],
            compared.notes if place == len(tables) else (),
            wide=False,
            brief=compared.notes[:1],
        )
        for place, item in enumerate(tables, 1)
    ]
    csv = table.csv(numbers.assign(task=info.name)[["task", *numbers.columns]])
    return {**document.written(section), "csv": csv, "tex": document.latex(floats, plain="plain" in info.latex)}


def _tables(compared: Comparison) -> list[Table]:
    by_column = compared.numbers.groupby(["backbone", "set", "metric"], sort=False)
    return [
        Table(COLUMNS, list(map(_row, part.itertuples())), f"{display_name(str(backbone))}, {_of_column(name, metric)}")
        for (backbone, name, metric), part in by_column
    ]


def _row(line: Any) -> list[Value]:
    ours = Entry(line.ours, line.ours_std) if line.ours_n else line.verdict
    return [line.label, ours, Entry(line.published, line.published_std), line.difference, line.verdict]


def _of_column(name: object, metric: object) -> str:
    return f"{display_name(str(name))}: {METRICS[str(metric)].title}"
