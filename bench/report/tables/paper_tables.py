"""The paper's tables from our cells: attributes under each other, test sets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from bench.report.words.notes import averaged, details, marks

NOT_RUN, FAILED = "not run", "failed"


@dataclass(frozen=True)
class Given:
    """What one block of a table is made of; `results` is None where no cell of it is there."""

    block: Block
    material: TaskResults
    results: Results | None

    @property
    def sets(self) -> tuple[str, ...]:
        """The test sets that are shown."""
        return self.material.info.ood[: self.block.sets]

    def failed(self, spec: str) -> bool:
        """Whether a row without numbers was tried."""
        found = [item.cell for item in self.material.failures]
        return any((cell.spec, cell.backbone) == (spec, self.block.backbone) for cell in found)


def make(layout: Layout, blocks: Sequence[Block], material: TaskResults) -> dict[str, str]:
    """Return the files of a table by suffix; `material` gives the tasks of its blocks. What was not run is said."""
    given = [_given(layout, block, material.other(block.task)) for block in blocks]
    warning = SYNTHETIC if any(item.material.info.synthetic for item in given) else ""
    says = f"{layout.says[:1].upper()}{layout.says[1:]}, laid out as Table {layout.number} of {PAPER}."
    label = f"{layout.name}-{given[0].material.info.name if len(given) == 1 else 'all'}"
    tables, notes = [panel for item in given for panel in _panels(layout, item)], _notes(layout, given)
    title = f"Table {layout.number}: {layout.says}"
    section = Section(title, [says, *tables, Section("How to read this", [notes])], warning)
    return {
        "tex": document.latex([Float(says, label, tables, notes, warning)]),
        **document.written(section),
        "csv": _csv(layout, given),
    }


def _given(layout: Layout, block: Block, material: TaskResults) -> Given:
    def chosen(items: Sequence[Item]) -> list[Item]:
        kept = [item for item in items if item.cell.backbone == block.backbone]
        return [item for item in kept if item.cell.spec in layout.rows]

    cells = chosen(material.cells)
    if not cells:
        return Given(block, material, None)
    # Ranked anew: the best of a table is the best of its rows.
    results = collect(cells, chosen(material.failures), replace(material.info, undefined=()))
    rows = tuple(replace(row, label=layout.rows[row.spec]) for row in results.rows)
    return Given(block, material, replace(results, rows=rows))


def _panels(layout: Layout, given: Given) -> list[Table]:
    """Return the tables of a block, some sets side by side in each."""
    info = given.material.info
    sizes = heads(given.results, given.sets) if given.results else dict.fromkeys(given.sets, NOT_RUN)
    title = f"{info.name}, {given.block.backbone} backbone: {listed(info.group_names)} ({info.attribute_name})"
    return [
        Table(
            [METHOD, *(column for name in sets for column in metric_columns(info, name, sizes[name]))],
            [_row(spec, label, sets, given) for spec, label in layout.rows.items()],
            title,
        )
        for start in range(0, len(given.sets), SETS_ABREAST)
        for sets in [given.sets[start : start + SETS_ABREAST]]
    ]


def _row(spec: str, label: str, sets: Sequence[str], given: Given) -> list[Value]:
    """Return the numbers of a method, or why it has none."""
    rows = {(row.set, row.metric): row for row in given.results.rows if row.spec == spec} if given.results else {}
    if not rows:
        return [label, Spanning(FAILED if given.failed(spec) else NOT_RUN)]
    return [label, *(entry(rows[name, metric]) for name in sets for metric in given.material.info.columns)]


def _notes(layout: Layout, given: Sequence[Given]) -> list[str]:
    found = [item for item in given if item.results]
    notes: list[str] = []
    for item in found:
        assert item.results
        where = f"{item.material.info.name}: " if len(given) > 1 else ""
        kept = replace(item.results, sizes={name: item.results.sizes[name] for name in item.sets})
        notes += [f"{where}{text}" for text in (averaged(kept), *details(kept))]
    return [*notes, *marks(), *([layout.note] if layout.note else [])]


def _csv(layout: Layout, given: Sequence[Given]) -> str:
    """The columns of the published numbers, and whether the data are synthetic."""
    records = []
    for item in given:
        info, rows = item.material.info, item.results.rows if item.results else ()
        found = {(row.spec, row.set, row.metric): row for row in rows}
        for spec, label in layout.rows.items():
            for name in item.sets:
                for metric in info.columns:
                    row = found.get((spec, name, metric))
                    state = row.excluded if row else FAILED if item.failed(spec) else NOT_RUN
                    values = (row.mean, row.std, row.n) if row else (float("nan"), float("nan"), 0)
                    place = (layout.number, info.name, item.block.backbone, name, info.attribute_name)
                    records.append((spec, *place, label, metric, *values, state, info.synthetic))
    return table.csv(records, [*COLUMNS, "synthetic"])
