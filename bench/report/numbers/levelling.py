"""Levelling down: a gap that shrank because the better group got worse, and not because the worse one improved.

After Mittelstadt, Wachter & Russell, The unfairness of fair machine learning (2023). The performance q_g of group g is
its AUC for a gap between AUCs, its TPR for equal opportunity, 1 - ECE for a gap between calibration errors, and
otherwise its balanced accuracy (TPR_g + 1 - FPR_g) / 2 at the threshold of the metric. Balanced accuracy does not count
a shifted threshold as a loss if one rate gains what the other loses. With b and w the groups of the highest and lowest
mean q under Baseline, and differences to Baseline paired by fold, averaged, and rounded as in the tables:

    levelled down iff  change of the gap < 0,  change of q_b < 0  and  change of q_w <= 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.cells.record import Record
from bench.report.numbers.grouping import grouped
from bench.report.numbers.ranking import DECIMALS, Row, reference_of
from bench.report.numbers.task_info import TaskInfo
from bench.score.definitions import METRICS

GAPS = frozenset(name for name, metric in METRICS.items() if metric.kind == "gap" and metric.direction)
SIGN = "§"
_FARES = {"gap_auc": "auc", "eopp": "tpr"}


def levelled_down(gap: np.ndarray, gap_before: np.ndarray, fares: np.ndarray, fared: np.ndarray) -> bool:
    """Tell whether a gap was levelled down, by the rule above.

    Gaps (K,) of K folds, 0 or more, with a method and with Baseline; performance of the groups (K, G), higher is
    better. Folds with a NaN are left out. False if no fold is left, or if all groups are equal under Baseline.
    """
    whole = np.isfinite(np.column_stack([gap, gap_before, fares, fared])).all(axis=1)
    if not whole.any():
        return False
    before, change = fared[whole].mean(axis=0), (fares - fared)[whole].mean(axis=0).round(DECIMALS)
    best, worst = int(before.argmax()), int(before.argmin())
    alike = round(before[best] - before[worst], DECIMALS) == 0
    smaller = round(float((gap - gap_before)[whole].mean()), DECIMALS) < 0
    return bool(smaller and not alike and change[best] < 0 and change[worst] <= 0)


def flagging(column: Sequence[Row], cells: Sequence[Record], info: TaskInfo, reference: str) -> list[Row]:
    """Set `levelled_down` in the rows of a column of gaps, except in rows that are not ranked."""
    base = reference_of(column, reference)
    if base is None or base.excluded or base.metric not in GAPS:
        return list(column)
    folds = sorted({fold for row in column for fold in row.values})
    models = grouped(((item.cell.backbone, item.cell.spec), item) for item in cells)
    ranked = [row for row in column if not row.excluded]
    gaps = {row.spec: np.array([row.values.get(fold, np.nan) for fold in folds]) for row in ranked}
    fares = {row.spec: _fares(row, models[row.backbone, row.spec], info, folds) for row in ranked}
    found = {spec: levelled_down(gap, gaps[base.spec], fares[spec], fares[base.spec]) for spec, gap in gaps.items()}
    return [replace(row, levelled_down=found.get(row.spec, False)) for row in column]


def _fares(row: Row, cells: Sequence[Record], info: TaskInfo, folds: Sequence[int]) -> np.ndarray:
    """Return the performance of each group in each fold (K, G) in the cells of a row, seeds of a fold averaged."""
    scored = ((item.cell.fold, item.scores[row.set].groups) for item in cells if row.set in item.scores)
    found = grouped(
        (fold, [_fare(groups[name].metrics if name in groups else {}, row.metric) for name in info.group_names])
        for fold, groups in scored
    )
    nothing = [[np.nan] * len(info.group_names)]
    return np.array([np.mean(found.get(fold, nothing), axis=0) for fold in folds])


def _fare(group: Mapping[str, float], metric: str) -> float:
    """Return the performance of a group whose gap a metric measures; NaN if an older cell lacks it."""
    if metric in _FARES:
        return group.get(_FARES[metric], np.nan)
    if metric == "gap_calibration_error":
        return 1 - group.get("calibration_error", np.nan)
    end = "_tuned_threshold" if METRICS[metric].threshold == "tuned" else ""
    return (group.get(f"tpr{end}", np.nan) + 1 - group.get(f"fpr{end}", np.nan)) / 2
