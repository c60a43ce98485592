"""Rates and scores of each group on bootstrap samples of the patients.

They are those of `bench.scoring.metrics` if each image is counted as often as its patient is drawn. Calibration in the
large and its slope are solved by Newton's method for all samples at once, on logits in `BINS` bins of equal width; that
moves them by far less than their interval. Sums are in single precision, which moves a score by less than 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import expit

from bench.scoring.bootstrap import Resampled, Sample, counts
from bench.scoring.of_scores import DECISION, OF_GROUPS, SPECIFICITY
from bench.scoring.threshold import predicted_positive

RATES = ("selection_rate", "tpr", "fpr")
SCORES = ("auc", *OF_GROUPS)
BINS = 100
_STEPS, _CLOSE, _FLAT = 25, 1e-4, 1e-4
"""Most steps of Newton's method, the size of the last one, and the slope below which there is no solution.

Where classes are separated it would never end.
"""


def rates(model: Resampled) -> np.ndarray:
    """Return `RATES` of each group at the threshold of the model, (3 G, B)."""
    return np.concatenate([model.rates.selection, model.rates.tpr, model.rates.fpr])


def reader(sample: Sample) -> Callable[[Resampled], np.ndarray]:
    """Return a function that reads `RATES`, then `SCORES`, of each group of a model, ((3 + 7) G, B), for `redrawn`."""
    prepared: dict[int, tuple[Any, list[_Group | None]]] = {}
    last: list[np.ndarray] = []

    def read(model: Resampled) -> np.ndarray:
        if not last or last[0] is not model.weights:  # all models of a call have the same weights
            last[:] = model.weights, model.weights.astype(np.float32)
        if id(model.model) not in prepared:  # the model is kept, so that no other one gets its id
            prepared[id(model.model)] = model.model, _groups(sample, model.model.logit)
        found = np.full((len(SCORES), sample.groups, model.weights.shape[1]), np.nan)
        for (group, _), auc in zip(model.model.by_group, model.aucs, strict=True):
            found[0, group] = auc
        for at, group in enumerate(prepared[id(model.model)][1]):
            if group is not None:
                found[1:, at] = group(model.weights, last[1], model.images[at])
        return np.concatenate([rates(model), found.reshape(-1, found.shape[2])])

    return read


def _groups(sample: Sample, logit: np.ndarray) -> list[_Group | None]:
    chosen = [sample.a == group for group in range(sample.groups)]
    return [_Group.of(logit[one], sample.y[one], sample.patient[one], sample.patients) for one in chosen]


@dataclass(frozen=True)
class _Group:
    """The images of a group as counts by patient (., P), from which its scores follow for any weights of the patients.

    `hits` and `alarms` count the positives at each of their distinct logits, from the highest down, and the negatives
    that are predicted positive from there on. `sums` are the summands of Brier score and net benefit and the logits of
    the positives. `bins` counts images by logit.
    """

    hits: Any
    alarms: Any
    sums: np.ndarray
    bins: Any
    logits: np.ndarray
    """The mean logit of the images of each bin."""
    first: np.ndarray
    """Calibration in the large, then intercept and slope, of the group as it is; there Newton's method begins."""

    @classmethod
    def of(cls, logit: np.ndarray, y: np.ndarray, patient: np.ndarray, patients: int) -> _Group | None:
        """Return the group; None without images."""
        if not len(y):
            return None
        logit, y = logit.astype(float), y == 1
        levels = np.unique(-logit[y])
        hit = np.searchsorted(levels, -logit[y])
        alarm = np.searchsorted(levels, -logit[~y])  # the first level at or below a negative
        counted = alarm < len(levels)
        edges = np.linspace(logit.min(), logit.max(), BINS + 1)[1:-1]
        used, bin_of = np.unique(np.searchsorted(edges, logit), return_inverse=True)
        positive = predicted_positive(logit, DECISION)
        each = [
            (expit(logit) - y) ** 2,
            np.where(y, 1.0, -DECISION / (1 - DECISION)) * positive,
            np.where(y, logit, 0.0),
        ]
        group = cls(
            counts(hit, patient[y], (len(levels), patients), np.int32),
            counts(alarm[counted], patient[~y][counted], (len(levels), patients), np.int32),
            np.array([np.bincount(patient, one, patients) for one in each], dtype=np.float32),
            counts(bin_of, patient, (len(used), patients), np.int32),
            np.bincount(bin_of, logit) / np.bincount(bin_of),
            np.zeros((3, 1)),
        )
        if y.all() or not y.any():
            return group
        ones = np.ones((patients, 1))
        first = group.calibration(ones, (group.sums @ ones).astype(float), np.array([y.sum()]))
        return replace(group, first=first)

    def __call__(self, weights: np.ndarray, same: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return `OF_GROUPS` for weights (P, B), given the `images` (2, B) of each class, (6, B).

        `same` are the weights in float32: a product with integers takes ten times as long.
        """
        sums, n = (self.sums @ same).astype(float), images.sum(axis=0)
        both = images.prod(axis=0) > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            precision, sensitivity = self.ranked(weights, images)
            calibration = self.calibration(weights, sums, images[1])
            found = {
                "auprc": precision,
                "brier": sums[0] / n,
                "sensitivity_at_specificity": sensitivity,
                "net_benefit": sums[1] / n,
                "calibration_intercept": calibration[0],
                "calibration_slope": calibration[2],
            }
        of_all = ("brier", "net_benefit")
        return np.array([found[name] if name in of_all else np.where(both, found[name], np.nan) for name in OF_GROUPS])

    def ranked(self, weights: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the average precision and the sensitivity at `SPECIFICITY`, each (B,)."""
        exact = np.float32 if images.sum(axis=0).max() < 2**24 else np.float64
        here = (self.hits @ weights).astype(exact)
        hits, alarms = here.copy(), (self.alarms @ weights).astype(exact)
        for rows in (hits, alarms):
            for before, row in pairwise(rows):
                row += before  # faster than `cumsum`, which goes down each column
        kept = np.where(alarms <= (1 - SPECIFICITY) * images[0] + 1e-9, hits, 0.0).max(axis=0, initial=0.0)
        shares = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=here > 0)
        return np.einsum("lb,lb->b", here, shares) / images[1], kept / images[1]

    def calibration(self, weights: np.ndarray, sums: np.ndarray, positives: np.ndarray) -> np.ndarray:
        """Return calibration in the large, then intercept and slope of a logistic regression on the logit, (3, B)."""
        images = (self.bins @ weights).astype(float)
        draws, spread, middle = images.shape[1], self.logits.std(), self.logits.mean()
        shift = _solved(images, self.logits, np.ones((1, len(self.logits))), positives[None], self.first[:1])
        if not spread:
            return np.concatenate([shift, np.full((2, draws), np.nan)])
        x = np.array([np.ones_like(self.logits), (self.logits - middle) / spread])
        targets = np.array([positives, (sums[2] - middle * positives) / spread])
        start = np.array([self.first[1] + self.first[2] * middle, self.first[2] * spread])
        intercept, slope = _solved(images, np.zeros_like(self.logits), x, targets, start)
        return np.array([shift[0], intercept - slope * middle / spread, slope / spread])


