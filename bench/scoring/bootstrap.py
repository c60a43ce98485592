"""The clustered bootstrap: how much a metric varies over samples of patients from the same hospital.

As many patients as the set has are drawn with replacement, each with all of their images (Field & Welsh, Bootstrapping
clustered data, JRSS B 69, 2007), because images of one patient are not independent. Every model of a set is scored on
the same draws, so that differences between models are paired. The trained models are fixed: an interval covers other
patients from the same population, but neither another training nor another hospital.
A gap is an absolute value, which bootstrap samples make too large: gaps of two models are compared by
`bench.scoring.gaps`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from bench.scoring.definitions import Rates
from bench.scoring.statistics import LEVEL
from bench.scoring.threshold import predicted_positive

DRAWS = 2000
_AT_ONCE = 2_000_000
"""Weights in memory at a time. With fewer, the overhead of NumPy calls dominates; with more, memory access does."""
_NARROW = 2**15 - 1
"""Largest count of half images that fits in 16 bits, which takes half the time of 32 bits."""
_EXACT = 2**24
"""Largest number up to which float32 represents all whole numbers exactly."""


@dataclass(frozen=True)
class Sample:
    """The images of a set, for all models: labels in {0, 1}, groups in 0..G-1 and patients in 0..P-1, each (N,).

    The group of an image may be -1, not known: the image counts in the pooled AUC only.
    """

    y: np.ndarray
    a: np.ndarray
    patient: np.ndarray
    groups: int

    @property
    def patients(self) -> int:
        """Number of patients."""
        return int(self.patient.max()) + 1


class Interval(NamedTuple):
    """Percentile interval, two-sided p and standard error, from the `draws` in which all rates are defined."""

    low: float
    high: float
    p: float
    error: float
    draws: int


Read = Callable[["Resampled"], Sequence[np.ndarray | float] | np.ndarray]
"""Reads k quantities, each (B,) or NaN, of a model with its patients weighted in B draws."""


def redrawn(
    sample: Sample,
    logits: Sequence[np.ndarray],
    read: Read,
    seed: int,
    *,
    scores: Sequence[float] | None = None,
    draws: int = DRAWS,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Return quantities of models on bootstrap samples of the patients, (models, k, draws).

    A value is NaN if a rate has no images. A group that lacks a class in the whole sample has no AUC, as outside the
    bootstrap; if it lacks a class only in a draw, its AUC is NaN in this draw.

    Args:
        sample: the images that all models are scored on.
        logits: the logits (N,) of each model.
        read: the quantities.
        seed: the draws depend only on the seed and on the number of patients.
        scores: the score of each model above which an image is predicted positive; default 0.5.
        draws: number of bootstrap samples.
        watch: called with the number of finished draws and the number of all draws.
    """
    most = 2 * sample.patients * int(np.bincount(sample.patient).max())
    kind = np.int16 if most <= _NARROW else np.int32
    every = _counting(sample, np.ones(len(sample.y), dtype=bool), kind)
    above = [0.5] * len(logits) if scores is None else scores
    models = [_Model(sample, *one, kind) for one in zip(logits, above, strict=True)]
    generator = np.random.default_rng(seed)
    values = np.empty((len(models), 0, draws))
    step = max(1, _AT_ONCE // sample.patients)
    for start in range(0, draws, step):
        stop = min(start + step, draws)
        weights = _weights(generator, sample.patients, stop - start).astype(kind)
        images = every(weights)
        for place, model in enumerate(models):
            found = read(Resampled(model, weights, images))
            if not values.shape[1]:
                values = np.empty((len(models), len(found), draws))
            for row, value in enumerate(found):
                values[place, row, start:stop] = value
        watch(stop, draws)
    return values


def interval(differences: np.ndarray, wider: float = 1.0, level: float = LEVEL) -> Interval:
    """Return interval, p and standard error of the bootstrapped differences (B,) of two models; NaN draws are left out.

    `wider` spreads them about their mean, see `bench.scoring.retraining`. The interval has the confidence 1 - `level`.

    p is twice the smaller share of draws on either side of zero, each with one added, so that it is never 0 (Davison
    & Hinkley, Bootstrap Methods and their Application, 1997). All values are NaN if more than `LEVEL` of the draws are
    NaN, because the tails of the distribution could then be among the missing draws.
    """
    kept = differences[~np.isnan(differences)]
    if wider != 1.0:
        kept = kept.mean() + wider * (kept - kept.mean())
    kept = np.sort(kept.round(12))  # equal differences must not differ by rounding
    if len(kept) < (1 - LEVEL) * len(differences) or len(kept) < 2:
        return Interval(np.nan, np.nan, np.nan, np.nan, len(kept))
    low, high = np.quantile(kept, [level / 2, 1 - level / 2])
    below = np.searchsorted(kept, 0, side="right")
    above = len(kept) - np.searchsorted(kept, 0, side="left")
    p = min(1.0, 2 * (min(below, above) + 1) / (len(kept) + 1))
    return Interval(float(low), float(high), float(p), float(kept.std(ddof=1)), len(kept))


def _weights(generator: np.random.Generator, patients: int, draws: int) -> np.ndarray:
    """Return how often each patient is in each draw, (P, draws)."""
    sampled = generator.integers(patients, size=(draws, patients))
    cells = sampled * draws + np.arange(draws)[:, None]
    return np.bincount(cells.ravel(), minlength=patients * draws).reshape(patients, draws)


class _Model:
    """Counts of a model by patient, in which its metrics are linear: computed once, then weighted for each draw."""

    def __init__(self, sample: Sample, logit: np.ndarray, score: float, kind: type) -> None:
        self.sample, self.logit, self.kind = sample, logit, kind
        self.positives = _counting(sample, predicted_positive(logit, score), kind)

    @cached_property
    def pooled(self) -> _Auc | None:
        """The AUC of all images; sorted only if a metric reads it."""
        return _Auc.of(self.sample, self.logit, np.ones(len(self.logit), dtype=bool), self.kind)

    @cached_property
    def by_group(self) -> list[tuple[int, _Auc]]:
        """The AUC of each group that has both classes."""
        aucs = ((g, _Auc.of(self.sample, self.logit, self.sample.a == g, self.kind)) for g in range(self.sample.groups))
        return [(g, auc) for g, auc in aucs if auc]


class Resampled:
    """A model with weights (P, B) of the patients, as metrics read it (see `bench.scoring.definitions.Scored`).

    `images` (G + 1, 2, B) has the number of images of each group and class, those without a group last.
    """

    def __init__(self, model: _Model, weights: np.ndarray, images: np.ndarray) -> None:
        self.model, self.weights, self.images = model, weights, images

    @cached_property
    def rates(self) -> Rates:
        positives, images = self.model.positives(self.weights)[:-1], self.images[:-1]
        with np.errstate(invalid="ignore"):
            fpr, tpr = (positives[:, label] / images[:, label] for label in (0, 1))
            return Rates(positives.sum(axis=1) / images.sum(axis=1), tpr, fpr)

    @property
    def auc(self) -> np.ndarray | float:
        pooled = self.model.pooled
        return pooled(self.weights, self.images.sum(axis=0)) if pooled else np.nan

    @cached_property
    def aucs(self) -> np.ndarray:
        return np.array([auc(self.weights, self.images[group]) for group, auc in self.model.by_group])


def _counting(sample: Sample, chosen: np.ndarray, kind: type) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from weights (P, B) to the number of chosen images of each group and class, (G + 1, 2, B)."""
    groups = sample.groups + 1  # the last one is that of images without a group: -1 modulo G + 1 is G
    code = (sample.a.astype(np.int64) % groups * 2 + sample.y)[chosen]
    # Sparse not only to save memory: a product of dense matrices waits for threads on a busy machine.
    matrix = counts(code, sample.patient[chosen], (2 * groups, sample.patients), kind)
    return lambda weights: (matrix @ weights).reshape(groups, 2, -1).astype(float)


@dataclass(frozen=True)
class _Auc:
    """An AUC as a function of weights: for each run of positives, the weight of the negatives below it.

    A run consists of positives without a negative between them; runs are in ascending order. `runs` (K, P) counts the
    positives of each run. Row k of `steps` (K, P) counts half negatives above run k - 1 and below run k; each negative
    has two halves, one on either side of a tie.
    """

    steps: csr_array
    runs: csr_array

    @classmethod
    def of(cls, sample: Sample, logit: np.ndarray, chosen: np.ndarray, kind: type) -> _Auc | None:
        """Return the AUC of the chosen images; None if they lack a class."""
        y, score, patient = sample.y[chosen] == 1, logit[chosen], sample.patient[chosen]
        if y.all() or not y.any():
            return None
        order = np.argsort(score[y], kind="stable")
        places = np.concatenate([np.searchsorted(score[y][order], score[~y], side) for side in ("left", "right")])
        begins = np.zeros(np.count_nonzero(y) + 1, dtype=bool)
        begins[places] = True  # a run begins at the first positive above a negative
        begins[0] = True
        run = np.cumsum(begins) - 1
        shape = (int(run[-1]) + 1, sample.patients)
        steps = counts(run[places], np.tile(patient[~y], 2), shape, kind)
        return cls(steps, counts(run[:-1], patient[y][order], shape, kind))

    def __call__(self, weights: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return the AUC of each draw, (B,), given its `images` (2, B) of each class; NaN if a class is missing."""
        below, runs = self.steps @ weights, self.runs @ weights
        for before, here in pairwise(below):
            here += before  # row by row, because `cumsum` goes down each column and is slower
        pairs = 2 * images.prod(axis=0)
        exact = np.float32 if pairs.max() <= _EXACT else np.float64
        with np.errstate(invalid="ignore"):
            return np.einsum("kb,kb->b", runs.astype(exact), below.astype(exact)) / pairs


def counts(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], kind: type) -> csr_array:
    """Return how often each pair of row and column occurs."""
    return csr_array((np.ones(len(rows), kind), (rows, columns)), shape=shape)
