"""The smallest detectable differences: printed values, and how often a simulated test finds them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.score.statistics import LEVEL, POWER, fold_difference, from_error, paired, rate_gap


def test_by_hand() -> None:
    assert from_error(1) == pytest.approx(1.95996 + 0.84162, abs=1e-5)
    assert rate_gap(0.5, 31, 142) == pytest.approx(2.80158 * math.sqrt(0.25 / 31 + 0.25 / 142), abs=1e-5)
    # Cohen (1988), paired t, alpha 0.05 two-sided, power 0.80: dz = 1.682 with n = 5, 0.996 with n = 10.
    plain = {n: fold_difference(1, n, 10**9) for n in (5, 10)}
    assert plain == pytest.approx({5: 1.682, 10: 0.996}, abs=1e-3)
    assert fold_difference(0.02, 5, 5) == pytest.approx(
        0.02 * 1.682 * math.sqrt(5) * math.sqrt(1 / 5 + 1 / 4), rel=1e-3
    )


@pytest.mark.parametrize(
    "value",
    [
        rate_gap(0.5, 0, 9),
        rate_gap(0, 9, 9),
        rate_gap(1, 9, 9),
        rate_gap(math.nan, 9, 9),
        fold_difference(0.1, 1, 5),
        fold_difference(0, 5, 5),
        fold_difference(math.nan, 5, 5),
    ],
    ids=["no images", "rate 0", "rate 1", "no rate", "one fold", "no spread", "no std"],
)
def test_what_cannot_be_said_is_nan(value: float) -> None:
    assert math.isnan(value)


def test_a_rate_gap_of_that_size_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    n, m, rate = 90, 400, 0.6
    gap = rate_gap(rate, n, m)
    one, other = (
        rng.binomial(n, rate - gap * m / (n + m), 20_000) / n,
        rng.binomial(m, rate + gap * n / (n + m), 20_000) / m,
    )
    pooled = (one * n + other * m) / (n + m)
    z = np.abs(other - one) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    assert (z > 1.959964).mean() == pytest.approx(POWER, abs=0.03)


def test_a_difference_of_that_size_is_found_over_folds_four_times_in_five() -> None:
    # Folds that share images: the variance of their mean is (1/n + 1/(folds - 1)) var, as the test takes it.
    rng, runs = np.random.default_rng(1), 4000
    least = fold_difference(1, 5, 5)
    differences = rng.normal(size=(runs, 5)) + 0.5 * rng.normal(size=(runs, 1)) + least
    found = [paired(row, np.zeros(5)).p < LEVEL for row in differences]
    assert np.mean(found) == pytest.approx(POWER, abs=0.02)
