"""What five folds can say: mean and spread of one row, and whether a row differs from Baseline.

The folds are not independent. Their training sets overlap, and on an out-of-distribution set all of them are
scored on the same images. So the spread is that of retraining, not of other patients, and the plain paired
t-test takes it for more evidence than it is: its variance is widened as Nadeau & Bengio (2003) do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

LEVEL = 0.05
"""Adjusted p below which a difference counts as separable."""

NO_SPREAD = 1e-9
"""Smaller than any step that a metric of fewer than a billion images can take: what is left is rounding."""


class Summary(NamedTuple):
    """Mean and sample standard deviation (ddof 1) of the `n` finite values; NaN where too few are."""

    mean: float
    std: float
    n: int


class Comparison(NamedTuple):
    """A row against Baseline: mean paired difference over `n` shared folds, t, two-sided p; NaN if untestable."""

    difference: float
    t: float
    p: float
    n: int


def summary(values: ArrayLike) -> Summary:
    """Mean and std (ddof 1) of the finite ones of `values`; the mean needs one of them, the std two."""
    finite = _finite(values)
    mean = float(finite.mean()) if finite.size else float("nan")
    std = float(finite.std(ddof=1)) if finite.size > 1 else float("nan")
    return Summary(mean, std, int(finite.size))


def paired(values: ArrayLike, baseline: ArrayLike, folds: int | None = None) -> Comparison:
    """Corrected resampled t-test of `values` minus `baseline`, fold by fold (Nadeau & Bengio 2003).

    Both (K,), NaN where a fold is missing; only folds finite in both count. `folds` is how many the data were
    split into (default K), so that test/train = 1/(folds - 1) and t = mean / sqrt((1/n + 1/(folds - 1)) var),
    n - 1 degrees of freedom. p is NaN with fewer than two shared folds, and where a difference other than zero
    is the same in every fold: a spread of zero is no measure of spread. It is 1 where every difference is 0.
    """
    differences = np.asarray(values, dtype=float) - np.asarray(baseline, dtype=float)
    mean, std, n = summary(differences)
    split = differences.size if folds is None else folds
    if n < 2 or split < 2:
        return Comparison(mean, float("nan"), float("nan"), n)
    if std < NO_SPREAD:
        same = abs(mean) < NO_SPREAD
        return Comparison(mean, 0.0 if same else float("nan"), 1.0 if same else float("nan"), n)
    t = mean / (std * np.sqrt(1 / n + 1 / (split - 1)))
    return Comparison(mean, float(t), float(2 * stdtr(n - 1, -abs(t))), n)


def holm(p: ArrayLike) -> list[float]:
    """Adjusted p of one family by Holm's step-down rule (Holm 1979); NaN stays NaN and is not counted."""
    raw = np.asarray(p, dtype=float)
    adjusted = np.full(raw.shape, np.nan)
    order = np.argsort(raw, kind="stable")[: np.count_nonzero(~np.isnan(raw))]
    steps = raw[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()


def separable(adjusted: float) -> bool:
    """Whether an adjusted p supports a difference at `LEVEL`; NaN supports none."""
    return bool(adjusted < LEVEL)


def _finite(values: ArrayLike) -> np.ndarray:
    numbers = np.asarray(values, dtype=float)  # None becomes NaN
    return numbers[np.isfinite(numbers)]
