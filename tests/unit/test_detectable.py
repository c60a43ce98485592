"""The smallest detectable differences: printed values, and how often a simulated test finds them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.scoring.statistics import POWER, from_error, rate_gap


def test_by_hand() -> None:
    assert from_error(1) == pytest.approx(1.95996 + 0.84162, abs=1e-5)
    assert rate_gap(0.5, 31, 142) == pytest.approx(2.80158 * math.sqrt(0.25 / 31 + 0.25 / 142), abs=1e-5)


@pytest.mark.parametrize(
    "value",
    [
        rate_gap(0.5, 0, 9),
        rate_gap(0, 9, 9),
        rate_gap(1, 9, 9),
        rate_gap(math.nan, 9, 9),
    ],
    ids=["no images", "rate 0", "rate 1", "no rate"],
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
