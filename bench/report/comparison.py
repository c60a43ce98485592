"""Our numbers of a task beside those that were published, or why the two cannot be compared.

Rule: a number lies within the spread where |ours - published| <= std published + std ours. That is a yardstick and no
test: the paper has no folds to pair ours with, and does not say which std it prints.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite, nan
from typing import Any

import pandas as pd

from bench.report.aggregate import Results
from bench.report.checks import TaskInfo, label_of
from bench.report.published import PAPER, everything, published, sizes
from bench.report.ranking import DECIMALS, Row
from bench.report.tables import md, number, tex
from bench.score.definitions import METRICS

NAME = "published"
"""Name of the files."""
OTHER_IMAGES = 0.05
"""Sets whose numbers of images differ by a larger share are not the same set."""
SYNTHETIC = "Published numbers are of patients: they are not shown beside synthetic data."
_BESIDE = {"eodds": ("eodds", "eodds_signed")}
# Which of both the paper printed is not known (D22).
_HEADS = ("method", "ours", "published", "difference", "within the spread")


@dataclass(frozen=True)
class Line:
    """One published number and ours; `verdict` is yes, no, or why there is none; `note` is on the published one."""

    backbone: str
    set: str
    metric: str
    spec: str
    label: str
    ours: float
    ours_std: float
    ours_n: int
    published: float
    published_std: float
    difference: float
    verdict: str
    table: int
    note: str


@dataclass(frozen=True)
class Comparison:
    """All published numbers of a task on the backbones that were run, and how to read them."""

    info: TaskInfo
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def compare(results: Sequence[Results]) -> Comparison | None:
    """Set the tables of one real task, the main one first, beside the paper's; None where it has no such task.

    None on synthetic data too, whatever the task is called.
    """
    main = results[0]
    if main.info.synthetic:
        return None
    rows = {(row.backbone, row.set, row.metric, row.spec): row for part in reversed(results) for row in part.rows}
    lines = [
        line
        for backbone in main.backbones
        for item in published(main.info.name, backbone).to_dict("records")
        for metric in _BESIDE.get(item["metric"], (item["metric"],))
        for line in [_line(item, metric, rows.get((backbone, item["test_set"], metric, item["key"])), main)]
    ]
    if not lines:
        return None
    order = {name: place for place, name in enumerate(METRICS)}
    lines.sort(key=lambda line: (line.backbone, main.info.ood.index(line.set), order[line.metric]))
    return Comparison(main.info, tuple(lines), tuple(_notes(lines, main)))


def withheld_from(info: TaskInfo) -> str:
    """The line that says why a task of the paper has no published numbers here; empty for others."""
    known = info.name.partition(":")[0] in set(everything()["task"])
    return f"{SYNTHETIC}\n" if info.synthetic and known else ""


def text(compared: Comparison) -> str:
    """The comparison for a terminal."""
    lines = []
    for (backbone, name, metric), items in _blocks(compared):
        cells = [_HEADS, *(_cells(item) for item in items)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(_HEADS))]
        lines += ["", f"Published, {backbone}, {name}: {METRICS[metric].title}"]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
    return "\n".join([*lines, "", *compared.notes, ""])


def markdown(compared: Comparison) -> str:
    """The comparison for a page that renders Markdown."""
    lines = [f"# {md(compared.info.name)}: ours and published", ""]
    for (backbone, name, metric), items in _blocks(compared):
        lines += [f"## {md(backbone)}, {md(name)}: {METRICS[metric].title}", ""]
        lines += [f"| {' | '.join(_HEADS)} |", "| --- | ---: | ---: | ---: | --- |"]
        lines += [f"| {' | '.join(md(cell) for cell in _cells(item))} |" for item in items] + [""]
    remarks: dict[str, list[str]] = {}
    for item in compared.lines:
        if item.note and item.metric != "eodds_signed":
            place = f"Table {item.table}, {item.label}, {item.set}, {METRICS[item.metric].title}"
            remarks.setdefault(item.note, []).append(place)
    notes = [*compared.notes, *(f"{'; '.join(places)}: {note}" for note, places in remarks.items())]
    return "\n".join([*lines, "## How to read this", "", *(f"- {md(note)}" for note in notes), ""])


def latex(compared: Comparison) -> str:
    """The same tables to \\input into a document that loads booktabs."""
    lines = [r"% \usepackage{booktabs}"]
    blocks = _blocks(compared)
    for place, ((backbone, name, metric), items) in enumerate(blocks):
        caption = f"{compared.info.name}, {backbone}, {name}: {METRICS[metric].title}, ours and published."
        lines += [r"\begin{table}[t]", r"\centering\footnotesize", rf"\caption{{{tex(caption)}}}"]
        lines += [r"\begin{tabular}{lrrrl}", r"\toprule", rf"{' & '.join(_HEADS)} \\", r"\midrule"]
        lines += [rf"{' & '.join(tex(cell) for cell in _cells(item))} \\" for item in items]
        lines += [r"\bottomrule", r"\end{tabular}"]
        if place == len(blocks) - 1:
            notes = "\\\\\n".join(tex(note) for note in compared.notes)
            lines += [r"\\[6pt]\begin{minipage}{\linewidth}\scriptsize\raggedright", notes, r"\end{minipage}"]
        lines += [r"\end{table}"]
    return "\n".join([*lines, ""])


def csv(compared: Comparison) -> str:
    """One row per published number and metric of ours, full precision; NaN is empty."""
    table = pd.DataFrame([vars(line) for line in compared.lines])
    table.insert(0, "task", compared.info.name)
    return table.to_csv(index=False, lineterminator="\n")


FORMATS: dict[str, Callable[[Comparison], str]] = {"md": markdown, "csv": csv, "tex": latex}


def _line(item: dict[Hashable, Any], metric: str, row: Row | None, main: Results) -> Line:
    theirs, std = item["mean"], item["std"]
    ours, ours_std = (row.mean, row.std) if row else (nan, nan)
    difference = ours - theirs
    # Numbers of three decimals: what is equal on paper must not differ by a binary digit.
    inside = abs(difference) <= std + ours_std + 1e-9
    verdict = _why_not(row, theirs, item["test_set"], main) or ("yes" if inside else "no")
    return Line(
        backbone=item["backbone"], set=item["test_set"], metric=metric, spec=item["key"],
        label=label_of({"spec": item["key"], "title": item["method"]}),
        ours=ours, ours_std=ours_std, ours_n=row.n if row else 0, published=theirs, published_std=std,
        difference=difference, verdict=verdict, table=item["table"], note=item["note"],
    )  # fmt: skip


def _why_not(row: Row | None, theirs: float, name: str, main: Results) -> str:
    if row is None or not row.values:
        return "not run"
    if row.excluded == "withheld":
        return "withheld"
    if row.excluded == "degenerate":
        return "degenerate"
    if not isfinite(row.mean):
        return "undefined"
    if not isfinite(theirs):
        return "not legible"
    if not isfinite(row.std):
        return "one fold"
    size, paper = main.sizes.get(name), sizes()[name]
    return "other images" if size and abs(size.low - paper) > OTHER_IMAGES * paper else ""


def _notes(lines: Sequence[Line], main: Results) -> list[str]:
    decided = [line for line in lines if line.verdict in ("yes", "no")]
    inside = sum(line.verdict == "yes" for line in decided)
    reasons = sorted({line.verdict for line in lines} - {"yes", "no"})
    rest = ", ".join(f"{sum(line.verdict == reason for line in lines)} {reason}" for reason in reasons)
    metrics = {line.metric for line in lines}
    kept = [name for name in main.info.ood if name in main.sizes and name not in main.withheld]
    counts = [(name, main.sizes[name].low, sizes()[name]) for name in kept if name in sizes()]
    runnable = everything()[everything()["task"] == main.info.name.partition(":")[0]]["backbone"].unique()
    missing = [name for name in runnable if name not in main.backbones]
    return [
        f"Published: {PAPER}. Within the spread: |ours - published| is at most std published + std ours. That is no "
        "test; the paper does not say which std it prints, ours has ddof 1.",
        f"{inside} of {len(decided)} numbers lie within the spread{f'; not compared: {rest}' if rest else ''}.",
        *(["The paper prints no formula of EOdds (D22): its numbers stand beside two of ours."] * ("eodds" in metrics)),
        *(
            f"{name}: {here} images here, {there} in the paper"
            + (": not the same images, not compared." if abs(here - there) > OTHER_IMAGES * there else ".")
            for name, here, there in counts
            if here != there
        ),
        *([f"Not run: {', '.join(missing)}."] if missing else []),
    ]


def _blocks(compared: Comparison) -> list[tuple[tuple[str, str, str], list[Line]]]:
    grouped = groupby(compared.lines, key=lambda line: (line.backbone, line.set, line.metric))
    return [(key, list(items)) for key, items in grouped]


def _cells(line: Line) -> tuple[str, ...]:
    ours = line.verdict if line.ours_n == 0 else _spread(line.ours, line.ours_std)
    shown = round(line.difference, DECIMALS) + 0.0  # no minus before a zero
    difference = f"{shown:+.{DECIMALS}f}".replace("-", "−") if isfinite(shown) else "–"
    return line.label, ours, _spread(line.published, line.published_std), difference, line.verdict


def _spread(mean: float, std: float) -> str:
    return f"{number(mean, DECIMALS)} ± {number(std, DECIMALS)}" if isfinite(std) else number(mean, DECIMALS)
