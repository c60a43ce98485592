"""What each method is worth at equal fairness, against Baseline with a threshold per group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from bench.reporting.numbers.aggregate import SYNTHETIC
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.equal_odds import DRAWS, PRINTED, RULES, SPECIFICITY
from bench.reporting.render import document
from bench.reporting.render.document import Float, Section
from bench.reporting.render.table import Column, Table, Value, csv
from bench.reporting.render.text import number, signed
from bench.reporting.tables.main_table import METHOD, apart, marked
from bench.reporting.task_results import TaskResults

COLUMNS = [
    Column("balanced accuracy", group="threshold per group"),
    Column("against Baseline", group="threshold per group"),
    Column("EOdds reached", group="threshold per group"),
    Column("sensitivity", group="threshold per group"),
    Column("balanced accuracy", group="one threshold"),
    Column("against Baseline with thresholds", group="one threshold"),
    Column("EOdds reached", group="one threshold"),
    Column("sensitivity", group="one threshold"),
]
GOAL, ENDS = "balanced_accuracy", ("value", "low", "high")
READING = (
    "Thresholds are chosen on validation images, so that EOdds is at most the bound there and balanced accuracy is as "
    "high as possible; then they are applied to the test set, where EOdds may be larger (EOdds reached).",
    f"Sensitivity: the same, with a specificity of at least {SPECIFICITY} on validation images in place of balanced "
    "accuracy.",
    "The line to beat is Baseline with a threshold per group. A threshold per group needs the group of every patient, "
    "for every method; one threshold does not.",
    f"In brackets: 95 % intervals over {{unit}} ({DRAWS} bootstrap samples), thresholds fixed, not adjusted for their "
    "number; nothing here is tested. Images whose group is not known are left out.",
    "Methods were fitted on some of the validation images, Baseline was not: their bound may hold less well elsewhere.",
)


def files(task: TaskResults) -> dict[str, str]:
    """Return the table by suffix; nothing if there are no numbers."""
    frame = task.equal_odds
    if frame.empty:
        return {}
    info = task.info
    tables = _tables(task, frame)
    reading = [text.format(unit=info.unit) for text in READING]
    title = f"{info.name}: at equal fairness"
    warning = SYNTHETIC if info.synthetic else ""
    section = Section(title, [*tables, Section("How to read this", [reading])], warning)
    caption = f"{info.description[:-1]}: balanced accuracy and sensitivity at bounds on EOdds."
    floats = [Float(caption, f"{info.name}-equal-odds", tables, reading, warning, wide=True)]
    return {
        "tex": document.latex(floats, plain="plain" in info.latex),
        **document.written(section),
        "csv": csv(frame),
    }


def _tables(task: TaskResults, frame: pd.DataFrame) -> list[Table]:
    """Return a table for each backbone, test set and printed bound."""
    results, found = task.results, []
    records = frame[frame["bound"].isin(PRINTED)].to_dict("records")
    known = {tuple(one[key] for key in ("backbone", "set", "spec", "bound", "rule", "goal")): one for one in records}
    for backbone, name in results.places:
        first = (backbone, name)
        shown = [row for row in results.costs(backbone) if (*first, row.spec, PRINTED[0], "one", GOAL) in known]
        for bound in PRINTED if shown else ():
            rows = [[marked(row), *_cells(known, (*first, row.spec, bound))] for row in shown]
            where = f"{results.named(name, display_name(backbone))}: EOdds at most {bound:.2f} on validation"
            found.append(Table([METHOD, *COLUMNS], rows, where, apart(shown)))
    return found


def _cells(known: Mapping[tuple[Any, ...], Mapping[Any, Any]], place: tuple[Any, ...]) -> list[Value]:
    """Return the values of a row."""
    found: list[Value] = []
    for rule in RULES:
        one, other = known[(*place, rule, GOAL)], known[(*place, rule, "sensitivity")]
        less = _with_ends([one[key] for key in ("difference", "difference_low", "difference_high")], signed)
        found += [_with_ends([one[key] for key in ENDS], number), less, one["eodds"]]
        found.append(_with_ends([other[key] for key in ENDS], number))
    return found


def _with_ends(values: Sequence[float], printed: Callable[[float, int], str]) -> str | None:
    """Return a number with its interval; None if it is undefined."""
    value, low, high = values
    if not isfinite(value):
        return None
    return printed(value, 3) + (f" [{printed(low, 3)}, {printed(high, 3)}]" if isfinite(low) else "")
