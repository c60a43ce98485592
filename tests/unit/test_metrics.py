"""Metrics: hand values, invariances, what is undefined; oracles stand in test_oracles_metrics.py."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from fairlearn.metrics import equalized_odds_difference
from sklearn.metrics import brier_score_loss, roc_auc_score

from bench import listing
from bench.errors import DataInvalid, NonFinite, UnknownName
from bench.reporting.numbers import ranking, suppression
from bench.reporting.numbers.ranking import Row
from bench.scoring import definitions, of_scores
from bench.scoring.definitions import METRICS
from bench.scoring.metrics import evaluate
from tests import factory

NAMES = ("light", "dark")
WITHOUT_GROUPS = {"auc", *of_scores.OF_GROUPS}


def by_hand(*groups: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of +1 and -1, labels and groups from (TP, FN, FP, TN) per group."""
    logit = np.concatenate([np.repeat([1.0, -1.0, 1.0, -1.0], counts) for counts in groups])
    y = np.concatenate([np.repeat([1, 1, 0, 0], counts) for counts in groups])
    a = np.repeat(np.arange(len(groups)), [sum(counts) for counts in groups])
    return logit, y, a


def drawn(seed: int, groups: int = 2, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random data in which each group has both classes and many logits are tied."""
    rng = np.random.default_rng(seed)
    a = np.concatenate([np.repeat(np.arange(groups), 2), rng.integers(0, groups, n)])
    y = np.concatenate([np.tile([0, 1], groups), rng.integers(0, 2, n)])
    logit = np.round(rng.normal(0.4 * y - 0.3 * a, 1), rng.integers(0, 4))
    return logit, y, a


def flat(scores: dict) -> dict[str, float]:
    return {name: scores[name] for name in METRICS}


def same(left: dict, right: dict, *names: str) -> None:
    for name in names or METRICS:
        assert left[name] == pytest.approx(right[name], abs=1e-12, nan_ok=True), name


def test_hand_values() -> None:
    scores = evaluate(*by_hand((6, 4, 1, 9), (4, 6, 3, 7)), NAMES, 0.2)
    expected = {"spd": 0, "eodds": 0.2, "eodds_max": 0.2, "eodds_sum": 0.4, "eodds_signed": 0, "eopp": 0.2}
    for name, value in {
        **expected,
        "tpr_gap": 0.2,
        "fpr_gap": -0.2,
        "min_auc": 0.55,
        "gap_auc": 0.2,
        "min_tpr": 0.4,
    }.items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name
    assert (scores["n"], scores["degenerate"]) == (40, False)
    assert scores["groups"]["light"] == pytest.approx(
        {"n": 20, "positives": 10, "negatives": 10, "true_positives": 6, "false_positives": 1}
        | {"selection_rate": 0.35, "tpr": 0.6, "fpr": 0.1, "auc": 0.75}
        | {
            "calibration_error": (6 - 7 * 0.7310586 + 4 - 13 * 0.2689414) / 20,
            "selection_rate_tuned_threshold": 1,
            "tpr_tuned_threshold": 1,
            "fpr_tuned_threshold": 1,
            **{name: scores["groups"]["light"][name] for name in of_scores.OF_GROUPS},  # tests/unit/test_of_scores.py
        }
    )
    assert scores["groups"]["dark"]["true_positives"] == 4
    assert scores["groups"]["dark"]["false_positives"] == 3


def test_a_score_of_exactly_one_half_is_negative() -> None:
    scores = evaluate(np.array([0.0, -0.0, 1e-30, 0.0]), np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1]), NAMES)
    assert [scores["groups"][name]["tpr"] for name in NAMES] == [0, 1]


@pytest.mark.parametrize("seed", range(10))
def test_invariances(seed: int) -> None:
    logit, y, a = drawn(seed)
    logit = np.where(logit == 0, 0.5, logit)  # at exactly 0 a flip of the sign is no flip of the prediction
    scores = evaluate(logit, y, a, NAMES, 0.4)
    flipped = evaluate(-logit, 1 - y, a, NAMES)
    same(flipped, scores, "auc", "spd", "eodds", "eodds_max", "eodds_sum", "eodds_signed", "min_auc", "gap_auc")
    assert flipped["tpr_gap"] == pytest.approx(scores["fpr_gap"] * -1)
    swapped = evaluate(logit, y, 1 - a, NAMES, 0.4)
    same(swapped, scores, *(name for name in METRICS if name not in ("tpr_gap", "fpr_gap")))
    assert swapped["tpr_gap"] == -scores["tpr_gap"]
    order = np.random.default_rng(seed).permutation(len(y))
    assert evaluate(logit[order], y[order], a[order], NAMES, 0.4) == scores
    same(evaluate(np.tile(logit, 3), np.tile(y, 3), np.tile(a, 3), NAMES, 0.4), scores)
    assert evaluate(logit.astype(np.float32), y.astype(np.float32), a.astype(np.int8), NAMES)["auc"] == scores["auc"]


def test_missing_positives_are_nan_where_fairlearn_gives_a_gap() -> None:
    logit, y, a = by_hand((6, 4, 1, 9), (0, 0, 1, 9))
    scores = evaluate(logit, y, a, NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert equalized_odds_difference(y, logit > 0, sensitive_features=a) == pytest.approx(0.6)
    assert all(math.isnan(scores[name]) for name in ("eodds", "eodds_max", "eodds_sum", "eodds_signed", "eopp"))
    assert math.isnan(scores["groups"]["dark"]["tpr"])
    assert math.isnan(scores["groups"]["dark"]["auc"])
    assert scores["groups"]["dark"]["positives"] == 0
    assert scores["spd"] == pytest.approx(0.25)
    assert scores["fpr_gap"] == 0
    assert (scores["min_auc"], math.isnan(scores["gap_auc"])) == (0.75, True)


def test_images_without_a_group_by_hand() -> None:
    """Four images of two groups, ranked without an error, and a negative of no known group above all of them."""
    logit, y = np.array([-1.0, 1.0, -2.0, 2.0, 3.0]), np.array([0, 1, 0, 1, 0])
    scores = evaluate(logit, y, np.array([0, 0, 1, 1, -1]), NAMES, 0.9)
    assert scores["auc"] == pytest.approx(4 / 6), "the negative is above both positives: 4 of 6 pairs are right"
    assert (scores["n"], scores["positives"]) == (5, 2)
    assert (scores["min_auc"], scores["gap_auc"], scores["spd"], scores["eodds"]) == (1, 0, 0, 0)
    assert [scores["groups"][name]["n"] for name in NAMES] == [2, 2]
    assert [scores["groups"][name]["false_positives"] for name in NAMES] == [0, 0]
    assert [scores["groups"][name]["fpr_tuned_threshold"] for name in NAMES] == [0, 0]
    assert list(scores["groups"]) == list(NAMES), "not knowing is no group"


def test_degenerate_is_over_all_images() -> None:
    """The two groups are predicted positive; only the image without a group is not."""
    logit, y, a = np.array([1.0, 2, 3, 4, -1]), np.array([0, 1, 0, 1, 0]), np.array([0, 0, 1, 1, -1])
    scores = evaluate(logit, y, a, NAMES, 0.6)
    assert (scores["degenerate"], scores["degenerate_tuned_threshold"]) == (False, False)
    grouped = evaluate(logit[:4], y[:4], a[:4], NAMES, 0.6)
    assert (grouped["degenerate"], grouped["degenerate_tuned_threshold"]) == (True, True)


@pytest.mark.parametrize("seed", range(6))
def test_images_without_a_group_count_in_the_auc_of_scikit_learn_and_in_nothing_else(seed: int) -> None:
    groups = 2 + seed % 2
    logit, y, a = drawn(seed, groups)
    known = np.random.default_rng(seed).random(len(y)) < 0.7
    known[: 2 * groups] = True
    names = [f"g{g}" for g in range(groups)]
    scores = evaluate(logit, y, np.where(known, a, -1), names, 0.4)
    alone = evaluate(logit[known], y[known], a[known], names, 0.4)
    assert scores["auc"] == pytest.approx(roc_auc_score(y, logit))
    assert scores["auc"] != alone["auc"]
    assert (scores["n"], scores["positives"]) == (len(y), y.sum())
    assert scores["groups"] == alone["groups"]
    for name, metric in METRICS.items():
        assert metric.needs_attribute == (name not in WITHOUT_GROUPS)
        assert name in WITHOUT_GROUPS or scores[name] == pytest.approx(alone[name], nan_ok=True, abs=0), name


def test_a_set_none_of_whose_images_has_a_group_has_an_auc() -> None:
    scores = evaluate(np.array([-1.0, 1.0]), np.array([0, 1]), np.array([-1, -1]), NAMES, 0.5)
    assert scores["auc"] == 1
    assert all(math.isnan(scores[name]) for name in METRICS if name not in WITHOUT_GROUPS)


def test_an_absent_group_or_class_is_nan_without_a_warning() -> None:
    scores = evaluate(np.array([1.0, -1.0]), np.array([1, 0]), np.array([0, 0]), NAMES)
    assert math.isnan(scores["spd"])
    assert scores["groups"]["dark"]["n"] == 0
    one_class = evaluate(np.array([1.0, -1.0]), np.array([1, 1]), np.array([0, 1]), NAMES)
    assert math.isnan(one_class["auc"])
    assert one_class["eopp"] == 1
    assert math.isnan(one_class["eodds"])
    assert all(math.isnan(value) for value in flat(evaluate(np.empty(0), np.empty(0), np.empty(0), NAMES)).values())


def test_ranges_over_three_groups() -> None:
    scores = evaluate(*by_hand((9, 1, 2, 8), (5, 5, 4, 6), (6, 4, 1, 9)), ("a", "b", "c"))
    assert scores["eopp"] == pytest.approx(0.4)
    assert scores["eodds"] == pytest.approx(0.35)
    assert scores["spd"] == pytest.approx(0.2)


@pytest.mark.parametrize(("sign", "expected"), [(1, True), (-1, True), (0, False)])
def test_degenerate(sign: int, expected: bool) -> None:
    logit = np.array([1.0, -1.0, 2.0, -2.0]) if sign == 0 else sign * np.array([1.0, 2.0, 3.0, 4.0])
    assert evaluate(logit, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), NAMES)["degenerate"] is expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_raises(value: float) -> None:
    with pytest.raises(NonFinite, match="1 of 2"):
        evaluate(np.array([0.0, value]), np.array([0, 1]), np.array([0, 1]), NAMES)


@pytest.mark.parametrize(
    ("y", "a", "names"),
    [
        ([0, 2], [0, 1], NAMES),
        ([0, np.nan], [0, 1], NAMES),
        ([0, 1], [0, 2], NAMES),
        ([0, 1], [-2, 0], NAMES),
        ([0, 1, 1], [0, 1, 1], NAMES),
        ([0, 1], [0, 1], ("one",)),
        ([0, 1], [0, 1], ("one", "one")),
    ],
)
def test_data_outside_their_range_raise(y: list, a: list, names: tuple[str, ...]) -> None:
    with pytest.raises(DataInvalid):
        evaluate(np.array([0.0, 1.0]), np.array(y), np.array(a), names)


def test_scores_survive_json() -> None:
    scores = evaluate(*by_hand((6, 4, 1, 9), (0, 0, 1, 9)), NAMES, 0.2)
    again = json.loads(json.dumps(scores))
    same(again, scores)
    assert again["groups"]["light"] == scores["groups"]["light"]
    assert again["degenerate"] is False


def test_the_table_of_metrics_names_what_evaluate_returns() -> None:
    scores = evaluate(*by_hand((6, 4, 1, 9), (4, 6, 3, 7)), NAMES)
    others = {"n", "positives", "degenerate", "degenerate_tuned_threshold", "tuned_threshold", "groups"}
    assert set(METRICS) == set(scores) - others
    up = {name for name, entry in METRICS.items() if entry.direction == "up"}
    more = {"auprc", "net_benefit", "sensitivity_at_specificity"}
    assert up == {"auc", "min_auc", "min_tpr", "min_tpr_tuned_threshold", *more}
    assert definitions.metric("auc").title == "AUC"
    with pytest.raises(UnknownName, match="eodds"):
        definitions.metric("eods")


@pytest.fixture
def brier() -> Iterator[None]:
    @definitions.define("Squared", "error", "down", threshold="none", needs_attribute=False)
    def squared(of: definitions.Scored) -> float:
        """Mean squared difference of score and label.

        mean_i (p_i - y_i)^2
        """
        return float(np.mean((1 / (1 + np.exp(-of.logit)) - of.y) ** 2))

    yield
    del METRICS["squared"]


@pytest.mark.usefixtures("brier")
def test_a_metric_is_one_function_and_everything_else_reads_it_from_there() -> None:
    logit, y, a = np.array([2.0, -1.0, 0.5, 0.25]), np.array([1, 0, 0, 1]), np.array([0, 0, 1, 1])
    scores = evaluate(logit, y, a, NAMES)
    assert scores["squared"] == pytest.approx(brier_score_loss(y, 1 / (1 + np.exp(-logit))))
    assert "  squared  " in listing.show("metrics", None)
    assert listing.show("metrics", "squared").splitlines()[1:] == [
        "  formula    mean_i (p_i - y_i)^2",
        "             lower is better",
        "  threshold  none",
        "  version    1",
    ]
    info = SimpleNamespace(min_cell=2, overlaps=())
    cells = [factory.record("swift", 0, scores={"near": factory.scores({"light": (9, 1), "dark": (9, 9)})})]
    assert set(METRICS) - suppression.suppressed(cells, info)["near"] == {"auc", "squared"}  # type: ignore[arg-type]


@pytest.mark.usefixtures("brier")
@pytest.mark.parametrize(
    ("metric", "excluded"), [("eodds", "degenerate"), ("max_calibration_error", "degenerate"), ("squared", "")]
)
def test_what_lower_is_better_for_need_not_be_a_gap(metric: str, excluded: str) -> None:
    known = {"backbone": "small", "method": "a", "label": "a", "spec": "a", "row": 1, "set": "near", "values": {0: 0.1}}
    row = Row(**known, metric=metric, mean=0.1, std=0.0, n=1, degenerate=1)  # type: ignore[arg-type]
    assert [one.excluded for one in ranking.excluding([row])] == [excluded]


def test_kinds_tell_gaps_from_scores_and_errors() -> None:
    assert {name for name, metric in METRICS.items() if metric.kind != "gap"} == {
        "auc",
        "min_auc",
        "min_tpr",
        "min_tpr_tuned_threshold",
        "max_calibration_error",
        *of_scores.OF_GROUPS,
    }
