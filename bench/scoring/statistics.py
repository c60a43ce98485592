"""Mean and spread of a row, adjustment for several claims, and how much could have been found.

Folds are not independent: their training sets overlap, and on an out-of-distribution set all of them are scored on the
same images. The spread therefore measures retraining, not other patients, and says nothing by itself on whether methods
differ; the test over patients does (`bench.scoring.bootstrap`, `bench.scoring.gaps`). SWiFT speaks of significance and
names no test (D92); nor does it say by what the squares of its standard deviations are divided (D91).

A minimum detectable effect is the difference that a two-sided test at `LEVEL` finds with probability `POWER`, before
any adjustment for several methods.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

LEVEL = 0.05
"""Adjusted p below which a difference is called supported."""
POWER = 0.8
"""Probability with which a minimum detectable effect is found."""
COARSE = 2
"""Decimals that tell nothing of a denominator: AUCs lie as close with any two classes of at least ten images."""
NO_SPREAD = 1e-9
"""Smaller than any step of a metric of fewer than a billion images, so that smaller spreads are rounding errors."""


class Summary(NamedTuple):
    """Mean and sample standard deviation (ddof 1) of the `n` finite values; NaN if there are too few."""

    mean: float
    std: float
    n: int


def summary(values: ArrayLike) -> Summary:
    """Return mean and std (ddof 1) of the finite values; the mean needs at least one of them, the std two."""
    numbers = np.asarray(values, dtype=float)  # None becomes NaN
    finite = numbers[np.isfinite(numbers)]
    mean = float(finite.mean()) if finite.size else float("nan")
    std = float(finite.std(ddof=1)) if finite.size > 1 else float("nan")
    return Summary(mean, std, int(finite.size))


def holm(p: ArrayLike) -> list[float]:
    """Return the adjusted p of one family by Holm's step-down rule (Holm 1979); NaN stays NaN and is not counted."""
    raw = np.asarray(p, dtype=float)
    adjusted = np.full(raw.shape, np.nan)
    order = np.argsort(raw, kind="stable")[: np.count_nonzero(~np.isnan(raw))]
    steps = raw[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()


def supported(adjusted: float) -> bool:
    """Return whether an adjusted p supports a difference at `LEVEL`; NaN does not."""
    return bool(adjusted < LEVEL)


def from_error(error: float) -> float:
    """Return the minimum detectable effect at a standard error: (z of 1 - LEVEL / 2 + z of POWER) error."""
    return float((ndtri(1 - LEVEL / 2) + ndtri(POWER)) * error)


def rate_gap(rate: float, n: int, m: int) -> float:
    """Return the minimum detectable gap of the rates of two groups of `n` and `m` images, `rate` in both together.

    Images are assumed to be independent. Both binomials are approximated by normal distributions (Fleiss, Levin & Paik,
    Statistical Methods for Rates and Proportions, 2003, chapter 4). NaN without images, and if the rate is 0 or 1,
    because its spread then cannot be estimated.
    """
    if min(n, m) < 1 or not 0 < rate < 1:
        return float("nan")
    return from_error(np.sqrt(rate * (1 - rate) * (1 / n + 1 / m)))


def interval_over_folds(differences: ArrayLike, folds: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the ends of the interval of a mean (K,) over `folds` folds, of another training on the same test images.

    The variance is corrected for training sets that overlap (Nadeau & Bengio 2003): t sqrt((1/n + 1/(folds - 1)) var)
    to either side, with n - 1 degrees of freedom. The correction is exact for no design: the interval is no test.
    The interval has the confidence 1 - `level`. Both ends are NaN with fewer than two values, and if all are equal,
    because the spread then cannot be estimated.
    """
    mean, std, n = summary(differences)
    if n < 2 or folds < 2 or not std > NO_SPREAD:
        return float("nan"), float("nan")
    half = float(stdtrit(n - 1, 1 - level / 2) * std * np.sqrt(1 / n + 1 / (folds - 1)))
    return mean - half, mean + half
