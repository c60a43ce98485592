"""Mean, spread and adjustment: hand values, and what has no spread."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.scoring.statistics import holm, interval_over_folds, summary, supported


def test_summary_hand_value() -> None:
    mean, std, n = summary([0.60, 0.62, 0.58, 0.61, 0.59])
    assert (round(mean, 12), round(std, 4), n) == (0.6, 0.0158, 5)


@pytest.mark.parametrize(("values", "n"), [([], 0), ([math.nan, None], 0), ([0.5], 1), ([0.5, math.nan, math.inf], 1)])
def test_summary_of_too_few(values: list, n: int) -> None:
    mean, std, count = summary(values)
    assert count == n
    assert math.isnan(std)
    assert math.isnan(mean) is (n == 0)


def test_an_interval_over_folds_by_hand() -> None:
    # mean 0.3, var 0.025, factor 1/5 + 1/4 = 0.45; t of 4 degrees of freedom at 0.975 is 2.7764451.
    half = 2.7764451 * math.sqrt(0.45 * 0.025)
    assert interval_over_folds([0.1, 0.2, 0.3, 0.4, 0.5], 5) == pytest.approx((0.3 - half, 0.3 + half))
    assert interval_over_folds([0.1, math.nan, 0.3], 5)[1] == pytest.approx(
        0.2 + stats.t.ppf(0.975, 1) * math.sqrt(0.75 * 0.02)
    )


@pytest.mark.parametrize("values", [[0.1], [0.1, math.nan], [], [0.3, 0.3, 0.3]])
def test_no_interval_without_a_spread(values: list[float]) -> None:
    assert all(math.isnan(end) for end in interval_over_folds(values, 5))


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, made monotone: .04 .06 .06 .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_supported_is_below_the_level() -> None:
    assert [supported(p) for p in (0.049, 0.05, math.nan)] == [True, False, False]


def test_families_of_noise_rarely_support_anything() -> None:
    families = np.random.default_rng(0).random(size=(2000, 10))
    hits = sum(any(supported(p) for p in holm(family)) for family in families)
    assert hits / 2000 <= 0.06
