"""The rule for positive predictions, and the rule that tunes a threshold on validation images.

The tuned threshold is used on every set, beside the fixed 0.5, and by the methods that choose a state by predictions on
validation images. The rule is that of Marcinkevics et al. 2022 (i6092467/diff-bias-proxies): among the scores 0, 0.01,
..., 1, the first with the highest balanced accuracy. It uses no test images, but some methods were fitted on the
validation images it uses. SWiFT gives no threshold; its public code rounds scores, which is the fixed one (D90).
"""

from __future__ import annotations

import math

import numpy as np

STEPS = 100


def logit_of(score: float) -> float:
    """Return the logit of a score in 0..1; the logit of 0.5 is exactly 0."""
    if score in (0.0, 1.0):
        return math.inf if score else -math.inf
    return math.log(score / (1 - score))


def predicted_positive(logit: np.ndarray, score: float = 0.5) -> np.ndarray:
    """Return as booleans which images are predicted positive: those whose score is strictly above `score`.

    Logits are compared, so that rounding of a sigmoid has no effect. No image is above a `score` of NaN.
    """
    # In float64, as in `tune_threshold`: a float32 logit would be compared with the rounded threshold.
    return np.asarray(logit, dtype=float) > logit_of(score)


def tune_threshold(logit: np.ndarray, y: np.ndarray) -> float:
    """Return the score in 0..1 with the highest balanced accuracy, from finite logits (N,) and labels (N,) in {0, 1}.

    The first of equal scores is returned. NaN if a class is missing, because balanced accuracy is then undefined.
    """
    positive = np.asarray(y).astype(bool)
    # For each image, the number of scores of the grid below its own score.
    passed = np.searchsorted(_GRID, np.asarray(logit, dtype=float), side="left")
    hits, alarms = (
        len(passed[rows]) - np.cumsum(np.bincount(passed[rows], minlength=STEPS + 2))[: STEPS + 1]
        for rows in (positive, ~positive)
    )
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    # (2 * balanced accuracy - 1) * positives * negatives is a whole number, so equal accuracies are exactly equal.
    return int(np.argmax(hits * negatives - alarms * positives)) / STEPS


_GRID = np.array([logit_of(step / STEPS) for step in range(STEPS + 1)])
