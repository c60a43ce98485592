"""Checks of a task's folds and sets: sides, balance, external sets, and the smallest cell of each."""

from __future__ import annotations

import math

import pandas as pd

from bench.data.task_data import TaskData
from bench.doctor.check_table import ENOUGH
from bench.doctor.findings import Finding
from bench.errors import BenchError

CLOSE = 0.01
"""Difference of a rate between a fold and the whole that is always allowed; two standard errors are too."""


def fold_findings(data: TaskData) -> list[Finding]:
    """Return D060 and D041 of a task."""
    found, source, task = [], data.tables["source"], data.task
    sides = source.groupby("patient")["fold"].nunique()
    astray = sides[sides > 1]
    if len(astray):
        where = source[source["patient"].isin(astray.index)]
        text = f"{len(astray)} patients (or lesions) are in training and validation, {len(where)} images"
        level = "error" if task.protocol == "clean" else "warning"
        found.append(Finding("D060", level, "source", text, tuple(map(str, astray.index[:3]))))
    whole = _rates(source)
    for fold in range(task.folds):
        part = source[source["fold"] == fold]
        for what, rate in _rates(part).items():
            expected, n = whole[what][0], rate[1]
            allowed = max(CLOSE, 2 * math.sqrt(expected * (1 - expected) / n)) if n else 1.0
            if abs(rate[0] - expected) > allowed:
                text = f"fold {fold}: {what} is {rate[0]:.3f} of {n} images, {expected:.3f} in all"
                found.append(Finding("D060", "warning", "source", text))
        if not task.attribute.grouped and task.external > 0:
            try:
                data.split("external", fold)
            except BenchError as error:
                found.append(Finding("D060", "error", "source", f"fold {fold}: no external set: {error}"))
    for line in smallest_cells(data):
        if line["n"] < ENOUGH:
            level = "error" if line["n"] == 0 else "warning"
            text = f"{line['where']}: {line['cell']} has {line['n']} images"
            text += f", one of them moves its rate by {line['points']:.1f} points" if line["n"] else ""
            found.append(Finding("D041", level, line["set"], text))
    return found


def smallest_cells(data: TaskData) -> list[dict]:
    """Return the smallest cell of label and attribute of each fold's validation part and of each test set."""
    task, lines = data.task, []
    for fold in range(task.folds):
        lines.append(_smallest(data, "source", f"fold {fold}, validation", data.split("val", fold)))
    for name in task.ood:
        lines.append(_smallest(data, name, name, data.split(name, 0)))
    return lines


def _smallest(data: TaskData, name: str, where: str, table: pd.DataFrame) -> dict:
    task, cells = data.task, {}
    for a, group in enumerate(task.attribute.names):
        for y, label in enumerate(task.label.names):
            cells[f"{label}, {group}"] = int(((table["y"] == y) & (table["a"] == a)).sum())
    cell = min(cells, key=lambda one: cells[one])
    n = cells[cell]
    return {"set": name, "where": where, "cell": cell, "n": n, "points": 100 / n if n else math.nan}


def _rates(table: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """P(y), P(a) and P(y | a) of a part, with the number of images below."""
    found = {"P(y=1)": (float(table["y"].mean()), len(table))}
    for a, rows in table.groupby("a"):
        found[f"P(a={a})"] = (len(rows) / len(table), len(table))
        found[f"P(y=1 | a={a})"] = (float(rows["y"].mean()), len(rows))
    return found
