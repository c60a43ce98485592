"""Statistics over folds: hand values, an independent t-test, and what cannot be tested."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.score.statistics import holm, paired, significant, summary


def test_summary_hand_value() -> None:
    mean, std, n = summary([0.60, 0.62, 0.58, 0.61, 0.59])
    assert (round(mean, 12), round(std, 4), n) == (0.6, 0.0158, 5)


@pytest.mark.parametrize(("values", "n"), [([], 0), ([math.nan, None], 0), ([0.5], 1), ([0.5, math.nan, math.inf], 1)])
def test_summary_of_too_few(values: list, n: int) -> None:
    mean, std, count = summary(values)
    assert count == n
    assert math.isnan(std)
    assert math.isnan(mean) is (n == 0)


def test_corrected_t_by_hand() -> None:
    # mean 0.3, var 0.025, factor 1/5 + 1/4 = 0.45: t = 0.3 / sqrt(0.01125) = 2.8284271, 4 degrees of freedom.
    result = paired([0.1, 0.2, 0.3, 0.4, 0.5], [0.0] * 5)
    assert result.t == pytest.approx(2.8284271247)
    assert result.difference == pytest.approx(0.3)
    assert result.p == pytest.approx(0.0474207, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_without_the_correction_it_is_the_paired_t_test(seed: int) -> None:
    left, right = np.random.default_rng(seed).normal(size=(2, 5))
    result, plain = paired(left, right), stats.ttest_rel(left, right)
    assert result.t == pytest.approx(plain.statistic * math.sqrt(0.2 / 0.45))
    assert result.p > plain.pvalue
    assert paired(right, left).t == pytest.approx(-result.t)


def test_missing_folds_are_left_out_in_pairs() -> None:
    with_gaps = paired([0.1, math.nan, 0.3, 0.5, 0.2], [0.0, 0.0, 0.0, math.nan, 0.0])
    assert with_gaps == pytest.approx(paired([0.1, 0.3, 0.2], [0.0] * 3, folds=5))
    assert with_gaps.n == 3
    assert with_gaps.t == pytest.approx(0.2 / math.sqrt(0.01 * (1 / 3 + 1 / 4)))


def test_what_cannot_be_tested_is_nan() -> None:
    assert math.isnan(paired([0.1], [0.0]).p)
    assert math.isnan(paired([0.1, math.nan], [0.0, 0.0]).p)
    assert math.isnan(paired([], []).difference)
    constant = paired([0.4, 0.5, 0.6], [0.1, 0.2, 0.3])
    assert math.isnan(constant.p)
    assert constant.difference == pytest.approx(0.3)
    assert not significant(constant.p)
    assert paired([0.4, 0.5, 0.6], [0.4, 0.5, 0.6]).p == 1


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, made monotone: .04 .06 .06 .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_significant_is_below_the_level() -> None:
    assert [significant(p) for p in (0.049, 0.05, math.nan)] == [True, False, False]


def test_families_of_noise_are_rarely_significant() -> None:
    rng = np.random.default_rng(0)
    families = rng.normal(size=(400, 10, 5))
    hits = sum(any(significant(p) for p in holm([paired(row, rows[0]).p for row in rows[1:]])) for rows in families)
    assert hits / 400 <= 0.05
