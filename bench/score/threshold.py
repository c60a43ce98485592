"""The threshold that a model carries from its validation images to every other set, beside the fixed 0.5.

The rule of Marcinkevics et al. 2022 (i6092467/diff-bias-proxies): of the scores 0, 0.01, ..., 1 the first with the
highest balanced accuracy. No test image enters it. Methods that read validation images have seen those.
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


def carry(logit: np.ndarray, y: np.ndarray) -> float:
    """Return the score above which an image counts as positive, in 0..1, from finite logits (N,) and labels (N,).

    NaN where a class is missing: there is no balanced accuracy then.
    """
    positive = np.asarray(y).astype(bool)
    passed = np.searchsorted(
        _GRID, np.asarray(logit, dtype=float), side="left"
    )  # how many scores of the grid are below
    hits, alarms = (
        len(passed[rows]) - np.cumsum(np.bincount(passed[rows], minlength=STEPS + 2))[: STEPS + 1]
        for rows in (positive, ~positive)
    )
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    # Twice the balanced accuracy, less 1, times both counts: whole numbers tie where it does.
    return int(np.argmax(hits * negatives - alarms * positives)) / STEPS


_GRID = np.array([logit_of(step / STEPS) for step in range(STEPS + 1)])
