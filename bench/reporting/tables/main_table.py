"""The main table: the printed columns of each test set and, in the CSV, every number of every row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import isnan
from typing import Any

from bench.reporting.numbers.aggregate import IN_DOMAIN, Results, warning_of
from bench.reporting.numbers.answer import Line
from bench.reporting.numbers.display_names import CITED, display_name
from bench.reporting.numbers.patient_intervals import units
from bench.reporting.numbers.ranking import DECIMALS, NEEDS, SUPPORTED, Row
from bench.reporting.numbers.shown_sets import with_display_names
from bench.reporting.numbers.suppression import span
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.render import document, table
from bench.reporting.render.document import Float, Section
from bench.reporting.render.table import Cited, Column, Entry, Table, Value
from bench.reporting.render.text import listed, signed
from bench.reporting.tables import data_table
from bench.reporting.words.conclusions import findings
from bench.reporting.words.notes import LEGEND, MARKS, SIGN, SIGNS, averaged, reading
from bench.spec import label

FOUND = "What is supported"
"""Title of the findings."""
SETS_ABREAST = 2
METHOD = Column("method", "left")
CSV = [
    *("task", "synthetic", "backbone", "method", "label", "spec", "set", "role", "metric", "direction"),
    *("mean", "std", "n", "folds", "degenerate", "excluded", "mark"),
    *("difference", "ci_low", "ci_high", "p", "draws", "p_holm", "supported"),
    *("same_sign", "pairs", "trained_low", "trained_high", "levelled_down", "needs_attribute"),
]
"""Columns of main.csv: fields of a `Row` and those of the task; `role` is "ood", "val" or, for the cost, empty."""


def blocks(results: Results, backbone: str, abreast: int) -> list[Table]:
    """Return tables of the test sets of one backbone, some side by side, then that of the validation set, if any."""
    ood = results.info.ood
    groups = [ood[start : start + abreast] for start in range(0, len(ood), abreast)]
    inside = [(IN_DOMAIN,)] if IN_DOMAIN in results.sizes or not results.info.elsewhere else []
    return [block(results, backbone, sets, shared=abreast > 1) for sets in (*groups, *inside)]


def _kind(sets: Sequence[str], info: TaskInfo) -> str:
    if sets[0] == IN_DOMAIN:
        return "in-domain, partly seen by the methods; not a test"
    if info.elsewhere:
        return "predictions made elsewhere"
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
            *([] if info.elsewhere else [Column("cost", decimals=1)]),
            Column("folds"),
        ],
        [
            [
                *(named(marked(cost), cost.method, info), *map(entry, rows)),
                *([] if info.elsewhere else [cost.mean]),
                len(cost.values) or None,
            ]
            for cost, *rows in zip(results.costs(backbone), *numbers, strict=True)
        ],
        title if shared else f"{title} ({sizes[sets[0]]})",
        apart(results.costs(backbone)),
    )


def apart(rows: Sequence[Row | Line]) -> int:
    """Return the place of the first comparator, above which tables have a rule; 0 if there is none."""
    return next((at for at, row in enumerate(rows) if row.comparator), 0)


def marked(row: Row) -> str:
    """Return the label of a row with the mark of a method that needs the attribute."""
    return row.label + NEEDS * row.needs_attribute


def named(title: str, method: str, info: TaskInfo) -> Value:
    """Return the name of a row, with the citation of its method if that is asked for."""
    key = CITED.get(method) if "cite" in info.latex else None
    return Cited(title, key) if key else title


def entry(row: Row) -> Entry:
    """Return mean and std of a row with its mark and signs."""
    signs = SUPPORTED * row.supported + SIGN * row.levelled_down
    return Entry(row.mean, row.std, row.mark, SIGNS[row.excluded] or signs)


def metric_columns(info: TaskInfo, group: str = "", remark: str = "") -> list[Column]:
    """Return the columns of the printed metrics."""
    return [Column(info.heading(name), "centre", group=group, remark=remark) for name in info.columns]


def heads(results: Results, sets: Sequence[str]) -> dict[str, str]:
    """Return the size of each set, such as `n 800`."""
    found = {name: f"n {span((size.low, size.high), results.info)}" for name, size in results.sizes.items()}
    return {name: found.get(name, "no images") for name in sets}


def intervals(results: Results) -> list[Table]:
    """Return the differences to Baseline, a table per backbone and test set that has some.

    The columns are those of the printed metrics, and what other trainings may show of the gap and of AUC.
    """
    found, info = [], results.info
    twice = [metric for metric in info.columns if metric in ("auc", info.gap)]
    titles = [
        METHOD,
        *(Column(info.heading(metric)) for metric in info.columns),
        *(Column(f"{info.title(metric)}, other trainings") for metric in twice),
    ]
    for backbone, name in product(results.backbones, results.patients):
        columns = [results.column(backbone, name, metric) for metric in info.columns]
        again = [results.column(backbone, name, metric) for metric in twice]
        rows = [
            (one[0], [marked(one[0]), *map(_interval, one), *map(_again, two)])
            for one, two in zip(zip(*columns, strict=True), zip(*again, strict=True), strict=True)
        ]
        where = f"{name}, {display_name(backbone)} backbone" if len(results.backbones) > 1 else name
        if rows := [(first, row) for first, row in rows if any(row[1:])]:
            found.append(Table(titles, [row for _, row in rows], where, apart([first for first, _ in rows])))
    return found


def _legend(results: Results) -> str:
    family = "" if results.info.part else f" {SUPPORTED} supported."
    return (
        f"Mean over folds and its 95 % interval over {units(results)}, not adjusted for their number.{family} "
        "Other trainings: how many of the trained models have the sign of the difference, and the interval over folds "
        f"and {units(results)} together."
    )


def _interval(row: Row) -> str:
    if not row.draws:
        return ""
    if isnan(row.ci_low):
        return f"too few patients ({row.draws} draws)"
    return f"{_with_interval(row.difference, row.ci_low, row.ci_high)}{SUPPORTED * row.supported}"


def _again(row: Row) -> str:
    """Return how many trained models have the sign of the difference, and the interval over folds and patients."""
    if not row.draws:
        return ""
    ends = "" if isnan(row.trained_low) else f" {_ends(row.trained_low, row.trained_high)}"
    return f"{row.same_sign} of {row.pairs}{ends}"


def _with_interval(difference: float, low: float, high: float) -> str:
    return f"{signed(difference, DECIMALS)} {_ends(low, high)}"


def _ends(low: float, high: float) -> str:
    return f"[{signed(low, DECIMALS)}, {signed(high, DECIMALS)}]"


def latex(results: Results) -> str:
    """Return floats, the last one with the notes, and the findings, to \\input into a document (`document.latex`)."""
    results = with_display_names(results)
    info = results.info
    # A label is no name that is printed: it keeps that of the task, which is unique.
    name, part = info.name, f", {info.part}" if info.part else ""
    variant = label("", name)
    own, warning = f"-{info.part}" if info.part else "", warning_of(info)
    floats = []
    for backbone in results.backbones:
        last = backbone == results.backbones[-1]
        says = f"{info.description[:-1]}; {display_name(backbone)} backbone{part}{variant}."
        caption = says if last or "plain" in info.latex else f"{says} Notes: under the last of these tables."
        notes = reading(results) if last else ()
        tables, brief = blocks(results, backbone, SETS_ABREAST), (averaged(results), MARKS)
        floats.append(Float(caption, f"{name}-{backbone}{own}", tables, notes, warning, brief=brief, signs=LEGEND))
    if tables := intervals(results):
        caption = f"{info.description[:-1]}{part}{variant}: differences to Baseline. {_legend(results)}"
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
    found = Section(FOUND, findings(results))
    return Section(title, [info.description, *tables(results), found], warning_of(info))


def tables(results: Results, *, data: bool = True) -> list[Section]:
    """Return the tables of each backbone, the differences to Baseline, how to read both and, with `data`, the data."""
    differences = intervals(results)
    return [
        *(Section(f"{backbone} backbone", blocks(results, backbone, 1)) for backbone in results.backbones),
        *([Section("Differences to Baseline", [_legend(results), *differences])] if differences else []),
        Section("How to read this", [reading(results)]),
        *(data_table.sections(results) if data else []),
    ]


def csv(results: Results) -> str:
    """Return one row per backbone, spec, set and metric, with all metrics in full precision; NaN is empty."""
    return table.csv(records(results), CSV)


def records(results: Results) -> list[dict[str, Any]]:
    """Return the rows of `csv` with the columns `CSV`, and other fields of a `Row`."""
    info = results.info
    task = {"task": info.name, "synthetic": info.synthetic, "folds": results.folds}
    return [
        vars(row) | {**task, "direction": row.direction, "role": "ood" if row.set in info.ood else row.set}
        for row in results.rows
    ]
