"""The main table: the printed columns of each test set and, in the CSV, every number of every row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import isnan

from bench.report.numbers.aggregate import IN_DOMAIN, SYNTHETIC, Results
from bench.report.numbers.display_names import CITED, display_name
from bench.report.numbers.levelling import SIGN
from bench.report.numbers.ranking import Row
from bench.report.numbers.shown_sets import with_display_names
from bench.report.numbers.suppression import span
from bench.report.numbers.task_info import TaskInfo
from bench.report.render import document, table
from bench.report.render.document import Float, Section
from bench.report.render.table import Cited, Column, Entry, Table, Value
from bench.report.render.text import listed
from bench.report.tables import data_table
from bench.report.words.conclusions import findings
from bench.report.words.notes import LEGEND, MARKS, SIGNS, averaged, reading
from bench.spec import label

SETS_ABREAST = 2
METHOD = Column("method", "left")
CSV = [
    *("task", "synthetic", "backbone", "method", "label", "spec", "set", "role", "metric", "direction"),
    *("mean", "std", "n", "folds", "degenerate", "excluded", "mark", "difference", "p", "p_holm", "significant"),
    "levelled_down",
    *("ci_low", "ci_high", "p_patients", "p_patients_holm", "significant_patients", "draws"),
]
"""Columns of main.csv: fields of a `Row` and those of the task; `role` is "ood", "val" or, for the cost, empty."""


def blocks(results: Results, backbone: str, abreast: int) -> list[Table]:
    """Return tables of the test sets of one backbone, some side by side, then the table of the validation set."""
    ood = results.info.ood
    groups = [ood[start : start + abreast] for start in range(0, len(ood), abreast)]
    return [block(results, backbone, sets, shared=abreast > 1) for sets in (*groups, (IN_DOMAIN,))]


def _kind(sets: Sequence[str], info: TaskInfo) -> str:
    if sets[0] == IN_DOMAIN:
        return "in-domain, partly seen by the methods; not a test"
    inside = [name for name in sets if name in info.inside]
    if inside and len(inside) < len(sets):
        return f"test sets; in-distribution: {listed(inside)}"
    return "in-distribution, held out" if inside else "out-of-distribution"


def block(results: Results, backbone: str, sets: Sequence[str], *, shared: bool = True) -> Table:
    """Return the table of one backbone and some sets; `shared` headers name the sets, otherwise the title does."""
    info, sizes = results.info, heads(results, sets)
    numbers = [results.column(backbone, name, metric) for name in sets for metric in info.columns]
    title = f"{', '.join(sets)}: {_kind(sets, info)}"
    return Table(
        [
            METHOD,
            *(column for name in sets for column in metric_columns(info, *((name, sizes[name]) if shared else ()))),
            Column("cost", decimals=1),
            Column("folds"),
        ],
        [
            [named(cost.label, cost.method, info), *map(entry, rows), cost.mean, len(cost.values) or None]
            for cost, *rows in zip(results.costs(backbone), *numbers, strict=True)
        ],
        title if shared else f"{title} ({sizes[sets[0]]})",
    )


def named(title: str, method: str, info: TaskInfo) -> Value:
    """Return the name of a row, with the citation of its method if that is asked for."""
    key = CITED.get(method) if "cite" in info.latex else None
    return Cited(title, key) if key else title


def entry(row: Row) -> Entry:
    """Return mean and std of a row with its mark and sign."""
    return Entry(row.mean, row.std, row.mark, SIGNS[row.excluded] or SIGN * row.levelled_down)


def metric_columns(info: TaskInfo, group: str = "", remark: str = "") -> list[Column]:
    """Return the columns of the printed metrics."""
    return [Column(info.heading(name), "centre", group=group, remark=remark) for name in info.columns]


def heads(results: Results, sets: Sequence[str]) -> dict[str, str]:
    """Return the size of each set, such as `n 800`."""
    found = {name: f"n {span((size.low, size.high), results.info)}" for name, size in results.sizes.items()}
    return {name: found.get(name, "no images") for name in sets}


def intervals(results: Results) -> list[Table]:
    """Return the differences to Baseline over patients: a table per backbone and test set that has some."""
    found = []
    titles = [METHOD, *(Column(results.info.heading(metric)) for metric in results.info.columns)]
    for backbone, name in product(results.backbones, results.patients):
        columns = [results.column(backbone, name, metric) for metric in results.info.columns]
        rows = [[rows[0].label, *map(_interval, rows)] for rows in zip(*columns, strict=True)]
        where = f"{name}, {display_name(backbone)} backbone" if len(results.backbones) > 1 else name
        if rows := [row for row in rows if any(row[1:])]:
            found.append(Table(titles, rows, where))
    return found


def _interval(row: Row) -> str:
    if not row.draws:
        return ""
    if isnan(row.ci_low):
        return f"too few draws ({row.draws})"
    return f"{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]{'*' if row.significant_patients else ''}"


def latex(results: Results) -> str:
    """Return floats, the last one with the notes, and the findings, to \\input into a document (`document.latex`)."""
    results = with_display_names(results)
    info = results.info
    # A label is no name that is printed: it keeps that of the task, which is unique.
    name, part = info.name, f", {info.part}" if info.part else ""
    variant = label("", name)
    own, warning = f"-{info.part}" if info.part else "", SYNTHETIC if info.synthetic else ""
    floats = []
    for backbone in results.backbones:
        last = backbone == results.backbones[-1]
        says = f"{info.description[:-1]}; {display_name(backbone)} backbone{part}{variant}."
        caption = says if last or "plain" in info.latex else f"{says} Notes: under the last of these tables."
        notes = reading(results) if last else ()
        tables, brief = blocks(results, backbone, SETS_ABREAST), (averaged(results), MARKS)
        floats.append(Float(caption, f"{name}-{backbone}{own}", tables, notes, warning, brief=brief, signs=LEGEND))
    if tables := intervals(results):
        caption = (
            f"{info.description[:-1]}{part}{variant}: differences to Baseline with 95 % intervals over patients. "
            "*: adjusted p below 0.05."
        )
        caption += "" if "plain" in info.latex else " The text describes the method."
        floats.append(Float(caption, f"{name}-patients{own}", tables, warning=warning))
    return document.latex([*floats, *findings(results)], plain="plain" in info.latex)


def files(results: Results) -> dict[str, str]:
    """Return the table, its notes and the findings by suffix."""
    return {"tex": latex(results), **document.written(section(results)), "csv": csv(results)}


def section(results: Results) -> Section:
    """Return the whole report text of a table."""
    info = results.info
    title = f"{info.name}: {info.part}" if info.part else info.name
    found = Section("What folds and patients support", findings(results))
    return Section(title, [info.description, *tables(results), found], SYNTHETIC if info.synthetic else "")


def tables(results: Results) -> list[Section]:
    """Return the tables of each backbone, the differences over patients, how to read both, and what data were read."""
    patients = "Mean difference over folds and its 95 % interval; *: adjusted p below 0.05."
    differences = intervals(results)
    return [
        *(Section(f"{backbone} backbone", blocks(results, backbone, 1)) for backbone in results.backbones),
        *([Section("Differences to Baseline over patients", [patients, *differences])] if differences else []),
        Section("How to read this", [reading(results)]),
        *data_table.sections(results),
    ]


def csv(results: Results) -> str:
    """Return one row per backbone, spec, set and metric, with all metrics in full precision; NaN is empty."""
    info = results.info
    task = {"task": info.name, "synthetic": info.synthetic, "folds": results.folds}
    properties = ("direction", "significant_patients")
    records = [
        vars(row)
        | {name: getattr(row, name) for name in properties}
        | {**task, "role": "ood" if row.set in info.ood else row.set}
        for row in results.rows
    ]
    return table.csv(records, CSV)
