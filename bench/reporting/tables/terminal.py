"""The answer of a task for a terminal, in at most 15 lines: differences to Baseline, and what they mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import TextIO

from rich.console import Console

from bench.errors import number_of
from bench.reporting.numbers.aggregate import Results, warning_of
from bench.reporting.numbers.answer import Change, Line, Place
from bench.reporting.numbers.patient_intervals import units
from bench.reporting.numbers.ranking import NEEDS, SUPPORTED
from bench.reporting.render.table import Column, Spanning, Table, Value, terminal
from bench.reporting.render.text import number, signed
from bench.reporting.tables.main_table import METHOD, apart, block, heads
from bench.reporting.words.answer_text import answered
from bench.reporting.words.notes import LEGEND, SIGN, partial

ROWS = 11
"""Most methods that are shown, Baseline among them; with two headers and two paragraphs these are 15 lines."""
DECIMALS = 3


def show(results: Results, stream: TextIO | None = None) -> None:
    """Print the answer; intervals are left out where the terminal is too narrow for them.

    Without Baseline nothing can be compared, and the means are printed.
    """
    console = Console(file=stream or sys.stdout, highlight=False, emoji=False, markup=False)
    found = answered(results, ())
    for backbone in results.backbones:
        places = {place: says for place, says in found.items() if place.backbone == backbone}
        if len(results.backbones) > 1:
            console.print(f"{backbone} backbone", soft_wrap=True)
        tables = [_table(results, [*places], ends) for ends in (True, False)] if places else _means(results, backbone)
        written = [terminal(table, styled=console.is_terminal, short=not places) for table in tables]
        narrow = console.is_terminal and max(map(len, written[0])) > console.width
        for line in written[-1 if narrow else 0]:
            console.print(line, soft_wrap=True)
        if places:
            named = [f"{place.name}: " * (len(places) > 1) + " ".join(says[:-1][-1:]) for place, says in places.items()]
            console.print(" ".join(named), soft_wrap=not console.is_terminal)
    notes = [
        *filter(None, [warning_of(results.info)]),
        _legend(results, bool(found)),
        *partial(results, levelled=False),
    ]
    console.print(" ".join(notes), soft_wrap=not console.is_terminal)


def _table(results: Results, places: Sequence[Place], ends: bool) -> Table:
    """Return a row for each method; `ends` tells whether intervals are shown."""
    sizes = heads(results, [place.name for place in places])
    columns = [
        replace(METHOD, group="SYNTHETIC" * results.info.synthetic),
        *(
            Column(title, "left", group=place.name, remark=sizes[place.name])
            for place in places
            for title in (place.gap_title, "AUC")
        ),
    ]
    rows: list[list[Value]] = [["Baseline", *(text for place in places for text in _baseline(place, ends))]]
    lines = list(zip(*(place.lines for place in places), strict=True))
    shown = lines[: ROWS - 1 - (len(lines) >= ROWS)]
    for line in shown:
        label = line[0].label + NEEDS * line[0].needs_attribute
        rows.append([label, *(text for one in line for text in _changes(one, ends))])
    if len(lines) >= ROWS:
        rows.append([Spanning(f"and {len(lines) - len(rows) + 1} more, in the report")])
    first = apart([line[0] for line in shown])
    return Table(columns, rows, apart=first + 1 if first else 0)  # below Baseline


def _baseline(place: Place, ends: bool) -> tuple[str, str]:
    gap, auc = number(place.gap_value, DECIMALS), number(place.auc, DECIMALS)
    return gap + _between(*place.leaning) * ends, auc + _between(place.auc_low, place.auc_high) * ends


def _changes(line: Line, ends: bool) -> tuple[str, str]:
    gap = _change(line.gap_change, SIGN * line.levelled_down, ends) if line.gap_change else line.why
    return gap, _change(line.auc_change, "", ends) if line.auc_change else ""


def _change(change: Change, sign: str, ends: bool) -> str:
    shown = signed(change.value, DECIMALS) + SUPPORTED * change.supported + sign
    return shown + (_between(change.low, change.high, sign=True) if ends else "")


def _between(low: float, high: float, sign: bool = False) -> str:
    if not (isfinite(low) and isfinite(high)):
        return ""
    one, two = (signed(end, DECIMALS) if sign else number(end, DECIMALS) for end in (low, high))
    return f" ({one} to {two})"


def _means(results: Results, backbone: str) -> list[Table]:
    return [block(results, backbone, results.info.ood)]


def _legend(results: Results, compared: bool) -> str:
    folds = number_of(results.found, "fold")
    if not compared:
        return f"Mean ± std over {folds} (ddof 1). Without Baseline nothing is compared."
    tested = f", with 95 % intervals over {units(results)}" if results.patients else ""
    shown = [row for row in results.rows if row.metric in (results.info.gap, "auc")]
    signs = f" {SUPPORTED} supported." if any(row.supported for row in shown) else ""
    signs += f" {SIGN} {LEGEND[SIGN]}." if any(row.levelled_down for row in shown) else ""
    return f"Methods: change against Baseline, mean over {folds}{tested}.{signs}"
