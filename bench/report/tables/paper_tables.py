"""The paper's tables from our cells: attributes below each other, test sets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import nan

from bench.cells.record import Item
from bench.report.numbers.aggregate import SYNTHETIC, Results, collect
from bench.report.numbers.paper_layout import Block, Layout
from bench.report.numbers.published import COLUMNS, PAPER
from bench.report.render import document, table
from bench.report.render.document import Float, Section
from bench.report.render.table import Spanning, Table, Value
from bench.report.render.text import listed
from bench.report.tables.main_table import METHOD, SETS_ABREAST, entry, heads, metric_columns
from bench.report.task_results import TaskResults
from bench.report.words.notes import MARKS, averaged, details

NOT_RUN, FAILED = "not run", "failed"


@dataclass(frozen=True)
class Part:
    """One block of a table with its task; `table` is None if no cell of it is there."""

    block: Block
    task: TaskResults
    table: Results | None

    @property
    def sets(self) -> tuple[str, ...]:
        """The test sets that are shown."""
        return self.task.info.ood[: self.block.sets]

    def why_missing(self, spec: str) -> str:
        """Return why a row has no numbers."""
        tried = [item.cell for item in self.task.failures]
        failed = any((cell.spec, cell.backbone) == (spec, self.block.backbone) for cell in tried)
        return FAILED if failed else NOT_RUN


def make(layout: Layout, blocks: Sequence[Block], results: TaskResults) -> dict[str, str]:
    """Return the files of a table by suffix; `results` gives access to the tasks of its blocks."""
    parts = [_part(layout, block, results.other(block.task)) for block in blocks]
    warning = SYNTHETIC if any(part.task.info.synthetic for part in parts) else ""
    says = f"{layout.says[:1].upper()}{layout.says[1:]}, laid out as Table {layout.number} of {PAPER}."
    label = f"{layout.name}-{parts[0].task.info.name if len(parts) == 1 else 'all'}"
    tables, notes = [panel for part in parts for panel in _panels(layout, part)], _notes(layout, parts)
    title = f"Table {layout.number}: {layout.says}"
    section = Section(title, [says, *tables, Section("How to read this", [notes])], warning)
    return {
        "tex": document.latex([Float(says, label, tables, notes, warning)]),
        **document.written(section),
        "csv": _csv(layout, parts),
    }


def _part(layout: Layout, block: Block, task: TaskResults) -> Part:
    def chosen(items: Sequence[Item]) -> list[Item]:
        return [item for item in items if item.cell.backbone == block.backbone and item.cell.spec in layout.rows]

    cells = chosen(task.cells)
    if not cells:
        return Part(block, task, None)
    # Ranked again, because the best of a table is the best of its own rows.
    found = collect(cells, chosen(task.failures), replace(task.info.portable, undefined=()))
    rows = tuple(replace(row, label=layout.rows[row.spec]) for row in found.rows)
    return Part(block, task, replace(found, rows=rows))


def _panels(layout: Layout, part: Part) -> list[Table]:
    """Return the tables of a block, each with some test sets side by side."""
    info = part.task.info
    sizes = heads(part.table, part.sets) if part.table else dict.fromkeys(part.sets, NOT_RUN)
    title = f"{info.name}, {part.block.backbone} backbone: {listed(info.group_names)} ({info.attribute_name})"
    return [
        Table(
            [METHOD, *(column for name in sets for column in metric_columns(info, name, sizes[name]))],
            [_row(spec, label, sets, part) for spec, label in layout.rows.items()],
            title,
        )
        for start in range(0, len(part.sets), SETS_ABREAST)
        for sets in [part.sets[start : start + SETS_ABREAST]]
    ]


def _row(spec: str, label: str, sets: Sequence[str], part: Part) -> list[Value]:
    """Return the numbers of a method, or why it has none."""
    rows = {(row.set, row.metric): row for row in part.table.rows if row.spec == spec} if part.table else {}
    if not rows:
        return [label, Spanning(part.why_missing(spec))]
    return [label, *(entry(rows[name, metric]) for name in sets for metric in part.task.info.columns)]


def _notes(layout: Layout, parts: Sequence[Part]) -> list[str]:
    notes: list[str] = []
    for part in parts:
        if part.table:
            where = f"{part.task.info.name}: " if len(parts) > 1 else ""
            kept = replace(part.table, sizes={name: part.table.sizes[name] for name in part.sets})
            notes += [f"{where}{text}" for text in (averaged(kept), *details(kept))]
    return [*notes, MARKS, *([layout.note] if layout.note else [])]


def _csv(layout: Layout, parts: Sequence[Part]) -> str:
    """Return the columns of the published numbers, and whether the data are synthetic."""
    records = []
    for part in parts:
        info = part.task.info
        found = {(row.spec, row.set, row.metric): row for row in (part.table.rows if part.table else ())}
        for (spec, label), name, metric in product(layout.rows.items(), part.sets, info.columns):
            row = found.get((spec, name, metric))
            state = row.excluded if row else part.why_missing(spec)
            values = (row.mean, row.std, row.n) if row else (nan, nan, 0)
            place = (layout.number, info.name, part.block.backbone, name, info.attribute_name)
            records.append((spec, *place, label, metric, *values, state, info.synthetic))
    return table.csv(records, [*COLUMNS, "synthetic"])
