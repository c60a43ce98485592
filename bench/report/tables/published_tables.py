"""The comparison with the published numbers as text, Markdown, LaTeX and CSV: a table per network, set and metric."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from math import isfinite

import pandas as pd

from bench.report.numbers.comparison import Comparison, Line
from bench.report.numbers.ranking import DECIMALS
from bench.report.tables.main_table import md, number, tex
from bench.score.definitions import METRICS

NAME = "published"
"""Name of the files."""
_HEADS = ("method", "ours", "published", "difference", "within the spread")


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


FORMATS: dict[str, Callable[[Comparison], str]] = {"md": markdown, "csv": csv, "tex": latex}
