"""Every number in a table: accuracy and disparity of one model on one set, from logits, labels and groups.

An image is predicted positive iff its logit is above 0, that is, its score above 0.5; what is called carried takes
the threshold from validation instead. `SR_g`, `TPR_g` and `FPR_g` are selection, true and false positive rate of group
g; dT = TPR_0 - TPR_1, dF = FPR_0 - FPR_1. With more than two groups an absolute difference becomes the range, largest
minus smallest. A rate without images is NaN, and so is what is made of it: fairlearn takes 0 for it, which turns a
missing group into a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.errors import DataInvalid, NonFinite
from bench.score.threshold import carry, logit_of

VALIDATION = "val"
"""The set that the carried threshold comes from."""
BINS = 10
"""Of the calibration error: scores in (0, 0.1], (0.1, 0.2], ..., (0.9, 1]."""


class _Rates(NamedTuple):
    """Counts (G, 2, 2) by group, label and prediction, and the rates (G,) made of them."""

    counts: np.ndarray
    selection: np.ndarray
    tpr: np.ndarray
    fpr: np.ndarray


def score_sets(
    sets: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], groups: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Score one model on its validation set and others, each (logit, y, a) as for `evaluate`, which says the rest."""
    logit, y, _ = sets[VALIDATION]
    threshold = carry(logit, y)
    return {name: evaluate(*arrays, groups, threshold) for name, arrays in sets.items()}


def evaluate(
    logit: np.ndarray, y: np.ndarray, a: np.ndarray, groups: Sequence[str], threshold: float = float("nan")
) -> dict[str, Any]:
    """Score one model on one set: every metric of `METRICS`, `n`, `degenerate` and the counts of each group.

    `logit` (N,), labels `y` (N,) in {0, 1}, groups `a` (N,) in 0..G-1, G >= 2 names in `groups`, `threshold` the
    carried score in 0..1; without one, what is carried is NaN. Returns plain numbers; `degenerate` means that every
    image is predicted as the same class. Counts come from one pass, AUCs from one sort.

    Raises:
        NonFinite: on a NaN or infinite logit.
        DataInvalid: on unequal shapes, or labels or groups outside their range.
    """
    logit, positive, group = _checked(logit, y, a, groups)
    half = _rates(logit > 0, positive, group, len(groups))
    carried = _rates(logit > logit_of(threshold), positive, group, len(groups))
    if np.isnan(threshold):
        carried = _Rates(carried.counts, *np.full((3, len(groups)), np.nan))
    order = np.argsort(logit, kind="stable")
    ranked, ranked_y, ranked_a = logit[order], positive[order], group[order]
    aucs = [auc_of_sorted(ranked[ranked_a == g], ranked_y[ranked_a == g]) for g in range(len(groups))]
    calibration = _calibration(ranked, ranked_y, ranked_a, len(groups))
    images, by_class = half.counts.sum(axis=(1, 2)), half.counts.sum(axis=2)
    table = {
        name: {
            "n": int(images[g]),
            "positives": int(by_class[g, 1]),
            "negatives": int(by_class[g, 0]),
            "true_positives": int(half.counts[g, 1, 1]),
            "false_positives": int(half.counts[g, 0, 1]),
            "selection_rate": float(half.selection[g]),
            "tpr": float(half.tpr[g]),
            "fpr": float(half.fpr[g]),
            "auc": aucs[g],
            "calibration_error": float(calibration[g]),
            "selection_rate_carried": float(carried.selection[g]),
            "tpr_carried": float(carried.tpr[g]),
            "fpr_carried": float(carried.fpr[g]),
        }
        for g, name in enumerate(groups)
    }
    at_carried = disparities(*carried[1:])
    return {
        "auc": auc_of_sorted(ranked, ranked_y),
        **disparities(*half[1:]),
        **_group_aucs(aucs),
        "min_tpr": float(half.tpr.min()),
        "max_calibration_error": float(calibration.max()),
        "gap_calibration_error": float(np.ptp(calibration)),
        "spd_carried": at_carried["spd"],
        "eodds_carried": at_carried["eodds"],
        "min_tpr_carried": float(carried.tpr.min()),
        "threshold_carried": float(threshold),
        "degenerate": _one_class(half),
        "degenerate_carried": not np.isnan(threshold) and _one_class(carried),
        "n": int(logit.size),
        "groups": table,
    }


