"""Bootstrapped patients: a slow loop over drawn images, scipy, and how often an interval covers what is true."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from bench.scoring import bootstrap
from bench.scoring.bootstrap import Sample, interval
from bench.scoring.metrics import auc_of_sorted, evaluate
from tests.replicates import replicates

EVERY = ("auc", "spd", "eodds", "eodds_max", "eodds_signed", "eopp", "min_auc", "gap_auc", "tpr_gap")


def drawn(seed: int, patients: int, draws: int) -> np.ndarray:
    """Which patients each draw consists of, (draws, patients)."""
    return np.random.default_rng(seed).integers(patients, size=(draws, patients))


@pytest.mark.parametrize(("groups", "rare", "ties"), [(2, 0.2, False), (2, 0.8, True), (3, 0.4, True)])
def test_draws_are_the_metrics_of_the_images_of_drawn_patients(groups: int, rare: float, ties: bool) -> None:
    rng = np.random.default_rng(7)
    n = 150
    y, a = (rng.random(n) < rare).astype(np.int8), rng.integers(groups, size=n).astype(np.int8)
    patient = np.unique(rng.integers(60, size=n), return_inverse=True)[1]
    logits = [(rng.normal(size=n) + y).round(0 if ties else 9).astype(np.float32) for _ in range(2)]
    sample = Sample(y, a, patient, groups)
    values = replicates(sample, logits, EVERY, 3, draws=20)
    for draw, members in enumerate(drawn(3, sample.patients, 20)):
        rows = np.concatenate([np.flatnonzero(patient == member) for member in members])
        for model, logit in enumerate(logits):
            scores = evaluate(logit[rows], y[rows], a[rows], [f"g{g}" for g in range(groups)])
            np.testing.assert_allclose(values[model, :, draw], [scores[name] for name in EVERY], atol=1e-12)


@pytest.mark.parametrize("groups", [2, 3])
def test_images_without_a_group_count_in_the_auc_of_each_draw_and_in_no_gap(groups: int) -> None:
    """Some patients are without a group in all of their images, some in one of them."""
    rng = np.random.default_rng(5)
    n = 160
    y, a = (rng.random(n) < 0.4).astype(np.int8), rng.integers(groups, size=n).astype(np.int8)
    patient = np.unique(rng.integers(70, size=n), return_inverse=True)[1]
    a[(patient % 7 == 0) | (rng.random(n) < 0.15)] = -1
    logit = (rng.normal(size=n) + y + 2 * (a == -1)).astype(np.float32)
    values = replicates(Sample(y, a, patient, groups), [logit], EVERY, 11, draws=40)[0]
    names, apart = [f"g{g}" for g in range(groups)], 0
    for draw, members in enumerate(drawn(11, patient.max() + 1, 40)):
        rows = np.concatenate([np.flatnonzero(patient == member) for member in members])
        known = rows[a[rows] >= 0]
        gaps = evaluate(logit[known], y[known], a[known], names)
        apart += abs(values[EVERY.index("auc"), draw] - gaps["auc"]) > 1e-6
        pooled = roc_auc_score(y[rows], logit[rows])
        expected = [pooled if name == "auc" else gaps[name] for name in EVERY]
        np.testing.assert_allclose(values[:, draw], expected, atol=1e-12)
    assert apart == 40, "the pooled AUC differs without them"


def test_draws_do_not_depend_on_how_many_are_made_or_on_other_models() -> None:
    rng = np.random.default_rng(0)
    sample = Sample(rng.integers(2, size=300), rng.integers(2, size=300), np.arange(300), 2)
    logits = rng.normal(size=(3, 300))
    whole = replicates(sample, list(logits), ("auc", "spd"), 5, draws=1000)
    np.testing.assert_array_equal(whole[2:, 1:, :7], replicates(sample, [logits[2]], ("spd",), 5, draws=7))
    assert not np.array_equal(whole[:, :, :7], replicates(sample, list(logits), ("auc", "spd"), 6, draws=7))


@pytest.mark.parametrize(("name", "most"), [("_EXACT", 0), ("_EXACT", 10_000), ("_NARROW", 0)])
def test_draws_are_the_same_bits_in_either_precision(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    sample = Sample(rng.integers(2, size=400), rng.integers(2, size=400), rng.permutation(400) // 2, 2)
    logits = [rng.normal(size=400).round(1)]
    single = replicates(sample, logits, EVERY, 5, draws=200)
    monkeypatch.setattr(bootstrap, name, most)
    np.testing.assert_array_equal(single, replicates(sample, logits, EVERY, 5, draws=200))


def test_more_halves_of_images_than_16_bits_count() -> None:
    rng = np.random.default_rng(3)
    y, a = rng.integers(2, size=40_000), np.arange(40_000) % 2
    logit = (rng.normal(size=40_000) + 6 * y).astype(np.float32)  # nearly all negatives are below nearly all positives
    values = replicates(Sample(y, a, np.arange(40_000), 2), [logit], ("auc",), 5, draws=3)
    for draw, members in enumerate(drawn(5, 40_000, 3)):
        scores = evaluate(logit[members], y[members], a[members], ["g0", "g1"])
        assert values[0, 0, draw] == pytest.approx(scores["auc"])


def test_a_draw_without_a_class_of_a_group_is_nan_and_counted_out() -> None:
    # One positive of group 1: a draw lacks it with probability (1 - 1/8)^8 = 0.344.
    y, a = np.array([1, 1, 0, 0, 1, 0, 0, 0]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    logit = np.array([1.0, -1, 1, -1, 2, -2, -1, 1])
    values = replicates(Sample(y, a, np.arange(8), 2), [logit], ("spd", "eopp", "gap_auc"), 1, draws=500)[0]
    lacks = (drawn(1, 8, 500) == 4).sum(axis=1) == 0
    assert np.isnan(values[1, lacks]).all()
    assert np.isnan(values[2, lacks]).all()
    assert 0.25 < lacks.mean() < 0.45
    found = interval(values[1])
    assert math.isnan(found.p)
    assert found.draws == np.isfinite(values[1]).sum()


def test_a_group_that_lacks_a_class_altogether_is_in_no_auc_within_groups() -> None:
    rng = np.random.default_rng(2)
    y, a = rng.integers(2, size=200), rng.integers(3, size=200)
    y[a == 2] = 0
    logit = rng.normal(size=200)
    low, gap = replicates(Sample(y, a, np.arange(200), 3), [logit], ("min_auc", "gap_auc"), 1, draws=50)[0]
    assert np.isfinite(low + gap).all()
    alone = replicates(Sample(y, np.where(a == 1, 2, a), np.arange(200), 3), [logit], ("gap_auc",), 1, draws=50)
    assert np.isnan(
        replicates(Sample(np.zeros(9, int), np.arange(9) % 2, np.arange(9), 2), [logit[:9]], ("auc",), 1)
    ).all()
    assert alone.shape == (1, 1, 50)


def test_interval_and_p_by_hand() -> None:
    found = interval(np.arange(-2, 98) / 100)  # -0.02 ... 0.97
    assert (found.low, found.high) == pytest.approx((-0.02 + 0.025 * 0.99, -0.02 + 0.975 * 0.99))
    assert found.p == pytest.approx(2 * (3 + 1) / 101)  # -0.02, -0.01 and 0
    assert found.error == pytest.approx(np.arange(100).std(ddof=1) / 100)
    assert interval(-np.arange(-2, 98) / 100).p == found.p
    assert interval(np.full(100, 0.5)).p == pytest.approx(2 / 101)
    same = interval(np.array([1e-17, -1e-17, 0.0] * 40))
    assert (same.low, same.high, same.p) == (0, 0, 1)


def test_an_interval_needs_95_of_100_draws() -> None:
    values = np.arange(100.0)
    values[:5] = math.nan
    assert interval(values)[:2] == pytest.approx(np.quantile(np.arange(5, 100), [0.025, 0.975]))
    assert interval(values).draws == 95
    values[5] = math.nan
    assert interval(values)[-1] == 94
    assert all(math.isnan(value) for value in interval(values)[:4])


def test_without_clusters_the_interval_is_scipys() -> None:
    rng = np.random.default_rng(1)
    n = 200
    y, a = rng.integers(2, size=n), rng.integers(2, size=n)
    first, second = rng.normal(size=(2, n)) + np.outer((1.4, 0.8), y)
    values = replicates(Sample(y, a, np.arange(n), 2), [first, second], ("auc", "spd"), 9)

    def auc(logit: np.ndarray, label: np.ndarray) -> float:
        order = np.argsort(logit)
        return auc_of_sorted(logit[order], label[order])

    def parity(logit: np.ndarray, group: np.ndarray) -> float:
        return abs((logit[group == 0] > 0).mean() - (logit[group == 1] > 0).mean())

    def difference(metric, labels):
        return lambda rows: metric(first[rows], labels[rows]) - metric(second[rows], labels[rows])

    for number, statistic in enumerate((difference(auc, y), difference(parity, a))):
        theirs = stats.bootstrap(
            (np.arange(n),),
            statistic,
            n_resamples=2000,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(4),
        )
        ours = interval(values[0, number] - values[1, number])
        # Four errors of the difference of two such quantiles, each of 2,000 draws.
        slack = 4 * math.sqrt(2) * 0.06 * theirs.standard_error
        assert ours.error == pytest.approx(theirs.standard_error, rel=0.08)
        assert ours[:2] == pytest.approx(tuple(theirs.confidence_interval), abs=slack)


def hospital(rng: np.random.Generator, patients: int) -> tuple[Sample, list[np.ndarray]]:
    """Patients with four images each, whose logits share most of their noise, and two models of them."""
    y, a = (np.repeat(rng.integers(2, size=patients), 4) for _ in range(2))
    patient = np.repeat(np.arange(patients), 4)
    shift = np.outer((1.5, 0.8), y - 0.5) + np.outer((0.3, 1.0), a)
    noise = 0.9 * rng.normal(size=(2, patients))[:, patient] + math.sqrt(0.19) * rng.normal(size=(2, 4 * patients))
    return Sample(y, a, patient, 2), list(shift + noise)


def truth() -> tuple[float, float]:
    """AUC and TPR gap of the first model less the second, of ever so many patients of `hospital`."""

    def auc(signal: float, shift: float) -> float:
        # Positives and negatives of the same group with probability a half, of either other with a quarter.
        return sum(w * ndtr((signal + s * shift) / math.sqrt(2)) for s, w in ((0, 0.5), (1, 0.25), (-1, 0.25)))

    def gap(signal: float, shift: float) -> float:
        return ndtr(signal / 2 + shift) - ndtr(signal / 2)

    return auc(1.5, 0.3) - auc(0.8, 1.0), gap(1.5, 0.3) - gap(0.8, 1.0)


def coverage(runs: int, draws: int, *, clustered: bool) -> np.ndarray:
    covered = np.zeros(2)
    for run in range(runs):
        sample, logits = hospital(np.random.default_rng(run), 120)
        if not clustered:
            sample = Sample(sample.y, sample.a, np.arange(len(sample.y)), 2)
        values = replicates(sample, logits, ("auc", "eopp"), run, draws=draws)
        for number, true in enumerate(truth()):
            found = interval(values[0, number] - values[1, number])
            covered[number] += found.low <= true <= found.high
    return covered / runs


def test_intervals_over_patients_cover_and_intervals_over_images_do_not() -> None:
    # 95 of 100, give or take three times 2.2; images taken for patients make them half as wide.
    assert (coverage(100, 300, clustered=True) >= 0.88).all()
    assert (coverage(100, 300, clustered=False) <= 0.82).all()


@pytest.mark.slow
@pytest.mark.long
def test_coverage_is_near_95_in_100() -> None:
    found = coverage(2000, 1000, clustered=True)
    assert (abs(found - 0.95) < 0.02).all(), found
