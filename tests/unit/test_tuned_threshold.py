"""The threshold tuned on validation, calibration errors and worst rates: by hand, and against other code."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, demographic_parity_difference, equalized_odds_difference
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, recall_score

from bench.scoring.definitions import METRICS, VERSION, current
from bench.scoring.metrics import evaluate, score_sets
from bench.scoring.threshold import logit_of, tune_threshold

NAMES = ("younger", "older")


def scores_at(*values: float) -> np.ndarray:
    return np.array([logit_of(value) for value in values])


def drawn(seed: int, groups: int = 2, n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random data in which each group has both classes."""
    rng = np.random.default_rng(seed)
    a = np.concatenate([np.repeat(np.arange(groups), 2), rng.integers(0, groups, n)])
    y = np.concatenate([np.tile([0, 1], groups), rng.integers(0, 2, n)])
    return rng.normal(0.8 * y - 0.5 * a - 0.7, 1.5), y, a


@pytest.mark.parametrize(
    ("values", "y", "expected"),
    [
        ((0.1, 0.305, 0.5), (0, 1, 1), 0.1),  # 0.1 is not above 0.1
        ((0.104, 0.305, 0.5), (0, 1, 1), 0.11),
        ((0.9, 0.2), (0, 1), 0.0),  # nothing beats predicting one class: the first of the grid
        ((0.205, 0.405, 0.605, 0.805), (0, 1, 0, 1), 0.21),  # 0.61 is as good, and later
        ((0.005, 0.995), (0, 1), 0.01),
    ],
)
def test_the_threshold_is_the_first_score_of_the_grid_with_the_highest_balanced_accuracy(
    values: tuple[float, ...], y: tuple[int, ...], expected: float
) -> None:
    assert tune_threshold(scores_at(*values), np.array(y)) == expected


@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 1)), min_size=1, max_size=30))
def test_the_threshold_as_by_trying_all(rows: list[tuple[int, int]]) -> None:
    logit, y = np.array([row[0] / 8 for row in rows]), np.array([row[1] for row in rows])
    found = tune_threshold(logit, y)
    if y.min() == y.max():
        assert math.isnan(found)
        return
    grid = [step / 100 for step in range(101)]

    def accuracy(score: float) -> Fraction:
        predicted = logit > logit_of(score)
        one, other = (Fraction(int((predicted[y == c] == c).sum()), int((y == c).sum())) for c in (0, 1))
        return (one + other) / 2

    best = max(map(accuracy, grid))
    assert found == next(score for score in grid if accuracy(score) == best)
    assert balanced_accuracy_score(y, logit > logit_of(found)) == pytest.approx(float(best))


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_gaps_as_fairlearn_at_the_threshold_of_validation(seed: int, groups: int) -> None:
    sets = {"val": drawn(seed, groups), "near": drawn(seed + 100, groups)}
    names = [f"g{g}" for g in range(groups)]
    threshold = tune_threshold(*sets["val"][:2])
    assert threshold != 0.5
    for name, scores in score_sets(sets, names).items():
        logit, y, a = sets[name]
        predicted = logit > logit_of(threshold)
        assert scores["tuned_threshold"] == threshold
        expected = demographic_parity_difference(y, predicted, sensitive_features=a)
        assert scores["spd_tuned_threshold"] == pytest.approx(expected, abs=1e-12)
        expected = equalized_odds_difference(y, predicted, sensitive_features=a, agg="mean")
        assert scores["eodds_tuned_threshold"] == pytest.approx(expected, abs=1e-12)
        for metric, positive in (("min_tpr", logit > 0), ("min_tpr_tuned_threshold", predicted)):
            frame = MetricFrame(metrics=recall_score, y_true=y, y_pred=positive, sensitive_features=a)
            assert scores[metric] == pytest.approx(frame.group_min(), abs=1e-12)
        assert [scores["groups"][g]["tpr_tuned_threshold"] for g in names] == pytest.approx(
            [recall_score(y[a == g], predicted[a == g]) for g in range(groups)], abs=1e-12
        )