def _rates(predicted: np.ndarray, positive: np.ndarray, group: np.ndarray, groups: int) -> _Rates:
    counts = np.bincount(group * 4 + positive * 2 + predicted, minlength=4 * groups).reshape(-1, 2, 2)
    with np.errstate(invalid="ignore"):
        fpr, tpr = (counts[:, :, 1] / counts.sum(axis=2)).T
        return _Rates(counts, counts[:, :, 1].sum(axis=1) / counts.sum(axis=(1, 2)), tpr, fpr)


def _one_class(rates: _Rates) -> bool:
    return bool((rates.counts.sum(axis=(0, 1)) == 0).any())


def _calibration(logit: np.ndarray, y: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Expected calibration error (G,) of ascending logits (Naeini et al. 2015); NaN without images."""
    with np.errstate(over="ignore", invalid="ignore"):
        score = 1 / (1 + np.exp(-logit.astype(float)))
        cells = group * BINS + np.searchsorted(_EDGES, logit, side="left")
        # Apart, and of sorted logits: the order of the images does not move the last bit.
        hits, sums = (np.bincount(cells, weights, groups * BINS).reshape(-1, BINS) for weights in (y, score))
        return np.abs(hits - sums).sum(axis=1) / np.bincount(group, minlength=groups)


_EDGES = np.array([logit_of(edge / BINS) for edge in range(1, BINS)])


def disparities(selection: np.ndarray, tpr: np.ndarray, fpr: np.ndarray) -> dict[str, float]:
    """Gaps between groups from their rates, each (G,) in 0..1 or NaN; NaN where a rate in them is NaN."""
    return {name: float(value) for name, value in gaps(selection, tpr, fpr).items()}


def gaps(selection: np.ndarray, tpr: np.ndarray, fpr: np.ndarray) -> dict[str, Any]:
    """The same of many draws at once: rates (G, ...), gaps (...)."""
    gap_tpr, gap_fpr = np.ptp(tpr, axis=0), np.ptp(fpr, axis=0)
    # A signed gap has a direction between two groups only.
    signed_tpr, signed_fpr = (tpr[0] - tpr[1], fpr[0] - fpr[1]) if len(tpr) == 2 else (np.nan, np.nan)
    return {
        "spd": np.ptp(selection, axis=0),
        "eodds": (gap_tpr + gap_fpr) / 2,
        "eodds_max": np.maximum(gap_tpr, gap_fpr),
        "eodds_sum": gap_tpr + gap_fpr,
        "eodds_signed": abs(signed_tpr + signed_fpr) / 2,
        "eopp": gap_tpr,
        "tpr_gap": signed_tpr,
        "fpr_gap": signed_fpr,
    }


def auc_of_sorted(score: np.ndarray, y: np.ndarray) -> float:
    """Area under the ROC curve of ascending `score` (N,) and `y` (N,) in {0, 1}; NaN with one class.

    The rank-sum form, ties at their middle rank: (R+ - n+(n+ + 1)/2) / (n+ n-).
    """
    n_positive = int(y.sum())
    n_negative = len(y) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    starts = np.flatnonzero(np.concatenate(([True], score[1:] != score[:-1])))
    lengths = np.diff(np.append(starts, len(score)))
    ranks = np.repeat(starts + (lengths + 1) / 2, lengths)
    return float((ranks[y == 1].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _group_aucs(aucs: list[float]) -> dict[str, float]:
    defined = [auc for auc in aucs if not np.isnan(auc)]
    return {
        "min_auc": min(defined, default=float("nan")),
        "gap_auc": max(defined) - min(defined) if len(defined) > 1 else float("nan"),
    }


def _checked(
    logit: np.ndarray, y: np.ndarray, a: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    logit, y, a = np.asarray(logit), np.asarray(y), np.asarray(a)
    if logit.ndim != 1 or not logit.shape == y.shape == a.shape:
        raise DataInvalid(f"logits {logit.shape}, labels {y.shape}, groups {a.shape}: three equal lengths expected")
    if len(groups) < 2 or len(set(groups)) < len(groups):
        raise DataInvalid(f"groups {list(groups)}: two or more different names expected")
    finite = np.isfinite(logit)
    if not finite.all():
        raise NonFinite(f"{int((~finite).sum())} of {logit.size} logits are NaN or infinite")
    if not np.isin(y, (0, 1)).all():
        raise DataInvalid("labels: 0 or 1 expected")
    if not np.isin(a, range(len(groups))).all():
        raise DataInvalid(f"groups: 0 to {len(groups) - 1} expected")
    return logit, y.astype(np.int64), a.astype(np.int64)
