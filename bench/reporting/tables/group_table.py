"""Rates of every group and the number of images behind each: one row per method, set, group and rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import pandas as pd

from bench.cells.record import Record
from bench.reporting.numbers.aggregate import IN_DOMAIN, Results, warning_of
from bench.reporting.numbers.group_intervals import DRAWS, Place
from bench.reporting.numbers.grouping import grouped, over_seeds
from bench.reporting.numbers.suppression import note
from bench.reporting.render.document import Section, written
from bench.reporting.render.table import Column, Entry, Table, csv
from bench.reporting.render.text import number
from bench.reporting.tables.main_table import marked
from bench.reporting.task_results import TaskResults
from bench.reporting.words.notes import FEW, spread
from bench.scoring.of_scores import OF_GROUPS
from bench.scoring.statistics import summary

SIGN = "¶"
RATES = {
    "selection_rate": ("selected", "n"),
    "tpr": ("TPR", "positives"),
    "fpr": ("FPR", "negatives"),
    "auc": ("AUC", "fewer"),
    "calibration_error": ("ECE", "n"),
    "auprc": ("AUPRC", "fewer"),
    "brier": ("Brier", "n"),
    "sensitivity_at_specificity": ("sensitivity at 90 % specificity", "fewer"),
    "net_benefit": ("net benefit", "n"),
    "calibration_intercept": ("calibration in the large", "fewer"),
    "calibration_slope": ("calibration slope", "fewer"),
    "selection_rate_tuned_threshold": ("selected, tuned threshold", "n"),
    "tpr_tuned_threshold": ("TPR, tuned threshold", "positives"),
    "fpr_tuned_threshold": ("FPR, tuned threshold", "negatives"),
}
"""Title of a rate, and the count on which it rests: `fewer` is that of the class with fewer images."""
COUNTS = ("n", "positives", "negatives")
PRINTED = ("selection_rate", "tpr", "fpr", "auc", "calibration_error")


def files(task: TaskResults) -> dict[str, str]:
    """Return the table by suffix."""
    rates = frame(task.results, task.tables[0].cells, task.group_intervals)
    return {**written(section(task.results, rates)), "csv": csv(rates)}


def frame(
    results: Results, cells: Sequence[Record], intervals: Mapping[Place, tuple[float, float]] | None = None
) -> pd.DataFrame:
    """Return one row per backbone, method, set, group and rate, in the order of the main table.

    Columns: task, synthetic, backbone, method, label, spec, set, role, group, n, positives, negatives, rate, images (on
    which it rests), mean, std (ddof 1), ci_low, ci_high (those of `intervals`, or NaN), folds (with a number), few
    (`images` below ten). Counts are the fewest over the folds; seeds of a fold are averaged. Sets with suppressed
    counts have no rows.
    """
    info, records, intervals = results.info, [], intervals or {}
    models = grouped(((item.cell.backbone, item.cell.spec), item) for item in cells)
    for row in (row for backbone in results.backbones for row in results.costs(backbone)):
        known = {"task": info.name, "synthetic": info.synthetic}
        known |= {name: getattr(row, name) for name in ("backbone", "method", "label", "spec")}
        for name in (name for name in (*info.ood, IN_DOMAIN) if name not in results.suppressed):
            role = "ood" if name in info.ood else name
            scored = [item for item in models.get((row.backbone, row.spec), []) if name in item.scores]
            for group in info.group_names if scored else ():
                place = known | {"set": name, "role": role, "group": group}
                for rate in _rates(scored, name, group):
                    of = (row.backbone, row.spec, name, group, str(rate["rate"]))
                    low, high = intervals.get(of, (nan, nan))
                    records.append(place | rate | {"ci_low": low, "ci_high": high})
    columns = ["task", "synthetic", "backbone", "method", "label", "spec", "set", "role", "group", *COUNTS, "rate"]
    return pd.DataFrame(records, columns=[*columns, "images", "mean", "std", "ci_low", "ci_high", "folds", "few"])


def section(results: Results, frame: pd.DataFrame) -> Section:
    """Return two tables per backbone and set from a frame of `frame`: rates at the threshold of 0.5, and scores."""
    titles = ["method", "group", *COUNTS, *(RATES[rate][0] for rate in PRINTED)]
    columns = [Column(title, "left" if place < 2 else "right") for place, title in enumerate(titles)]
    others = [*columns[:2], *(Column(RATES[rate][0], "centre") for rate in OF_GROUPS)]
    shown = {row.label: marked(row) for row in results.rows}
    tables = []
    for keys, block in frame.groupby(["backbone", "set"], sort=False):
        rows, scores, where = [], [], ", ".join(map(str, keys))
        for (label, _, group), part in block.groupby(["label", "spec", "group"], sort=False):
            rates = part.set_index("rate").to_dict("index")
            counts = [int(rates[PRINTED[0]][kind]) for kind in COUNTS]
            rows.append([shown[str(label)], group, *counts, *(_entry(rates[rate]) for rate in PRINTED)])
            scores.append([shown[str(label)], group, *(_with_ends(rates[rate]) for rate in OF_GROUPS)])
        tables += [Table(columns, rows, where), Table(others, scores, f"{where}: scores as they are")]
    few = f"{SIGN} Fewer than {FEW} images (for AUC, of the class with fewer) hardly give a rate."
    notes = [
        spread(results) + " Counts: fewest over the folds.",
        "Predicted positive: a score above 0.5. Rates at the threshold tuned on validation are in the CSV.",
        f"In brackets: 95 % intervals over {results.info.unit} ({DRAWS} bootstrap samples), not adjusted for their "
        "number; nothing here is tested. Those of all rates but ECE are in the CSV.",
        "Net benefit: at the threshold probability 0.1. Calibration in the large is 0 and its slope is 1 if scores are "
        "frequencies; a loss with class weights moves both.",
        "ECE: expected calibration error of the unadjusted score, ten bins of equal width.",
        *([few] if frame["few"].any() else []),
        *note(results.suppressed, results.info, costs=False),
    ]
    info = results.info
    body = [*tables, Section("How to read this", [notes])]
    return Section(f"{info.name}: rates by group", body, warning_of(info))


def _rates(cells: Sequence[Record], name: str, group: str) -> list[dict[str, Any]]:
    found = [(item.cell.fold, item.scores[name].groups[group]) for item in cells]
    counts = {kind: min(getattr(one, kind) for _, one in found) for kind in COUNTS}
    images = {**counts, "fewer": min(counts["positives"], counts["negatives"])}
    records = []
    for rate, (_, of) in RATES.items():
        folds = over_seeds((fold, one.metrics.get(rate, nan)) for fold, one in found)
        mean, std, n = summary(list(folds.values()))
        numbers = {"mean": mean, "std": std, "folds": n, "few": images[of] < FEW}
        records.append({**counts, "rate": rate, "images": images[of]} | numbers)
    return records


def _with_ends(rate: Mapping[Any, Any]) -> str | None:
    """Return a mean with its interval; None if it is undefined."""
    if not isfinite(rate["mean"]):
        return None
    ends = (number(rate[end], 3) for end in ("ci_low", "ci_high"))
    between = f" [{', '.join(ends)}]" if isfinite(rate["ci_low"]) else ""
    return number(rate["mean"], 3) + SIGN * bool(rate["few"]) + between


def _entry(rate: Mapping[Any, Any]) -> Entry:
    return Entry(rate["mean"], rate["std"], sign=SIGN * bool(rate["few"] and isfinite(rate["mean"])))
