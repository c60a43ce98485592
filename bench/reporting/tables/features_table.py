"""What the features of each model know of the attribute, with its gap, and one sentence on both."""

from __future__ import annotations

from math import isfinite

import pandas as pd

from bench.reporting.numbers.aggregate import SYNTHETIC
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.known_features import by_chance, correlation
from bench.reporting.render import document
from bench.reporting.render.document import Float, Section
from bench.reporting.render.table import Column, Entry, Table, csv
from bench.reporting.render.text import signed
from bench.reporting.tables.main_table import METHOD, apart, marked
from bench.reporting.task_results import TaskResults


def files(task: TaskResults) -> dict[str, str]:
    """Return the table by suffix; nothing if no cell has a probe."""
    frame, info = task.known_features, task.info
    if frame.empty:
        return {}
    tables = _tables(task, frame)
    notes = [
        f"Features know {info.attribute_name}: AUC of a linear probe on the features of each model, fitted on "
        "validation images and read on the test set, mean ± std over folds; 0.5 is no knowledge. With more than two "
        "groups it is the mean over groups. Methods that change the head alone leave the features of Baseline, and so "
        "its value. A dash is a gap that cannot be judged.",
        *sentences(task, frame),
    ]
    warning = SYNTHETIC if info.synthetic else ""
    caption = f"{info.description[:-1]}: what the features know of {info.attribute_name}."
    section = Section(f"{info.name}: what the features know", [*tables, Section("How to read this", [notes])], warning)
    floats = [Float(caption, f"{info.name}-features", tables, notes, warning)]
    return {
        "tex": document.latex(floats, plain="plain" in info.latex),
        **document.written(section),
        "csv": csv(frame),
    }


def sentences(task: TaskResults, frame: pd.DataFrame) -> list[str]:
    """Return a sentence for each backbone and test set on the rank correlation of probe and gap."""
    found = []
    for backbone, name in task.results.places:
        value, methods = correlation(frame[(frame["backbone"] == backbone) & (frame["set"] == name)])
        if isfinite(value):
            found.append(
                f"{task.results.named(name, display_name(backbone))}: over {methods} methods the rank correlation of "
                f"the probe with {task.info.title(task.info.gap)} is {signed(value, 2)}. Shown, not claimed: among "
                f"unrelated methods one of twenty is larger than {by_chance(methods):.2f} in size."
            )
    return found


def _tables(task: TaskResults, frame: pd.DataFrame) -> list[Table]:
    results, found = task.results, []
    for backbone, name in results.places:
        here = frame[(frame["backbone"] == backbone) & (frame["set"] == name)].set_index("spec").to_dict("index")
        shown = [row for row in results.costs(backbone) if row.spec in here]
        rows = [
            [marked(row), Entry(here[row.spec]["probe"], here[row.spec]["probe_std"]), here[row.spec]["gap"]]
            for row in shown
        ]
        columns = [METHOD, Column("features know"), Column(task.info.title(task.info.gap))]
        if rows:
            found.append(Table(columns, rows, results.named(name, display_name(backbone)), apart(shown)))
    return found