def _solved(
    images: np.ndarray, offset: np.ndarray, x: np.ndarray, targets: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Return w (k, B) with x @ (images * sigmoid(offset + w x)) = targets (k, B); NaN where there is none.

    `images` (K, B) are weights, `offset` (K,) and `x` (k, K), k = 1 or 2, are the same in all samples.
    """
    images, x = images.astype(np.float32), x.astype(np.float32)  # as exact as the bins are, in half of the time
    w, left = np.repeat(start, images.shape[1] // start.shape[1], axis=1), np.arange(images.shape[1])
    products = np.array([one * other for one in x for other in x])
    for _ in range(_STEPS):
        here = images if len(left) == images.shape[1] else images[:, left]
        p = expit(offset[:, None].astype(np.float32) + x.T @ w[:, left].astype(np.float32))
        expected = here * p
        slopes = (products @ (expected * (1 - p))).astype(float)
        step = _step(slopes, targets[:, left] - x @ expected).clip(-2, 2)  # or it may overshoot
        w[:, left] += step
        left = left[(np.abs(step) >= _CLOSE).any(axis=0) | (slopes[0] < _FLAT)]
        if not len(left):
            return w
    w[:, left] = np.nan
    return w


def _step(slopes: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    """Return the solution (k, B) of k = 1 or 2 equations, given their matrices (k k, B)."""
    if len(lacking) == 1:
        return lacking / (slopes + 1e-12)
    (a, b, _, d), (one, two) = slopes, lacking
    return np.array([d * one - b * two, a * two - b * one]) / (a * d - b * b + 1e-12)
