"""Minimum detectable effects: a difference that is not significant may be too small for this set and these folds.

Each is detected with probability `POWER` by a two-sided test at `LEVEL`, before any adjustment for several methods.
"""

from __future__ import annotations

import numpy as np
from scipy.special import nctdtrinc, ndtri, stdtrit

from bench.score.statistics import LEVEL, NO_SPREAD

POWER = 0.8


def from_error(error: float) -> float:
    """Return the minimum detectable effect at a standard error: (z of 1 - LEVEL / 2 + z of POWER) error."""
    return float((ndtri(1 - LEVEL / 2) + ndtri(POWER)) * error)


def rate_gap(rate: float, n: int, m: int) -> float:
    """Return the minimum detectable gap of the rates of two groups of `n` and `m` images, `rate` in both together.

    Images are taken to be independent. Both binomials are approximated by normal distributions (Fleiss, Levin & Paik,
    Statistical Methods for Rates and Proportions, 2003, chapter 4). NaN without images, and where the rate is 0 or 1:
    such a rate has no measurable spread.
    """
    if min(n, m) < 1 or not 0 < rate < 1:
        return float("nan")
    return from_error(np.sqrt(rate * (1 - rate) * (1 / n + 1 / m)))


def fold_difference(std: float, n: int, folds: int) -> float:
    """Return the minimum detectable mean difference of `bench.score.statistics.paired` over `n` of `folds` folds.

    `std` (ddof 1) is that of the differences. The noncentral t distribution of n - 1 degrees of freedom gives the
    power; its other tail is left out, which is nothing at this power. NaN with fewer than two folds,
    and where `std` is 0: that is no measure of spread.
    """
    if n < 2 or folds < 2 or not std > NO_SPREAD:
        return float("nan")
    shift = nctdtrinc(n - 1, 1 - POWER, stdtrit(n - 1, 1 - LEVEL / 2))
    return float(shift * std * np.sqrt(1 / n + 1 / (folds - 1)))
