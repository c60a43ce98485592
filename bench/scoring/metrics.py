"""Score one model on one set: every metric of `bench.scoring.definitions`, and counts and rates of each group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from bench.errors import DataInvalid, NonFinite
from bench.scoring.definitions import METRICS, Rates, Scored
from bench.scoring.of_scores import OF_GROUPS
from bench.scoring.threshold import logit_of, predicted_positive, tune_threshold

VALIDATION = "val"
"""The set on which the threshold is tuned."""
RATE_NAMES = ("selection_rate", "tpr", "fpr")
BINS = 10
"""Number of bins of the calibration error: scores in (0, 0.1], (0.1, 0.2], ..., (0.9, 1]."""


def score_sets(
    sets: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], groups: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Score one model on several sets, each (logit, y, a) as for `evaluate`.

    The threshold is tuned on "val"; without this set there is none.
    """
    threshold = tune_threshold(*sets[VALIDATION][:2]) if VALIDATION in sets else float("nan")
    return {name: evaluate(*arrays, groups, threshold) for name, arrays in sets.items()}


def evaluate(
    logit: np.ndarray,
    y: np.ndarray,
    a: np.ndarray,
    groups: Sequence[str],
    threshold: float = float("nan"),
    *,
    wanted: Collection[str] | None = None,
) -> dict[str, Any]:
    """Score one model on one set: every metric of `METRICS`, `n`, `degenerate` and the counts of each group.

    Args:
        logit: finite, (N,).
        y: labels in {0, 1}, (N,).
        a: groups in 0..G-1, (N,), or -1 (`bench.api.NO_GROUP`): such images count in what needs no groups only.
        groups: names of the G >= 2 groups.
        threshold: the score in 0..1 that was tuned on validation; without it, metrics at this threshold are NaN.
        wanted: the metrics to compute, all if None; calibration takes most of the time.

    Returns:
        Numbers of Python; `n` and `positives` count all images. `degenerate` means that every image is predicted as
        the same class.

    Raises:
        NonFinite: on a NaN or infinite logit.
        DataInvalid: on unequal shapes, or labels or groups outside their range.
    """
    logit, positive, group = _checked(logit, y, a, groups)
    # One sort for all metrics of scores; labels too, so that the order of the images does not change the last bit.
    order = np.lexsort((positive, logit))
    logit, positive, group = logit[order], positive[order], group[order]
    grouped = logit[group >= 0], positive[group >= 0], group[group >= 0], len(groups)
    counts = _counts(*grouped, 0.5)
    half, tuned = _rates(counts), _rates(_counts(*grouped, threshold))
    if np.isnan(threshold):
        tuned = Rates(*np.full((3, len(groups)), np.nan))
    aucs = np.array([auc_of_sorted(logit[group == g], positive[group == g]) for g in range(len(groups))])
    calibration = _calibration(*grouped)
    pooled, defined = auc_of_sorted(logit, positive), aucs[~np.isnan(aucs)]
    at = {
        name: Scored(rates, pooled, defined, calibration, logit, positive, group)
        for name, rates in (("none", half), ("0.5", half), ("tuned", tuned))
    }
    by_class = counts.sum(axis=2)
    columns = {
        "n": by_class.sum(axis=1),
        "positives": by_class[:, 1],
        "negatives": by_class[:, 0],
        "true_positives": counts[:, 1, 1],
        "false_positives": counts[:, 0, 1],
        **dict(zip(RATE_NAMES, half, strict=True)),
        "auc": aucs,
        "calibration_error": calibration,
        **{
            name: np.array([function(logit[group == g], positive[group == g]) for g in range(len(groups))])
            for name, function in OF_GROUPS.items()
            if wanted is None or name in wanted
        },
        **{f"{name}_tuned_threshold": rate for name, rate in zip(RATE_NAMES, tuned, strict=True)},
    }
    return {
        **{
            name: float(metric.function(at[metric.threshold]))
            for name, metric in METRICS.items()
            if wanted is None or name in wanted
        },
        "tuned_threshold": float(threshold),
        "degenerate": _one_class(logit, 0.5),
        "degenerate_tuned_threshold": not np.isnan(threshold) and _one_class(logit, threshold),
        "n": int(logit.size),
        "positives": int(positive.sum()),
        "groups": {name: {key: column[g].item() for key, column in columns.items()} for g, name in enumerate(groups)},
    }


def _counts(logit: np.ndarray, positive: np.ndarray, group: np.ndarray, groups: int, score: float) -> np.ndarray:
    """Count images by group, label and prediction at a threshold on scores, (G, 2, 2)."""
    code = group * 4 + positive * 2 + predicted_positive(logit, score)
    return np.bincount(code, minlength=4 * groups).reshape(-1, 2, 2)


def _rates(counts: np.ndarray) -> Rates:
    with np.errstate(invalid="ignore"):
        fpr, tpr = (counts[:, :, 1] / counts.sum(axis=2)).T
        return Rates(counts[:, :, 1].sum(axis=1) / counts.sum(axis=(1, 2)), tpr, fpr)


def _one_class(logit: np.ndarray, score: float) -> bool:
    predicted = predicted_positive(logit, score)
    return bool(predicted.all() or not predicted.any())


def _calibration(logit: np.ndarray, y: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the expected calibration error (G,) of ascending logits (Naeini et al. 2015); NaN without images."""
    with np.errstate(over="ignore", invalid="ignore"):
        score = 1 / (1 + np.exp(-logit.astype(float)))
        cells = group * BINS + np.searchsorted(_EDGES, logit, side="left")
        # Summed separately and over sorted logits, so that the order of the images does not change the last bit.
        hits, sums = (np.bincount(cells, weights, groups * BINS).reshape(-1, BINS) for weights in (y, score))
        return np.abs(hits - sums).sum(axis=1) / np.bincount(group, minlength=groups)


_EDGES = np.array([logit_of(edge / BINS) for edge in range(1, BINS)])


def auc_of_sorted(score: np.ndarray, y: np.ndarray) -> float:
    """Return the area under the ROC curve of ascending `score` (N,) and `y` (N,) in {0, 1}; NaN with one class.

    The rank-sum form with middle ranks for ties: (R+ - n+(n+ + 1)/2) / (n+ n-).
    """
    n_positive = int(y.sum())
    n_negative = len(y) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    starts = np.flatnonzero(np.concatenate(([True], score[1:] != score[:-1])))
    lengths = np.diff(np.append(starts, len(score)))
    ranks = np.repeat(starts + (lengths + 1) / 2, lengths)
    return float((ranks[y == 1].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


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
    if not np.isin(a, range(-1, len(groups))).all():
        raise DataInvalid(f"groups: 0 to {len(groups) - 1} expected, or -1 where the group is not known")
    return logit, y.astype(np.int64), a.astype(np.int64)
