"""Gaps of two models on bootstrap samples: hand values, a slow reference, symmetry, and what is not claimed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.errors import UsageError
from bench.scoring.bootstrap import Sample, redrawn
from bench.scoring.gaps import Behind, Gap, behind_rates, gap_difference, gap_of, gap_rates, own_gap
from bench.scoring.metrics import evaluate
from tests.replicates import replicates

MANY = 10**9
"""Patients enough for the normal distribution."""


def gap(size: np.ndarray, parts: np.ndarray, patients: int = MANY) -> Gap:
    return Gap(size, parts, np.full(parts.shape[:2], patients))


def two(center: tuple[float, float], spread: float, seed: int = 0, draws: int = 999) -> Gap:
    """A gap with two rates of two groups, whose parts vary about a center."""
    parts = np.array(center)[:, None, None] + spread * np.random.default_rng(seed).normal(size=(2, 1, draws))
    return gap(np.abs(parts).mean(axis=(0, 1)), parts)


def slow_ends(one: Gap, other: Gap, level: float) -> float:
    """The upper end of `one` less `other` at a level, as the docstring of the module says it."""
    rates, pairs, _ = other.parts.shape
    bound = 0
    for rate in range(rates):
        turned = [sign * part for part in other.parts[rate] for sign in (1, -1)]
        lead = max(turned, key=lambda part: np.quantile(part, 0.05 / (2 * rates * pairs)))
        share = (np.count_nonzero(lead <= 0) + 1) / (len(lead) + 1)
        if 2 * rates * pairs * share <= level:
            bound = bound + lead / rates
    return float(np.quantile(one.size - bound, 1 - level / 2))


@pytest.mark.parametrize(("groups", "metric"), [(2, "spd"), (2, "eodds"), (3, "eodds"), (3, "gap_auc"), (2, "eopp")])
def test_size_and_parts_are_those_of_the_images_of_drawn_patients(groups: int, metric: str) -> None:
    rng = np.random.default_rng(7)
    n = 200
    y, a = (rng.random(n) < 0.4).astype(np.int8), rng.integers(groups, size=n).astype(np.int8)
    patient = np.unique(rng.integers(70, size=n), return_inverse=True)[1]
    logit = rng.normal(size=n) + y
    sample = Sample(y, a, patient, groups)
    values = redrawn(sample, [logit], gap_rates(metric), 3, draws=20)[0]
    found = gap_of(values, metric, behind_rates(sample, metric))
    np.testing.assert_array_equal(found.size, replicates(sample, [logit], (metric,), 3, draws=20)[0, 0])
    names = {"spd": ["selection_rate"], "eodds": ["tpr", "fpr"], "eopp": ["tpr"], "gap_auc": ["auc"]}[metric]
    drawn = np.random.default_rng(3).integers(sample.patients, size=(20, sample.patients))
    for draw, members in enumerate(drawn):
        rows = np.concatenate([np.flatnonzero(patient == member) for member in members])
        scored = evaluate(logit[rows], y[rows], a[rows], [f"g{g}" for g in range(groups)])["groups"]
        rates = np.array([[scored[f"g{g}"][name] for g in range(groups)] for name in names])
        expected = [[rate[i] - rate[j] for i in range(groups) for j in range(i + 1, groups)] for rate in rates]
        np.testing.assert_allclose(found.parts[:, :, draw], expected, atol=1e-12)


def test_the_threshold_of_a_model_is_the_score_above_which_it_predicts_positive() -> None:
    rng = np.random.default_rng(1)
    sample = Sample(rng.integers(2, size=90), rng.integers(2, size=90), np.arange(90), 2)
    logit = rng.normal(size=90)
    usual = redrawn(sample, [logit - 1], gap_rates("spd"), 3, draws=9)
    other = redrawn(sample, [logit], gap_rates("spd"), 3, scores=[1 / (1 + math.exp(-1))], draws=9)
    np.testing.assert_array_equal(usual, other)


def test_hand_values() -> None:
    # Nothing varies: the bound of Baseline is (.4 + .2) / 2 = .3, the gap of the method .1.
    draws = 999
    base = gap(np.full(draws, 0.3), np.repeat([[[0.4]], [[-0.2]]], draws, axis=2))
    method = gap(np.full(draws, 0.1), np.repeat([[[0.2]], [[0.0]]], draws, axis=2))
    low, high, p, _, kept = gap_difference(method, base)
    assert (high, kept) == (pytest.approx(-0.2), draws)
    # Of the method's parts one is 0 and does not count: its bound is .2 / 2, and .1 - .3 is the lower end.
    assert low == pytest.approx(-0.2)
    # Either rate counts from 2 parts x 2 sides x 1 / 1000 on.
    assert p == pytest.approx(4 / 1000)


def test_a_rate_that_cannot_be_told_from_0_does_not_count() -> None:
    base = two((0.3, 0.02), 0.05)
    nothing = gap(np.zeros(999), np.zeros((2, 1, 999)))
    low, high, p, *_ = gap_difference(nothing, base)
    assert high == pytest.approx(-np.quantile(base.parts[0, 0], 0.025) / 2, abs=1e-9)
    assert p == pytest.approx(4 / 1000)
    assert low == pytest.approx(-np.quantile(base.size, 0.975), abs=1e-9)
    assert gap_difference(nothing, two((0.02, 0.02), 0.05)).high == 0
    assert gap_difference(nothing, two((0.02, 0.02), 0.05)).p > 0.05


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pairs", [1, 3])
def test_ends_and_p_are_those_of_a_slow_reference(seed: int, pairs: int) -> None:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        parts = rng.normal(0, 0.12, size=(2, pairs, 1)) + 0.05 * rng.normal(size=(2, pairs, 499))
        made.append(gap(np.abs(parts).max(axis=1).mean(axis=0), parts))
    one, other = made
    found = gap_difference(one, other)
    assert found.high == pytest.approx(slow_ends(one, other, 0.05), abs=1e-9)
    assert found.low == pytest.approx(-slow_ends(other, one, 0.05), abs=1e-9)
    levels = np.arange(1, 200) / 200 + 1e-9
    held = [level for level in levels if slow_ends(one, other, level) < 0 or slow_ends(other, one, level) < 0]
    assert found.p == pytest.approx(held[0] if held else 1.0, abs=0.009)


def test_p_counts_the_rates_that_count_at_its_own_level() -> None:
    part, second = np.full(999, 0.4), np.full(999, 0.01)
    part[:9], second[-2:] = 0.1, -0.3
    base = gap(np.full(999, 0.3), np.array([[part], [second]]))
    method = gap(np.full(999, 0.1), np.zeros((2, 1, 999)))
    # The first rate alone: the difference is positive in 9 samples, p 20 / 1000. But from 4 x 3 / 1000 on the second
    # counts, with which it is positive in 11.
    assert gap_difference(method, base).p == pytest.approx(24 / 1000)


def test_both_directions_are_treated_alike() -> None:
    one, other = two((0.3, 0.1), 0.05, 1), two((0.1, 0.0), 0.05, 2)
    there, back = gap_difference(one, other), gap_difference(other, one)
    assert (there.low, there.high, there.p, there.error) == (-back.high, -back.low, back.p, back.error)
    assert there.low > 0
    turned = other._replace(parts=-other.parts)
    assert gap_difference(one, turned) == there, "which group is the first does not matter"


def test_the_point_estimate_lies_inside_and_the_bound_is_never_above_the_gap() -> None:
    for seed in range(20):
        one, other = two((0.2, 0.05), 0.08, seed), two((0.15, -0.1), 0.08, seed + 100)
        low, high, *_ = gap_difference(one, other)
        estimate = [np.abs(gap.parts.mean(axis=2)).mean() for gap in (one, other)]
        assert low <= estimate[0] - estimate[1] <= high


def test_intervals_of_few_patients_are_wider() -> None:
    parts = two((0.3, 0.3), 0.05).parts
    nothing = gap(np.zeros(999), np.zeros((2, 1, 999)))
    ends = [gap_difference(nothing, gap(np.abs(parts).mean(axis=(0, 1)), parts, n)).high for n in (10, 40, MANY)]
    assert ends[0] > ends[1] > ends[2]
    center = -parts.mean(axis=2).mean()
    factor = math.sqrt(10 / 9) * stats.t.ppf(1 - 0.025 / 2, 9) / stats.norm.ppf(1 - 0.025 / 2)
    assert (ends[0] - center) == pytest.approx(factor * (ends[2] - center), rel=1e-6)


def test_patients_and_images_are_counted_by_rate_and_group() -> None:
    #                    patient 0: both classes of group 0; 1: a positive of 0; 2: negatives of 1; 3: both of 1
    y, a = np.array([0, 1, 1, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1, 1, -1])
    sample = Sample(y, a, np.array([0, 0, 1, 2, 2, 3, 3, 4]), 2)
    spd, eodds, auc = (behind_rates(sample, metric) for metric in ("spd", "eodds", "gap_auc"))
    # Two images of one patient and one of another tell as much as 3 ** 2 / (2 ** 2 + 1) patients.
    assert spd.patients.tolist() == [[9 / 5, 2]]
    assert spd.images[:, :, 0].tolist() == [[3, 4]]
    assert eodds.patients.tolist() == [[2, 1], [1, 9 / 5]]  # of positives, of negatives
    assert eodds.images[:, :, 0].tolist() == [[2, 1], [1, 3]]
    assert auc.patients.tolist() == [[1, 1]]
    assert auc.images.tolist() == [[[1, 2], [3, 1]]]
    assert (spd.pairs, eodds.pairs, auc.pairs) == (1, 2, 1)


def few(rates: tuple[float, float], patients: tuple[int, int], draws: int = 999) -> Gap:
    """A gap of the selection rate between two groups with one image a patient, drawn as the bootstrap draws it."""
    rng = np.random.default_rng(5)
    drawn = np.array([rng.binomial(n, rate, draws) / n for n, rate in zip(patients, rates, strict=True)])
    behind = Behind(np.array([patients]), np.array([[[n, 0] for n in patients]]))
    return gap_of(np.array([np.ptp(drawn, axis=0), *drawn]), "spd", behind)


def test_a_rate_that_is_1_by_chance_is_not_told_from_another() -> None:
    base = few((1.0, 0.9), (15, 190))
    mean = base.parts[0, 0].mean()
    both = (15 + 190 * (1 - mean)) / 205
    # The small group does not vary: 1 * 0 / 15. If both rates were equal, it would.
    own, equal = mean * (1 - mean) / 190, both * (1 - both) * (1 / 15 + 1 / 190)
    assert base.equal == pytest.approx(np.sqrt(equal / own))
    assert np.quantile(base.parts, 0.001) > 0
    assert not own_gap(base).distinct
    assert own_gap(few((1.0, 0.3), (15, 190))).distinct


def test_the_standard_error_of_equal_rates_is_never_smaller() -> None:
    # The pooled rate is that of the large group, nearly 1; alone, the small one varies most.
    assert few((0.5, 0.98), (20, 2000)).equal == 1.0
    opposite = few((1.0, 0.0), (40, 40))
    assert np.isinf(opposite.equal)
    assert not own_gap(opposite).distinct


def test_a_rate_of_0_or_1_of_few_patients_has_no_interval() -> None:
    sure, edge, inside = few((0.7, 0.4), (200, 200)), few((1.0, 0.6), (9, 200)), few((0.7, 0.6), (9, 200))
    assert (sure.few, edge.few, inside.few, few((1.0, 0.6), (10, 200)).few) == (False, True, False, False)
    assert math.isnan(gap_difference(edge, sure).low)
    assert math.isnan(gap_difference(sure, edge).p)
    assert math.isnan(own_gap(edge).high)
    assert math.isfinite(gap_difference(inside, sure).low)


def test_the_variance_of_an_auc_of_chance_is_that_of_mann_and_whitney() -> None:
    behind = Behind(np.full((1, 2), 50), np.array([[[30, 20], [300, 200]]]))
    aucs = np.array([[0.5, 0.5], [0.8, 0.8]])
    size = np.abs(aucs[0] - aucs[1])
    found = gap_of(np.array([size, *aucs]), "gap_auc", behind)

    def variance(auc: float, negatives: int, positives: int) -> float:
        first, second = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
        rest = (positives - 1) * first + (negatives - 1) * second
        return (auc * (1 - auc) + rest) / (negatives * positives)

    assert variance(0.5, 30, 20) == pytest.approx((30 + 20 + 1) / (12 * 30 * 20))
    both = (600 * 0.5 + 60_000 * 0.8) / 60_600
    equal = variance(both, 30, 20) + variance(both, 300, 200)
    own = variance(0.5, 30, 20) + variance(0.8, 300, 200)
    assert found.equal == pytest.approx(max(1.0, equal / own) ** 0.5)


@pytest.mark.parametrize("positives_of", [(), (0,)])
def test_a_gap_of_auc_needs_two_groups_with_both_classes(positives_of: tuple[int, ...]) -> None:
    a = np.arange(60) % 2
    y = np.isin(a, positives_of) & (np.arange(60) % 3 == 0)
    sample = Sample(y.astype(np.int8), a, np.arange(60), 2)
    behind = behind_rates(sample, "gap_auc")
    values = redrawn(sample, [np.arange(60.0)], gap_rates("gap_auc"), 1, draws=30)[0]
    found = gap_of(values, "gap_auc", behind)
    assert behind.patients.tolist() == [[0, 0]]
    assert np.isnan(found.size).all()
    assert math.isnan(gap_difference(found, found).p)


def test_ones_own_gap_is_told_from_0_or_bounded() -> None:
    sure, unsure = own_gap(two((0.3, 0.2), 0.03)), own_gap(two((0.01, 0.02), 0.03))
    assert sure.distinct
    assert 0.15 < sure.low < 0.25 < sure.high < 0.35
    assert (unsure.distinct, unsure.low) == (False, 0.0)
    assert 0.03 < unsure.high < 0.1


def test_samples_without_a_rate_are_left_out_and_too_many_of_them_decide_nothing() -> None:
    one, other = two((0.3, 0.1), 0.05, 1), two((0.0, 0.0), 0.05, 2)
    few = one._replace(size=np.where(np.arange(999) < 40, np.nan, one.size))
    assert gap_difference(few, other).draws == 959
    assert gap_difference(few, other).low > 0
    many = one._replace(size=np.where(np.arange(999) < 60, np.nan, one.size))
    assert math.isnan(gap_difference(many, other).p)
    assert math.isnan(own_gap(many).high)
    assert not own_gap(many).distinct


def test_a_metric_that_is_no_mean_of_ranges_is_refused() -> None:
    with pytest.raises(UsageError, match="eodds_max is not compared as a gap: possible are spd, eodds"):
        gap_rates("eodds_max")
