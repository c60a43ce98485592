"""The paper's tables from our cells: attributes below each other, test sets side by side."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import nan
from typing import Any

from bench.cells.record import Item, Record
from bench.reporting.numbers.aggregate import Results, collect, warning_of
from bench.reporting.numbers.display_names import capitalised, display_name
from bench.reporting.numbers.paper_layout import Block, Layout
from bench.reporting.numbers.published import COLUMNS, PAPER
from bench.reporting.numbers.shown_sets import of_sets
from bench.reporting.render import document, table
from bench.reporting.render.document import Float, Section
from bench.reporting.render.table import Column, Entry, Spanning, Table, Value
from bench.reporting.render.text import listed
from bench.reporting.tables import group_table
from bench.reporting.tables.main_table import METHOD, SETS_ABREAST, entry, heads, metric_columns, named
from bench.reporting.task_results import TaskResults
from bench.reporting.words.notes import LEGEND, MARKS, averaged, details
from bench.running.plan import undefined
from bench.spec import label, name_of

NOT_RUN, FAILED, UNDEFINED = "not run", "failed", "not defined"


@dataclass(frozen=True)
class Part:
    """One block of a table with its task; `table` is None if no cell of it is there."""

    block: Block
    task: TaskResults
    table: Results | None
    cells: Sequence[Record] = ()

    @property
    def sets(self) -> tuple[str, ...]:
        """The test sets that are shown."""
        return self.task.info.ood[: self.block.sets]

    @property
    def attribute(self) -> str:
        """The attribute in words, such as `skin tone`."""
        return display_name(self.task.info.attribute_name)

    def why_missing(self, spec: str) -> str:
        """Return why a row has no numbers."""
        if undefined([spec], self.task.task, self.block.backbone, self.task.settings.plugins):
            return UNDEFINED
        tried = [item.cell for item in self.task.failures]
        failed = any((cell.spec, cell.backbone) == (spec, self.block.backbone) for cell in tried)
        return FAILED if failed else NOT_RUN


def make(layout: Layout, blocks: Sequence[Block], results: TaskResults) -> dict[str, str]:
    """Return the files of a table by suffix; `results` gives access to the tasks of its blocks."""
    parts = [_part(layout, block, results.other(block.task)) for block in blocks]
    warning = warning_of(*(part.task.info for part in parts))
    like = f"laid out as Table {layout.number} of {PAPER}."
    tables = [table for part in parts for table in (*_panels(layout, part), *_group_aucs(layout, part))]
    notes = _notes(layout, parts)
    section = Section(
        f"Table {layout.number}: {layout.says}",
        [f"{capitalised(layout.says)}, {like}", *tables, Section("How to read this", [notes])],
        warning,
    )
    floats = [
        Float(
            f"{capitalised(layout.says)}: {_of_what(parts)}. {capitalised(like)}",
            f"{layout.name}-{parts[0].task.info.name if len(parts) == 1 else 'all'}",
            [table for part in parts for table in _as_printed(layout, part)],
            notes,
            warning,
            wide=any(len(part.sets) > 1 for part in parts),
            brief=[*dict.fromkeys(capitalised(averaged(part.table)) for part in parts if part.table), MARKS],
            signs=LEGEND,
            side="Attr.",
        )
    ]
    return {
        "tex": document.latex(floats, plain="plain" in results.info.latex),
        **document.written(section),
        "csv": _csv(layout, parts),
    }


def _of_what(parts: Sequence[Part]) -> str:
    """Return attributes, networks, training sets and presets of a table, as a caption says them."""
    attributes = listed(dict.fromkeys(part.attribute for part in parts))
    networks = listed(dict.fromkeys(display_name(part.block.backbone) for part in parts))
    sources = listed(dict.fromkeys(display_name(name_of(part.task.task.source.dataset)) for part in parts))
    variants = dict.fromkeys(label("", part.task.info.name).strip() for part in parts)
    return " ".join([f"{attributes}; {networks} backbone, trained on {sources}", *filter(None, variants)])


def _part(layout: Layout, block: Block, task: TaskResults) -> Part:
    labels = {own: layout.rows[spec] for spec, own in layout.under(task.task.preset).items()}

    def chosen(items: Sequence[Item]) -> list[Item]:
        return [item for item in items if item.cell.backbone == block.backbone and item.cell.spec in labels]

    cells = chosen(task.cells)
    if not cells:
        return Part(block, task, None)
    # Ranked again, because the best of a table is the best of its own rows.
    found = collect(cells, chosen(task.failures), replace(task.info.portable, undefined=()))
    rows = tuple(replace(row, label=labels[row.spec]) for row in found.rows)
    return Part(block, task, replace(found, rows=rows), cells)


def _panels(layout: Layout, part: Part) -> list[Table]:
    """Return the tables of a block, each with some test sets side by side."""
    info = part.task.info
    sizes = heads(part.table, part.sets) if part.table else dict.fromkeys(part.sets, NOT_RUN)
    title = f"{info.name}, {part.block.backbone} backbone: {listed(info.group_names)} ({part.attribute})"
    return [
        Table(
            [
                METHOD,
                *(column for name in sets for column in metric_columns(info, display_name(name), sizes[name])),
            ],
            [
                _row(own, named(layout.rows[spec], spec, info), sets, part)
                for spec, own in layout.under(part.task.task.preset).items()
            ],
            title,
        )
        for start in range(0, len(part.sets), SETS_ABREAST)
        for sets in [part.sets[start : start + SETS_ABREAST]]
    ]


def _group_aucs(layout: Layout, part: Part) -> list[Table]:
    """Return the AUC of each group of a task with more than two, a table for each test set that is not suppressed."""
    if not part.table or not layout.grouped:
        return []
    found, groups = _aucs(part), part.task.info.group_names
    tables = []
    for name in (name for name in part.sets if name not in part.table.suppressed):
        head = f"{display_name(name)}: AUC of each group ↑"
        rows: list[list[Value]] = []
        for spec, own in layout.under(part.task.task.preset).items():
            known = [found[own, name, group] for group in groups if (own, name, group) in found]
            values = [Entry(one["mean"], one["std"]) for one in known]
            title = named(layout.rows[spec], spec, part.task.info)
            rows.append([title, *(values or [Spanning(part.why_missing(own))])])
        tables.append(Table([METHOD, *(Column(group, "centre", group=head) for group in groups)], rows))
    return tables


def _aucs(part: Part) -> dict[tuple[str, str, str], Mapping[Hashable, Any]]:
    """Return mean, std and folds of the AUC of each group by spec, test set and group."""
    rates = group_table.frame(part.table, part.cells).to_dict("records") if part.table else []
    return {(row["spec"], row["set"], row["group"]): row for row in rates if row["rate"] == "auc"}


def _as_printed(layout: Layout, part: Part) -> list[Table]:
    """Return the tables of a block as the paper prints them: the attribute beside them, sizes in the notes alone."""
    return [
        replace(table, title=capitalised(part.attribute), columns=[replace(one, remark="") for one in table.columns])
        for table in (*_panels(layout, part), *_group_aucs(layout, part))
    ]


def _row(spec: str, title: Value, sets: Sequence[str], part: Part) -> list[Value]:
    """Return the numbers of a method, or why it has none."""
    rows = {(row.set, row.metric): row for row in part.table.rows if row.spec == spec} if part.table else {}
    if not rows:
        return [title, Spanning(part.why_missing(spec))]
    return [title, *(entry(rows[name, metric]) for name in sets for metric in part.task.info.columns)]


def _notes(layout: Layout, parts: Sequence[Part]) -> list[str]:
    notes: list[str] = []
    for part in parts:
        if part.table:
            where = f"{capitalised(part.attribute)}: " if len(parts) > 1 else ""
            kept = of_sets(part.table, {name: display_name(name) for name in part.sets})
            notes += [f"{where}{text}" for text in (averaged(kept), *details(kept))]
    return [*notes, MARKS, *([layout.note] if layout.note else [])]


def _csv(layout: Layout, parts: Sequence[Part]) -> str:
    """Return the columns of the published numbers, and whether the data are synthetic."""
    records = []
    for part in parts:
        info, own = part.task.info, layout.under(part.task.task.preset)
        found = {(row.spec, row.set, row.metric): row for row in (part.table.rows if part.table else ())}
        for (spec, title), name, metric in product(layout.rows.items(), part.sets, info.columns):
            row = found.get((own[spec], name, metric))
            state = row.excluded if row else part.why_missing(own[spec])
            values = (row.mean, row.std, row.n) if row else (nan, nan, 0)
            place = (layout.number, info.name, part.block.backbone, name, info.attribute_name)
            records.append((spec, *place, title, metric, *values, state, info.synthetic))
        records += _group_records(layout, part)
    return table.csv(records, [*COLUMNS, "synthetic"])


def _group_records(layout: Layout, part: Part) -> list[tuple[object, ...]]:
    """Return the AUC of each group as rows of the CSV, whose metric is called after the group."""
    info, found = part.task.info, _aucs(part) if layout.grouped else {}
    names = {own: spec for spec, own in layout.under(part.task.task.preset).items()}
    return [
        (
            *(names[own], layout.number, info.name, part.block.backbone, name, info.attribute_name),
            *(layout.rows[names[own]], f"auc, {group}", one["mean"], one["std"], one["folds"]),
            *("", info.synthetic),
        )
        for (own, name, group), one in found.items()
        if name in part.sets
    ]
