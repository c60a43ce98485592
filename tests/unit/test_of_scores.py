"""Metrics of scores against scikit-learn and statsmodels-like regressions, by hand, and by group."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score, brier_score_loss, roc_curve

from bench.errors import UsageError
from bench.scoring import metric_plugins, of_scores
from bench.scoring.definitions import METRICS, define
from bench.scoring.metrics import evaluate


def drawn(seed, n=200, share=0.3):
    """Ascending logits with ties, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < share
    z = np.round(rng.normal(1.5 * y - 1, 1.2), 1)
    order = np.argsort(z, kind="stable")
    return z[order], y[order]


@pytest.mark.parametrize("seed", range(6))
def test_they_are_those_of_reference_implementations(seed):
    z, y = drawn(seed)
    p = 1 / (1 + np.exp(-z))
    assert of_scores.average_precision(z, y) == pytest.approx(average_precision_score(y, z))
    assert of_scores.brier(z, y) == pytest.approx(brier_score_loss(y, p))
    fpr, tpr, _ = roc_curve(y, z, drop_intermediate=False)
    assert of_scores.sensitivity_at(z, y) == pytest.approx(tpr[fpr <= 0.1 + 1e-9].max())

    def loss(w):
        s = w[0] + w[1] * z
        return np.mean(np.logaddexp(0, s) - y * s)

    slope = minimize(loss, [0, 1], tol=1e-12).x[1]
    assert of_scores.calibration_slope(z, y) == pytest.approx(slope, rel=1e-4)
    shift = of_scores.calibration_intercept(z, y)
    assert np.mean(1 / (1 + np.exp(-z - shift))) == pytest.approx(y.mean())
    assert of_scores.calibration_slope(3 * z, y) == pytest.approx(slope / 3, rel=1e-6)
    assert of_scores.calibration_intercept(z + 2, y) == pytest.approx(shift - 2)


def test_net_benefit_by_hand():
    """At a score of 0.1 the logit is -2.197: three of four images are positive, two of them rightly."""
    z, y = np.array([-3.0, -2.0, 0.0, 1.0]), np.array([1, 0, 1, 1])
    assert of_scores.net_benefit(z, y) == pytest.approx((2 - 1 / 9) / 4)
    assert of_scores.net_benefit(np.full(10, 5.0), np.arange(10) < 1) == pytest.approx(0.1 - 0.9 / 9)


def test_what_is_not_defined_is_nan():
    z, one = np.array([-1.0, 0, 1]), np.ones(3)
    for name, function in of_scores.OF_GROUPS.items():
        assert np.isnan(function(np.array([]), np.array([])))
        assert np.isnan(function(z, one)) == (name not in ("brier", "net_benefit"))
    assert np.isnan(of_scores.calibration_slope(z, np.array([0, 0, 1])))
    assert np.isnan(of_scores.calibration_slope(np.zeros(4), np.array([0, 0, 1, 1])))


def test_calibration_in_the_large_is_found_where_newtons_method_leaves_the_interval():
    """Half of the scores are 1, so that the others must become .5 for a mean of .75; all slopes are 0 at first."""
    z, y = np.array([-60.0, -60.0, 60.0, 60.0]), np.array([False, True, True, True])
    assert of_scores.calibration_intercept(z, y) == pytest.approx(60)


@pytest.mark.parametrize("sign", [1, -1])
def test_classes_that_touch_have_no_slope(sign):
    """The likelihood has no maximum where one class ends at the logit at which the other one begins."""
    z, y = np.array([0.0, 1.0, 1.0, 2.0]), np.array([False, False, True, True])
    assert np.isnan(of_scores.calibration_slope(sign * z, y))


def test_each_group_has_that_of_its_images():
    z, y = drawn(0)
    a = np.arange(200) % 2
    found = evaluate(z, y, a, ("x", "y"))
    for name, function in of_scores.OF_GROUPS.items():
        assert found[name] == pytest.approx(function(z, y))
        for group, key in enumerate(("x", "y")):
            assert found["groups"][key][name] == pytest.approx(function(z[a == group], y[a == group]))


class Point:
    """An entry point that does what it is given."""

    name, value = "mine", "mine:metric"

    def __init__(self, load):
        self.load = load


def test_an_installed_package_adds_a_metric_and_a_broken_one_is_said_once(monkeypatch, capsys):
    def load():
        @define("Mean score", "score", None, threshold="none", needs_attribute=False)
        def mean_score(of):
            """The mean score.

            mean p_i
            """
            return float(np.mean(1 / (1 + np.exp(-of.logit))))

    def fail():
        raise ValueError("no")

    monkeypatch.setattr(
        metric_plugins, "entry_points", lambda group: [Point(load), Point(fail)] if group == "bench.metrics" else []
    )
    try:
        metric_plugins.load_metrics()
        z, y = drawn(1)
        assert evaluate(z, y, np.arange(200) % 2, ("x", "y"))["mean_score"] == pytest.approx(
            np.mean(1 / (1 + np.exp(-z)))
        )
        assert "metric plugin mine = mine:metric is left out: ValueError: no" in capsys.readouterr().err
    finally:
        del METRICS["mean_score"]


def test_a_metric_of_a_name_that_is_taken_is_refused():
    def auc(of):
        """Another."""
        return 0.0

    with pytest.raises(UsageError, match="already exists"):
        define("Another", "score", "up")(auc)
