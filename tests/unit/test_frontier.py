"""Thresholds under a bound on EOdds, against brute force, fairlearn and error-parity."""

from itertools import product

import numpy as np
import pytest
import torch
from fairlearn.postprocessing import ThresholdOptimizer

from bench.scoring.frontier import candidates, chosen, decided, eodds
from tests.unit.test_group_thresholds import Given, drawn, every, measured

BOUNDS = (0.0, 0.05, 0.1, 0.3, 1.0)


def arrays(seed, n=24):
    return [one.numpy() for one in drawn(seed, n)]


def specificity(z, y, a, pair):
    return np.mean(z[y == 0] <= np.array(pair)[a[y == 0]])


def sensitivity(z, y, a, pair):
    return np.mean(z[y == 1] > np.array(pair)[a[y == 1]])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("each", [True, False])
def test_no_rule_under_the_bound_is_better(seed, each):
    z, y, a = arrays(seed)
    tensors = torch.tensor(z), torch.tensor(y), torch.tensor(a)
    pairs = (
        list(product(every(tensors[0][a == 0]), every(tensors[0][a == 1])))
        if each
        else [(t, t) for t in every(tensors[0])]
    )
    known = [(*measured(*tensors, pair), pair) for pair in pairs]
    for bound, found in zip(BOUNDS, chosen(z, y, a, BOUNDS, each=each), strict=True):
        gap, accuracy = measured(*tensors, found)
        assert gap / 2 <= bound + 1e-9
        assert accuracy == pytest.approx(max(one for gap, one, _ in known if gap / 2 <= bound + 1e-9))
    for bound, found in zip(BOUNDS, chosen(z, y, a, BOUNDS, each=each, specificity=0.8), strict=True):
        allowed = [
            sensitivity(z, y, a, pair)
            for gap, _, pair in known
            if gap / 2 <= bound + 1e-9 and specificity(z, y, a, pair) >= 0.8 - 1e-9
        ]
        assert specificity(z, y, a, found) >= 0.8
        assert sensitivity(z, y, a, found) == pytest.approx(max(allowed))
    assert seed != 1 or len(set(map(tuple, chosen(z, y, a, BOUNDS, each=each).tolist()))) > 1, "bounds bind"


def test_by_hand():
    """Group 0 separates at 0, group 1 at 10: only two thresholds decide all rightly."""
    z, y, a = np.array([-1.0, 1, 9, 11]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    (pair,) = chosen(z, y, a, [0.0], each=True)
    assert pair.tolist() == [0.0, 10.0]
    decisions = decided(z, a, pair[None])
    assert decisions.tolist() == [[False, True, False, True]]
    assert eodds(decisions, y, a).tolist() == [0.0]
    loose, strict = chosen(z, y, a, [1.0, 0.0], each=False)
    assert eodds(decided(z, a, loose[None]), y, a) == [0.5]
    assert np.isinf(strict).all(), "one threshold has equal odds only where all are predicted alike"
    assert np.isnan(chosen(z, np.array([0, 1, 1, 1]), a, BOUNDS, each=True)).all()


def test_many_images_get_steps_of_equal_rank_and_both_ends():
    found = candidates(np.arange(10_001.0), 100)
    assert len(found) == 102
    assert np.isinf(found[[0, -1]]).all()
    assert set(np.diff(found[1:-1]).round()) == {101.0}


def test_images_without_a_group_are_left_out():
    z, y, a = arrays(1)
    rule = chosen(z, y, a, BOUNDS, each=False)
    more = np.append(z, [5.0, -5.0]), np.append(y, [0, 1]), np.append(a, [-1, -1])
    assert np.array_equal(chosen(*more, BOUNDS, each=False), rule)


def test_where_the_curves_meet_it_decides_as_fairlearn():
    rng = np.random.default_rng(0)
    y0 = np.arange(50) % 2
    z0 = rng.normal(1.5 * y0, 1)
    z, y, a = np.concatenate([z0, z0 + 2]), np.concatenate([y0, y0]), np.repeat([0, 1], 50)
    theirs = ThresholdOptimizer(
        estimator=Given(), constraints="equalized_odds", objective="balanced_accuracy_score", predict_method="predict"
    )
    theirs.fit(z[:, None], y, sensitive_features=a)
    certain = theirs._pmf_predict(z[:, None], sensitive_features=a)[:, 1]
    (ours,) = chosen(z, y, a, [0.0], each=True)
    assert decided(z, a, ours[None])[0].tolist() == (certain == 1).tolist()


@pytest.mark.parametrize("bound", [0.02, 0.1, 0.5])
def test_error_parity_which_draws_by_lot_is_at_least_as_good_and_equal_where_the_bound_is_loose(bound):
    """Its tolerance bounds the larger of both gaps, so that twice the bound allows all that ours allows."""
    package = pytest.importorskip("error_parity")
    z, y, a = arrays(5, 2000)
    score = 1 / (1 + np.exp(-z.astype(float)))
    costs = 1 / (y == 0).mean(), 1 / (y == 1).mean()
    theirs = package.RelaxedThresholdOptimizer(
        predictor=lambda x: x[:, 0],
        constraint="equalized_odds",
        tolerance=2 * bound,
        false_pos_cost=costs[0],
        false_neg_cost=costs[1],
    )
    theirs.fit(X=score[:, None], y=y.astype(int), group=a)
    optimum = 1 - theirs.cost(*costs) / 2
    (pair,) = chosen(z, y, a, [bound], each=True)
    _, accuracy = measured(torch.tensor(z), torch.tensor(y), torch.tensor(a), pair)
    assert accuracy <= optimum + 1e-6
    if bound == 0.5:
        assert accuracy == pytest.approx(optimum, abs=0.005)
