"""Scores of groups on bootstrap samples against those of `of_scores` with each image as often as its patient is drawn."""

import numpy as np
import pytest

from bench.scoring.bootstrap import Sample, _weights, redrawn
from bench.scoring.drawn_groups import RATES, SCORES, rates, reader
from bench.scoring.metrics import evaluate

NAMES = ("a", "b", "c")
ABOUT = {"calibration_intercept": 2e-3, "calibration_slope": 2e-3}


def data(seed=0, n=240, shift=0.0):
    """Images of clustered patients in three groups and none, with ties among the logits."""
    rng = np.random.default_rng(seed)
    patient = np.sort(rng.integers(n // 3, size=n))
    patient = np.unique(patient, return_inverse=True)[1]
    y = (rng.random(n) < 0.35).astype(int)
    a = rng.integers(-1, 3, size=n)
    logit = (1.5 * y + rng.normal(size=n) * 1.5 + shift).round(1)
    return Sample(y, a, patient, 3), logit


def by_hand(sample, logit, drawn):
    """The scores of the images as they are drawn, (names, G)."""
    rows = np.repeat(np.arange(len(logit)), drawn[sample.patient])
    found = evaluate(logit[rows], sample.y[rows], sample.a[rows], NAMES)["groups"]
    return np.array([[found[group][name] for group in NAMES] for name in (*RATES, *SCORES)])


@pytest.mark.parametrize("shift", [0.0, -3.0])
def test_each_draw_is_that_of_repeated_images(shift):
    sample, logit = data(shift=shift)
    found = redrawn(sample, [logit], reader(sample), seed=7, draws=40)[0].reshape(-1, 3, 40)
    weights = _weights(np.random.default_rng(7), sample.patients, 40)
    for draw in range(40):
        expected = by_hand(sample, logit, weights[:, draw])
        for at, name in enumerate((*RATES, *SCORES)):
            about = ABOUT.get(name, 1e-6)  # single precision
            np.testing.assert_allclose(found[at, :, draw], expected[at], rtol=0, atol=about, err_msg=name)


def test_a_draw_without_a_class_and_classes_apart_are_undefined():
    """Patient 0 has the only negative of group 0; in group 1 the classes are apart; group 2 has one class."""
    y = np.array([0, 1, 1, 0, 0, 1, 1, 1])
    a = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    logit = np.array([0.5, 1.0, -1.0, -1.0, -0.5, 0.5, 1.0, 0.0])
    sample = Sample(y, a, np.arange(8), 3)
    found = redrawn(sample, [logit], reader(sample), seed=0, draws=200)[0].reshape(-1, 3, 200)
    weights, scores = _weights(np.random.default_rng(0), 8, 200), dict(zip((*RATES, *SCORES), found, strict=True))
    lacking = (weights[0] == 0) | (weights[1] + weights[2] == 0)
    for name in ("auprc", "sensitivity_at_specificity", "calibration_intercept"):
        assert (np.isnan(scores[name][0]) == lacking).all()
    assert np.isnan(scores["calibration_slope"][1]).all()
    assert np.isnan(scores["auprc"][2]).all()
    assert np.isnan(scores["auc"][2]).all()
    assert (np.isnan(scores["brier"][2]) == (weights[7] == 0)).all()
    assert np.nanmax(np.abs(scores["brier"][2] - 0.25)) < 1e-12


def test_a_constant_score_has_an_intercept_and_no_slope():
    sample, _ = data()
    found = redrawn(sample, [np.zeros(len(sample.y))], reader(sample), seed=0, draws=5)[0].reshape(-1, 3, 5)
    scores = dict(zip((*RATES, *SCORES), found, strict=True))
    assert np.isnan(scores["calibration_slope"]).all()
    assert np.isfinite(scores["calibration_intercept"]).all()


def test_rates_at_a_tuned_threshold():
    sample, logit = data()
    (found,) = redrawn(sample, [logit], rates, seed=3, scores=[0.8], draws=4)
    weights = _weights(np.random.default_rng(3), sample.patients, 4)[sample.patient]
    above = logit > np.log(4)
    for group in range(3):
        for at, of in enumerate(
            (sample.a == group, (sample.a == group) & (sample.y == 1), (sample.a == group) & (sample.y == 0))
        ):
            expected = (weights * (of & above)[:, None]).sum(axis=0) / (weights * of[:, None]).sum(axis=0)
            np.testing.assert_allclose(found[3 * at + group], expected)
