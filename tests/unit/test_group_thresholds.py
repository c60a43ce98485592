"""GroupThresholds (Hardt et al. 2016): its thresholds against brute force, fairlearn and a hand example."""

import dataclasses
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import roc_auc_score

from bench.api import NO_GROUP, Question
from bench.checks.subject import random_split, trained_net
from bench.errors import EmptyGroup
from bench.learn.predict import predict
from bench.learn.wrappers import GroupShift
from bench.methods.group_thresholds import GroupThresholds, best_common, equalised
from bench.running.compute_cell import codes_of
from bench.running.plan import method_specs
from tests.unit.fits import fit


def drawn(seed, n=24):
    """Logits with ties, labels and groups in which each group has both classes."""
    rng = np.random.default_rng(seed)
    y, a = np.arange(n) % 2, np.arange(n) // 2 % 2
    z = np.round(rng.normal(y * (1 + a) + 0.7 * a, 1.2), 1)
    return (
        torch.tensor(values, dtype=kind) for values, kind in ((z, torch.float32), (y, torch.float32), (a, torch.long))
    )


def measured(z, y, a, thresholds):
    """|dTPR| + |dFPR| and balanced accuracy at a threshold for each group, from the definition."""
    positive = np.array([logit > thresholds[group] for logit, group in zip(z.tolist(), a.tolist(), strict=True)])
    y, a = y.numpy(), a.numpy()
    rates = {(g, c): positive[(a == g) & (y == c)].mean() for g in (0, 1) for c in (0, 1)}
    gap = abs(rates[0, 1] - rates[1, 1]) + abs(rates[0, 0] - rates[1, 0])
    return round(gap, 12), round((positive[y == 1].mean() + 1 - positive[y == 0].mean()) / 2, 12)


def every(z):
    """A threshold below, between and above all logits."""
    values = sorted(set(z.tolist()))
    return [values[0] - 1, *((low + high) / 2 for low, high in pairwise(values)), values[-1] + 1]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("drop", [0.0, 0.05, 1.0])
def test_no_pair_of_thresholds_is_better(seed, drop):
    z, y, a = drawn(seed)
    common, best = best_common(z, y, 1000)
    accuracies = [measured(z, y, a, (t, t))[1] for t in every(z)]
    assert best == pytest.approx(max(accuracies))
    assert measured(z, y, a, (common, common))[1] == max(accuracies)
    pairs = [measured(z, y, a, pair) for pair in product(every(z[a == 0]), every(z[a == 1]))]
    allowed = [(gap, accuracy) for gap, accuracy in pairs if accuracy >= best - drop - 1e-9]
    gap = min(gap for gap, _ in allowed)
    found = equalised(z, y, a, drop, 1000)
    assert (found.gap, found.accuracy) == pytest.approx((gap, max(acc for other, acc in allowed if other == gap)))
    assert measured(z, y, a, found.thresholds) == pytest.approx((found.gap, found.accuracy))


class Given(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose score is its first column."""

    def fit(self, x, y):
        self.classes_, self.fitted_ = np.unique(y), True
        return self

    def predict(self, x):
        return x[:, 0]


def test_where_the_curves_meet_it_decides_as_fairlearn():
    """Group 1 has the logits of group 0 plus 2: equal odds are reached by fixed thresholds, and nothing is drawn by lot."""
    rng = np.random.default_rng(0)
    y0 = np.arange(50) % 2  # 25 negatives: false positive rates are on the grid of fairlearn
    z0 = rng.normal(1.5 * y0, 1)
    z, y, a = np.concatenate([z0, z0 + 2]), np.concatenate([y0, y0]), np.repeat([0, 1], 50)
    theirs = ThresholdOptimizer(
        estimator=Given(), constraints="equalized_odds", objective="balanced_accuracy_score", predict_method="predict"
    )
    theirs.fit(z[:, None], y, sensitive_features=a)
    certain = theirs._pmf_predict(z[:, None], sensitive_features=a)[:, 1]
    assert set(certain) == {0.0, 1.0}
    tensors = torch.tensor(z, dtype=torch.float32), torch.tensor(y), torch.tensor(a)
    found = equalised(*tensors, 0.02, 1000)
    ours = z > np.array(found.thresholds)[a]
    assert found.gap == 0
    assert ours.tolist() == (certain == 1).tolist()
    assert found.thresholds[1] - found.thresholds[0] == pytest.approx(2, abs=1e-5)


def test_by_hand():
    """Group 0 separates at 0, group 1 at 10; a common threshold gets three of four groups and classes right at best."""
    z = torch.tensor([-1.0, 1, 9, 11])
    y, a = torch.tensor([0.0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    assert best_common(z, y, 1000) == (0.0, 0.75)
    assert equalised(z, y, a, 0.0, 1000) == (0.0, (0.0, 10.0), 0.0, 1.0)
    with pytest.raises(EmptyGroup):
        equalised(z, torch.tensor([0.0, 1, 1, 1]), a, 0, 1000)


def test_the_model_shifts_logits_and_leaves_ranks_within_groups():
    run, model = fit(GroupThresholds(accuracy_drop=0.1), net=trained_net(), gap=True)
    split = random_split("val", gap=True)
    before, after = predict(run.model, split), predict(model, split, grouped=True)
    thresholds, common = run.facts["thresholds"], run.facts["common"]
    assert thresholds[0] != thresholds[1]
    for group in (0, 1):
        at = split.a == group
        assert roc_auc_score(split.y[at], after[at]) == roc_auc_score(split.y[at], before[at])
        assert torch.equal(after[at] > 0, before[at] > thresholds[group])
    assert measured(after, split.y, split.a, (0, 0)) == pytest.approx((run.facts["gap"], run.facts["accuracy"]))
    split.a = torch.full_like(split.a, NO_GROUP)
    assert torch.equal(predict(model, split, grouped=True) > 0, before > common)


def test_a_batch_in_parts_takes_the_groups_of_each_part(monkeypatch):
    split = random_split("val", gap=True)
    model = GroupShift(trained_net(), torch.tensor([1.0, -1.0, 0.0]))
    whole = predict(model, split, grouped=True)
    from bench.learn import predict as module

    monkeypatch.setattr(module, "run_in_chunks", lambda net, n, work, **_: work(7))
    torch.testing.assert_close(predict(model, split, grouped=True), whole)


def test_it_stands_outside_of_all_and_is_defined_on_two_groups():
    assert "group_thresholds" not in method_specs("all")
    assert method_specs("all,group-thresholds")[-1] == "group_thresholds"
    assert GroupThresholds().undefined(Question(3))
    fields = {"title": "x", "uses": frozenset({"external"}), "needs_attribute": True, "fit": None}
    reads_external = type("ReadsExternal", (GroupThresholds,), fields)
    assert "is given the group" in dataclasses.replace(reads_external()).undefined(Question(3))


def test_groups_without_an_order_have_the_code_that_methods_saw():
    assert codes_of(("north", "south"), "north") == (1, 0)
    assert codes_of(("north", "south"), None) == (0, 1)
    assert codes_of(("a", "b", "c"), "a") == (0, 1, 2)
