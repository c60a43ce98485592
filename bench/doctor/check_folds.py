"""Checks of the folds and sets of a task: patients on two sides, balance, external sets, and small cells."""

from __future__ import annotations

import math

import pandas as pd

from bench.api import NO_GROUP
from bench.data.task_data import TaskData
from bench.doctor.check_table import ENOUGH
from bench.doctor.findings import Finding
from bench.errors import BenchError
from bench.reporting.numbers.published import sizes

TOLERANCE = 0.01
"""A rate in a fold may always differ by this much from the rate in all folds, and by two standard errors."""


def fold_findings(data: TaskData, cells: list[dict]) -> list[Finding]:
    """Return D060 and D041 of a task; `cells` are its `smallest_cells`."""
    found, source, task = [], data.tables["source"], data.task
    of = f"finding {task.finding}, " if task.finding else ""
    sides = source.groupby("patient")["fold"].nunique()
    astray = sides[sides > 1].index
    if len(astray):
        images = int(source["patient"].isin(astray).sum())
        text = f"{len(astray)} patients (or lesions), with {images} images, are in training and in validation"
        level = "error" if task.protocol == "clean" else "warning"
        found.append(Finding("D060", level, "source", text, tuple(map(str, astray[:3]))))
    overall = _rates(source)
    for fold in range(task.folds):
        for what, (rate, n) in _rates(source[source["fold"] == fold]).items():
            expected = overall[what][0]
            allowed = max(TOLERANCE, 2 * math.sqrt(expected * (1 - expected) / n)) if n else 1.0
            if abs(rate - expected) > allowed:
                text = f"{of}fold {fold}: {what} is {rate:.3f} of {n} images, but {expected:.3f} over all folds"
                found.append(Finding("D060", "warning", "source", text))
        if not task.attribute.grouped and task.external > 0:
            try:
                data.split("external", fold)
            except BenchError as error:
                found.append(Finding("D060", "error", "source", f"{of}fold {fold} has no external set: {error}"))
    for cell in cells:
        if cell["n"] < ENOUGH:
            text = f"{cell['where']}: {cell['cell']} has {cell['n']} images"
            text += f", one of them changes its rate by {cell['points']:.1f} points" if cell["n"] else ""
            found.append(Finding("D041", "warning" if cell["n"] else "error", cell["set"], text))
    return found


def part_sizes(data: TaskData) -> list[dict]:
    """Return fewest and most images of the training, validation and external set over the folds of a task of the paper.

    `paper` is the number of the paper. Other tasks and generated images have none to compare, and of more than two
    groups the external set depends on the baseline; an external set that cannot be cut is a finding of its own (D060).
    """
    task, found = data.task, []
    for name, paper in ({} if data.synthetic else sizes(task.name)).items():
        try:
            counts = [len(data.split(name, fold)) for fold in range(task.folds)]
        except BenchError:
            continue
        found.append({"set": name, "low": min(counts), "high": max(counts), "paper": paper})
    return found


def smallest_cells(data: TaskData) -> list[dict]:
    """Return the smallest combination of label and group in the validation part of each fold and in each test set."""
    task, of = data.task, f"{data.task.finding}, " if data.task.finding else ""
    parts = [("source", f"fold {fold}, validation", data.split("val", fold)) for fold in range(task.folds)]
    parts += [(name, name, data.split(name, 0)) for name in task.ood]
    found = []
    for name, where, table in parts:
        counts = {
            f"{label}, {group}": int(((table["y"] == y) & (table["a"] == a)).sum())
            for a, group in enumerate(task.attribute.names)
            for y, label in enumerate(task.label.names)
        }
        cell, n = min(counts.items(), key=lambda item: item[1])
        found.append({"set": name, "where": of + where, "cell": cell, "n": n, "points": 100 / n if n else math.nan})
    return found


def _rates(table: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """Return P(y), P(a) and P(y | a) of a table, each with the number of images that it is a share of."""
    found = {"P(y=1)": (float(table["y"].mean()), len(table))}
    grouped = table[table["a"] != NO_GROUP]
    for a, rows in grouped.groupby("a"):
        found[f"P(a={a})"] = (len(rows) / len(grouped), len(grouped))
        found[f"P(y=1 | a={a})"] = (float(rows["y"].mean()), len(rows))
    return found
