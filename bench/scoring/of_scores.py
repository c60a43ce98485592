"""Metrics of scores without groups, of all images or of those of one group; each takes ascending logits and labels.

Scores that were trained with class weights are not frequencies: Brier score, net benefit and calibration are of scores
as they are, so compare them between methods rather than with a calibrated model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.scoring.threshold import predicted_positive

SPECIFICITY = 0.9
"""At which sensitivity is read, on the images themselves."""
DECISION = 0.1
"""The threshold probability of the net benefit: nine false alarms cost as much as one missed image of class 1."""
_STEPS, _CLOSE = 100, 1e-13


def defined(function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], float]:
    """Decorate a function of logits and labels (N,): NaN unless both classes are there."""

    def checked(logit: np.ndarray, y: np.ndarray) -> float:
        y = np.asarray(y).astype(bool)
        return float(function(np.asarray(logit, dtype=float), y)) if y.any() and not y.all() else float("nan")

    checked.__doc__, checked.__name__ = function.__doc__, function.__name__
    return checked


def _counts(logit: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the false positives at every distinct logit, from the highest down."""
    ends = np.flatnonzero(np.append(np.diff(logit[::-1]) != 0, True))
    hits = np.cumsum(y[::-1])[ends]
    return hits, ends + 1 - hits


@defined
def average_precision(logit: np.ndarray, y: np.ndarray) -> float:
    """Return the area under the precision-recall curve as a sum of steps, as scikit-learn's average precision."""
    hits, alarms = _counts(logit, y)
    return np.sum(np.diff(hits, prepend=0) * hits / (hits + alarms)) / y.sum()


@defined
def sensitivity_at(logit: np.ndarray, y: np.ndarray) -> float:
    """Return the highest sensitivity of a threshold whose specificity is at least `SPECIFICITY`."""
    hits, alarms = _counts(logit, y)
    kept = alarms <= (1 - SPECIFICITY) * (~y).sum() + 1e-9
    return hits[kept].max(initial=0) / y.sum()


@defined
def calibration_intercept(logit: np.ndarray, y: np.ndarray) -> float:
    """Return calibration in the large: the shift of logits after which the mean score is the frequency of class 1."""
    low, high = -np.abs(logit).max() - 50, np.abs(logit).max() + 50
    shift = 0.0
    for _ in range(_STEPS):  # Newton's method, or half of the interval where it would leave that
        p = _sigmoid(logit + shift)
        lacking, slope = y.mean() - p.mean(), (p * (1 - p)).mean()
        low, high = (shift, high) if lacking > 0 else (low, shift)
        step = shift + (lacking / slope if slope else np.inf)
        before, shift = shift, step if low <= step <= high else (low + high) / 2
        if abs(shift - before) <= _CLOSE * max(1, abs(shift)):
            break
    return shift


@defined
def calibration_slope(logit: np.ndarray, y: np.ndarray) -> float:
    """Return the slope of a logistic regression of the label on the logit; NaN if the classes are separated."""
    positive, negative = logit[y], logit[~y]
    if positive.min() >= negative.max() or negative.min() >= positive.max():
        return float("nan")
    scale = logit.std()
    x = np.column_stack([np.ones(len(logit)), (logit - logit.mean()) / scale])
    w = np.zeros(2)
    for _ in range(_STEPS):
        p = _sigmoid(x @ w)
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-12 * np.eye(2), x.T @ (y - p))
        w = w + np.clip(step, -2, 2)  # a long step of Newton's method may overshoot
        if np.abs(step).max() < 1e-10:
            break
    return w[1] / scale


def brier(logit: np.ndarray, y: np.ndarray) -> float:
    """Return the mean squared difference between score and label; NaN without images."""
    return float(np.mean((_sigmoid(logit) - y) ** 2)) if len(y) else float("nan")


def net_benefit(logit: np.ndarray, y: np.ndarray) -> float:
    """Return (true positives - false positives d / (1 - d)) / n at the score d = `DECISION`; NaN without images."""
    if not len(y):
        return float("nan")
    positive, label = predicted_positive(logit, DECISION), np.asarray(y).astype(bool)
    return float(((positive & label).sum() - (positive & ~label).sum() * DECISION / (1 - DECISION)) / len(label))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-np.asarray(z, dtype=float)))


OF_GROUPS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "auprc": average_precision,
    "brier": brier,
    "sensitivity_at_specificity": sensitivity_at,
    "net_benefit": net_benefit,
    "calibration_intercept": calibration_intercept,
    "calibration_slope": calibration_slope,
}
"""Stored for each group too, by the name of the metric of all images."""
