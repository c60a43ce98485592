"""What the table of each set holds: its size and label rate, and what became of each value as it is written."""

from __future__ import annotations

from bench.reporting.numbers.aggregate import Results
from bench.reporting.render.document import Section
from bench.reporting.render.table import Column, Table

COLUMNS = (
    *(Column("set", "left"), Column("column", "left"), Column("value as written", "left")),
    *(Column("rows", decimals=0), Column("became", "left")),
)


def sections(results: Results) -> list[Section]:
    """Return a section with a sentence for each set and a table of values; none for a part of a task."""
    if not results.facts or results.info.part:
        return []
    sizes = [f"{facts.says(name)}." for name, facts in results.facts]
    rows = [
        [name, value.column, value.text, value.rows, value.became]
        for name, facts in results.facts
        for value in facts.values
    ]
    return [Section("Data as read", [sizes, *([Table(COLUMNS, rows)] if rows else [])])]