def test_the_threshold_comes_from_validation_images_alone() -> None:
    val, near = drawn(1), drawn(2)
    one = score_sets({"val": val, "near": near}, NAMES)
    other = score_sets({"near": (near[0] + 3, near[1], near[2]), "val": val}, NAMES)
    assert one["val"] == other["val"]
    assert one["near"]["tuned_threshold"] == other["near"]["tuned_threshold"]
    assert score_sets({"val": (val[0] + 3, *val[1:]), "near": near}, NAMES)["near"][
        "spd_tuned_threshold"
    ] != pytest.approx(one["near"]["spd_tuned_threshold"])


def test_at_a_tuned_half_the_tuned_metrics_are_the_fixed_ones() -> None:
    scores = evaluate(*drawn(3), NAMES, 0.5)
    assert [scores[f"{name}_tuned_threshold"] for name in ("spd", "eodds", "min_tpr")] == [
        scores[name] for name in ("spd", "eodds", "min_tpr")
    ]


def test_one_class_at_half_need_not_be_one_class_at_the_tuned_threshold() -> None:
    logit, y, a = scores_at(0.1, 0.2, 0.1, 0.2), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    scores = score_sets({"val": (logit, y, a)}, NAMES)["val"]
    assert (scores["degenerate"], scores["degenerate_tuned_threshold"]) == (True, False)
    assert (scores["min_tpr"], scores["min_tpr_tuned_threshold"]) == (0, 1)


def test_without_a_class_in_validation_all_that_is_tuned_is_undefined() -> None:
    logit, y, a = drawn(4)
    scores = score_sets({"val": (logit, np.ones_like(y), a), "near": (logit, y, a)}, NAMES)["near"]
    tuned = [name for name, metric in METRICS.items() if metric.threshold == "tuned"]
    assert len(tuned) == 3
    assert all(math.isnan(scores[name]) for name in tuned)
    assert not scores["degenerate_tuned_threshold"]
    assert not math.isnan(scores["spd"])


def test_calibration_errors_by_hand() -> None:
    # younger: 0.25 and 0.25 share a bin, one of them ill: |1 - 0.5| / 3; 0.85, healthy: 0.85 / 3. older: 0.7, ill.
    logit = scores_at(0.25, 0.25, 0.85, 0.7)
    scores = evaluate(logit, np.array([1, 0, 0, 1]), np.array([0, 0, 0, 1]), NAMES)
    found = [scores["groups"][name]["calibration_error"] for name in NAMES]
    assert found == pytest.approx([(0.5 + 0.85) / 3, 0.3])
    assert scores["max_calibration_error"] == pytest.approx(0.45)
    assert scores["gap_calibration_error"] == pytest.approx(0.15)


def test_a_group_without_images_has_no_calibration_error_and_extreme_logits_have_one() -> None:
    scores = evaluate(np.array([900.0, -900.0]), np.array([1, 0]), np.array([0, 0]), NAMES)
    assert scores["groups"]["younger"]["calibration_error"] == 0
    assert math.isnan(scores["max_calibration_error"])
    assert math.isnan(scores["gap_calibration_error"])


@pytest.mark.parametrize("seed", range(8))
def test_calibration_errors_as_scikit_learn(seed: int) -> None:
    logit, y, a = drawn(seed, 3)
    scores = evaluate(logit, y, a, ("a", "b", "c"))
    expected = []
    for g in range(3):
        score = 1 / (1 + np.exp(-logit[a == g]))
        happened, said = calibration_curve(y[a == g], score, n_bins=10)
        images = np.bincount(np.digitize(score, np.linspace(0, 1, 11)[1:-1], right=True))
        expected.append(float(np.average(np.abs(happened - said), weights=images[images > 0])))
    assert [group["calibration_error"] for group in scores["groups"].values()] == pytest.approx(expected, abs=1e-12)


def test_a_worst_rate_is_undefined_where_a_group_has_no_positives() -> None:
    scores = evaluate(np.array([1.0, -1, 1, -1]), np.array([1, 0, 0, 0]), np.array([0, 0, 1, 1]), NAMES, 0.3)
    assert math.isnan(scores["min_tpr"])
    assert math.isnan(scores["min_tpr_tuned_threshold"])


def test_a_record_holds_as_defined_today_what_is_not_newer_than_its_version() -> None:
    assert current("auc", 1)
    assert not current("min_tpr", 1)
    assert all(current(name, VERSION) for name in METRICS)
    assert not current("auc", VERSION + 1), "of another bench, whatever it says"
