"""The comparison with the published numbers: a table per backbone, set and metric."""

from __future__ import annotations

from itertools import groupby

import pandas as pd

from bench.report.numbers.comparison import Comparison, Line
from bench.report.numbers.grouping import grouped
from bench.report.render import document, table
from bench.report.render.document import Float, Section
from bench.report.render.table import Column, Entry, Table, Value
from bench.score.definitions import METRICS

NAME = "published"
"""Name of the files."""
COLUMNS = (
    Column("method", "left"),
    Column("ours"),
    Column("published"),
    Column("difference", signed=True),
    Column("within the spread", "left"),
)


def text(compared: Comparison) -> str:
    """Return the comparison for a terminal."""
    lines = []
    for item in _tables(compared):
        lines += ["", f"Published, {item.title}", *(line.plain for line in table.terminal(item))]
    return "\n".join([*lines, "", *compared.notes, ""])


def section(compared: Comparison) -> Section:
    """Return the comparison as a report text, with remarks on the published numbers."""
    remarks = grouped(
        (item.note, f"Table {item.table}, {item.label}, {item.set}, {METRICS[item.metric].title}")
        for item in compared.lines
        if item.note and item.metric != "eodds_signed"
    )
    notes = [*compared.notes, *(f"{'; '.join(places)}: {note}" for note, places in remarks.items())]
    title = f"{compared.info.name}: ours and published"
    return Section(title, [*_tables(compared), Section("How to read this", [notes])])


def latex(compared: Comparison) -> str:
    """Return a float per table, the last one with the notes, to \\input into a document that loads booktabs."""
    tables = _tables(compared)
    return document.latex(
        Float(
            f"{compared.info.name}, {item.title}, ours and published.",
            f"{compared.info.name}-published-{place}",
            [Table(item.columns, item.rows)],
            compared.notes if place == len(tables) else (),
            wide=False,
        )
        for place, item in enumerate(tables, 1)
    )


def csv(compared: Comparison) -> str:
    """Return one row per published number and metric of ours in full precision; NaN is empty."""
    frame = pd.DataFrame([vars(line) for line in compared.lines])
    frame.insert(0, "task", compared.info.name)
    return table.csv(frame)


def _tables(compared: Comparison) -> list[Table]:
    grouped = groupby(compared.lines, key=lambda line: (line.backbone, line.set, line.metric))
    return [
        Table(COLUMNS, [_row(line) for line in lines], f"{backbone}, {name}: {METRICS[metric].title}")
        for (backbone, name, metric), lines in grouped
    ]


def _row(line: Line) -> list[Value]:
    ours = Entry(line.ours, line.ours_std) if line.ours_n else line.verdict
    return [line.label, ours, Entry(line.published, line.published_std), line.difference, line.verdict]
