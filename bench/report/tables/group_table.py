"""Rates of every group, beside how many images they rest on: one row per method, set, group and rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np
import pandas as pd

from bench.cells.record import Record
from bench.report.numbers.aggregate import IN_DOMAIN, SYNTHETIC, Results
from bench.report.numbers.ranking import Row
from bench.report.numbers.suppression import note
from bench.report.render.document import Section
from bench.report.render.table import Column, Entry, Table
from bench.report.words.notes import FEW, spread
from bench.score.statistics import summary

SIGN = "¶"
RATES = {
    "selection_rate": ("selected", "n"),
    "tpr": ("TPR", "positives"),
    "fpr": ("FPR", "negatives"),
    "auc": ("AUC", "fewer"),
    "calibration_error": ("ECE", "n"),
    "selection_rate_carried": ("selected, carried", "n"),
    "tpr_carried": ("TPR, carried", "positives"),
    "fpr_carried": ("FPR, carried", "negatives"),
}
"""Title of a rate, and the count that it rests on: `fewer` is that of the class with fewer images."""
COUNTS = ("n", "positives", "negatives")
PRINTED = ("selection_rate", "tpr", "fpr", "auc", "calibration_error")


def frame(results: Results, cells: Sequence[Record]) -> pd.DataFrame:
    """Return one row per backbone, method, set, group and rate, in the order of the main table.

    Columns: task, synthetic, backbone, method, label, spec, set, role, group, n, positives, negatives, rate, images
    (what it rests on), mean, std (ddof 1), folds (with a number), few (`images` below ten). Counts are the fewest over
    the folds; seeds of a fold are averaged. Sets of which counts are withheld have no rows.
    """
    info, records = results.info, []
    shown = [name for name in (*info.ood, IN_DOMAIN) if name not in results.withheld]
    for row in (row for backbone in results.backbones for row in results.costs(backbone)):
        mine = [c for c in cells if (c.cell.backbone, c.cell.spec) == (row.backbone, row.spec)]
        for name in shown:
            scored = [item for item in mine if name in item.scores]
            for group in info.group_names if scored else ():
                records += _records(row, scored, name, group)
    columns = ["backbone", "method", "label", "spec", "set", "group", *COUNTS, "rate", "images"]
    table = pd.DataFrame(records, columns=[*columns, "mean", "std", "folds", "few"])
    role = ["ood" if name in info.ood else name for name in table["set"]]
    table.insert(5, "role", role)
    table.insert(0, "synthetic", info.synthetic)
    table.insert(0, "task", info.name)
    return table


def section(results: Results, frame: pd.DataFrame) -> Section:
    """Return a table per backbone and set, the rates at the threshold of 0.5, from a frame of `frame`."""
    titles = ["method", "group", *COUNTS, *(RATES[rate][0] for rate in PRINTED)]
    columns = [Column(title, "left" if place < 2 else "right") for place, title in enumerate(titles)]
    tables = []
    for keys, block in frame.groupby(["backbone", "set"], sort=False):
        rows = []
        for (label, _, group), part in block.groupby(["label", "spec", "group"], sort=False):
            rates = part.set_index("rate").to_dict("index")
            counts = [int(rates[PRINTED[0]][kind]) for kind in COUNTS]
            rows.append([label, group, *counts, *(_entry(rates[rate]) for rate in PRINTED)])
        tables.append(Table(columns, rows, ", ".join(map(str, keys))))
    notes = Section("How to read this", [_notes(results, frame)])
    info = results.info
    return Section(f"{info.name}: rates by group", [*tables, notes], SYNTHETIC if info.synthetic else "")


def _records(row: Row, cells: Sequence[Record], name: str, group: str) -> list[dict[str, Any]]:
    found = [(item.cell.fold, item.scores[name].groups[group]) for item in cells]
    counts = {
        "n": min(one.positives + one.negatives for _, one in found),
        **{kind: min(getattr(one, kind) for _, one in found) for kind in ("positives", "negatives")},
    }
    images = {**counts, "fewer": min(counts["positives"], counts["negatives"])}
    records = []
    for rate, (_, of) in RATES.items():
        folds: dict[int, list[float]] = {}
        for fold, one in found:
            folds.setdefault(fold, []).append(one.metrics.get(rate, nan))
        mean, std, n = summary([summary(values).mean for values in folds.values()])
        known = {"backbone": row.backbone, "method": row.method, "label": row.label, "spec": row.spec, "set": name}
        numbers = {"mean": mean, "std": std, "folds": n, "few": images[of] < FEW}
        records.append(known | {"group": group, **counts, "rate": rate, "images": images[of]} | numbers)
    return records


def _entry(rate: Mapping[Any, Any]) -> Entry:
    return Entry(rate["mean"], rate["std"], sign=SIGN * bool(rate["few"] and isfinite(rate["mean"])))


def _notes(results: Results, table: pd.DataFrame) -> list[str]:
    few = f"{SIGN} Over fewer than {FEW} images (of the class with fewer, for AUC): hardly a rate."
    return [
        spread(results) + " Counts: fewest over the folds.",
        "Predicted positive: a score above 0.5. Rates at the threshold carried from validation are in the CSV.",
        "ECE: expected calibration error of the score as it is, ten bins of equal width.",
        *([few] if bool(np.any(table["few"])) else []),
        *note(results.withheld, results.info, costs=False),
    ]
