"""The one rule for positive predictions, and the one for choosing a threshold on validation images.

A chosen threshold is carried to every other set, beside the fixed 0.5. The rule is that of Marcinkevics et al. 2022
(i6092467/diff-bias-proxies): of the scores 0, 0.01, ..., 1 the first with the highest balanced accuracy. No test image
enters it, but methods that read validation images have been fitted on those.
"""

from __future__ import annotations

import math

import numpy as np

STEPS = 100


def logit_of(score: float) -> float:
    """Return the logit of a score in 0..1; that of 0.5 is exactly 0."""
    if score in (0.0, 1.0):
        return math.inf if score else -math.inf
    return math.log(score / (1 - score))


def predicted_positive(logit: np.ndarray, score: float = 0.5) -> np.ndarray:
    """Return as booleans which images are predicted positive: those whose score is above `score`, never at it.

    Logits are compared, so that no rounding of a sigmoid decides. No image is above a `score` of NaN.
    """
    return logit > logit_of(score)


def carry(logit: np.ndarray, y: np.ndarray) -> float:
    """Return the score in 0..1 with the highest balanced accuracy, from finite logits (N,) and labels (N,) in {0, 1}.

    The first of equal ones is taken. NaN where a class is missing: there is no balanced accuracy then.
    """
    positive = np.asarray(y).astype(bool)
    # For each image, how many scores of the grid lie below its own.
    passed = np.searchsorted(_GRID, np.asarray(logit, dtype=float), side="left")
    hits, alarms = (
        len(passed[rows]) - np.cumsum(np.bincount(passed[rows], minlength=STEPS + 2))[: STEPS + 1]
        for rows in (positive, ~positive)
    )
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    # Twice the balanced accuracy, less 1, times both counts: in whole numbers, equal accuracies are exactly equal.
    return int(np.argmax(hits * negatives - alarms * positives)) / STEPS


_GRID = np.array([logit_of(step / STEPS) for step in range(STEPS + 1)])
