"""Levelling down: a gap that shrank because the better group got worse, and not because the worse one gained.

After Mittelstadt, Wachter & Russell, The unfairness of fair machine learning (2023). How well group g fares, q_g, is
its AUC where the gap is one of AUCs, its TPR for equal opportunity, 1 - ECE for a gap of calibration errors and else
its balanced accuracy (TPR_g + 1 - FPR_g) / 2, at the threshold of the metric: what a shifted threshold takes in one
rate and gives back in the other is no loss. With b and w the groups of the highest and lowest mean q under Baseline,
and changes to Baseline paired by fold, averaged, and rounded to the decimals that tables print:

    levelled down iff  change of the gap < 0,  change of q_b < 0  and  change of q_w <= 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.cells.record import Record
from bench.report.numbers.ranking import DECIMALS, Row, reference_of
from bench.report.numbers.task_info import TaskInfo
from bench.score.definitions import METRICS

GAPS = frozenset(name for name, metric in METRICS.items() if metric.kind == "gap" and metric.direction)
SIGN = "§"


def levelled_down(gap: np.ndarray, gap_before: np.ndarray, fares: np.ndarray, fared: np.ndarray) -> bool:
    """Tell whether a gap was levelled down, by the rule above.

    Gaps (K,) of K folds, 0 or more, with a method and with Baseline; how well groups fare (K, G), higher is better.
    Folds with a NaN are left out; False without others, and where Baseline treats all groups alike.
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
    """Set `levelled_down` of the rows of a column of gaps; what is out of the ranking is not judged."""
    base = reference_of(column, reference)
    if base is None or base.excluded or base.metric not in GAPS:
        return list(column)
    folds = sorted({fold for row in column for fold in row.values})

    def gaps(row: Row) -> np.ndarray:
        return np.array([row.values.get(fold, np.nan) for fold in folds])

    models: dict[tuple[str, str], list[Record]] = {}
    for item in cells:
        models.setdefault((item.cell.backbone, item.cell.spec), []).append(item)

    def flagged(row: Row) -> Row:
        fares = _fares(row, models[row.backbone, row.spec], info, folds)
        return replace(row, levelled_down=levelled_down(gaps(row), gaps(base), fares, fared))

    fared = _fares(base, models[base.backbone, base.spec], info, folds)
    return [row if row.excluded or row is base else flagged(row) for row in column]


def _fares(row: Row, cells: Sequence[Record], info: TaskInfo, folds: Sequence[int]) -> np.ndarray:
    """Return how well each group fares in each fold (K, G) in the cells of a row, seeds of a fold averaged."""
    found: dict[int, list[list[float]]] = {fold: [] for fold in folds}
    for item in cells:
        if row.set in item.scores:
            groups = item.scores[row.set].groups
            found[item.cell.fold].append(
                [_fare(groups[name].metrics if name in groups else {}, row.metric) for name in info.group_names]
            )
    nothing = [np.nan] * len(info.group_names)
    return np.array([np.mean(found[fold] or [nothing], axis=0) for fold in folds])


def _fare(group: Mapping[str, float], metric: str) -> float:
    """Return how well a group fares in what a metric is the gap of; NaN where an older cell does not say."""
    if metric == "gap_auc":
        return group.get("auc", np.nan)
    if metric == "eopp":
        return group.get("tpr", np.nan)
    if metric == "gap_calibration_error":
        return 1 - group.get("calibration_error", np.nan)
    end = "_carried" if METRICS[metric].threshold == "carried" else ""
    return (group.get(f"tpr{end}", np.nan) + 1 - group.get(f"fpr{end}", np.nan)) / 2
