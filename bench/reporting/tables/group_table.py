"""Rates of every group and the number of images behind each: one row per method, set, group and rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import pandas as pd

from bench.cells.record import Record
from bench.reporting.numbers.aggregate import IN_DOMAIN, Results, warning_of
from bench.reporting.numbers.grouping import grouped, over_seeds
from bench.reporting.numbers.suppression import note
from bench.reporting.render.document import Section, written
from bench.reporting.render.table import Column, Entry, Table, csv
from bench.reporting.tables.main_table import marked
from bench.reporting.task_results import TaskResults
from bench.reporting.words.notes import FEW, spread
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
    rates = frame(task.results, task.tables[0].cells)
    return {**written(section(task.results, rates)), "csv": csv(rates)}


def frame(results: Results, cells: Sequence[Record]) -> pd.DataFrame:
    """Return one row per backbone, method, set, group and rate, in the order of the main table.

    Columns: task, synthetic, backbone, method, label, spec, set, role, group, n, positives, negatives, rate, images (on
    which it rests), mean, std (ddof 1), folds (with a number), few (`images` below ten). Counts are the fewest over the
    folds; seeds of a fold are averaged. Sets with suppressed counts have no rows.
    """
    info, records = results.info, []
    models = grouped(((item.cell.backbone, item.cell.spec), item) for item in cells)
    for row in (row for backbone in results.backbones for row in results.costs(backbone)):
        known = {"task": info.name, "synthetic": info.synthetic}
        known |= {name: getattr(row, name) for name in ("backbone", "method", "label", "spec")}
        for name in (name for name in (*info.ood, IN_DOMAIN) if name not in results.suppressed):
            role = "ood" if name in info.ood else name
            scored = [item for item in models.get((row.backbone, row.spec), []) if name in item.scores]
            for group in info.group_names if scored else ():
                place = known | {"set": name, "role": role, "group": group}
                records += [place | rate for rate in _rates(scored, name, group)]
    columns = ["task", "synthetic", "backbone", "method", "label", "spec", "set", "role", "group", *COUNTS, "rate"]
    return pd.DataFrame(records, columns=[*columns, "images", "mean", "std", "folds", "few"])


def section(results: Results, frame: pd.DataFrame) -> Section:
    """Return a table per backbone and set, with the rates at the threshold of 0.5, from a frame of `frame`."""
    titles = ["method", "group", *COUNTS, *(RATES[rate][0] for rate in PRINTED)]
    columns = [Column(title, "left" if place < 2 else "right") for place, title in enumerate(titles)]
    shown = {row.label: marked(row) for row in results.rows}
    tables = []
    for keys, block in frame.groupby(["backbone", "set"], sort=False):
        rows = []
        for (label, _, group), part in block.groupby(["label", "spec", "group"], sort=False):
            rates = part.set_index("rate").to_dict("index")
            counts = [int(rates[PRINTED[0]][kind]) for kind in COUNTS]
            rows.append([shown[str(label)], group, *counts, *(_entry(rates[rate]) for rate in PRINTED)])
        tables.append(Table(columns, rows, ", ".join(map(str, keys))))
    few = f"{SIGN} Fewer than {FEW} images (for AUC, of the class with fewer) hardly give a rate."
    notes = [
        spread(results) + " Counts: fewest over the folds.",
        "Predicted positive: a score above 0.5. Rates at the threshold tuned on validation are in the CSV.",
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


def _entry(rate: Mapping[Any, Any]) -> Entry:
    return Entry(rate["mean"], rate["std"], sign=SIGN * bool(rate["few"] and isfinite(rate["mean"])))
