"""The comparators of the last layer as a whole, against their papers' equations and, where installed, their packages."""

import numpy as np
import pytest
import torch

from bench.api import Question
from bench.checks.subject import trained_net
from bench.errors import EmptyGroup, UsageError
from bench.methods.afr import AFR
from bench.methods.dfr import DFR, STRENGTHS, balanced, chosen, refit
from bench.methods.leace import LEACE
from bench.methods.oxonfair import OxonFair, group_head, merged
from bench.running.plan import method_specs
from tests.unit import whole
from tests.unit.fits import fit
from tests.unit.test_group_thresholds import drawn, every, measured

COMPARATORS = ["dfr", "group_dro", "afr", "leace", "ssd", "oxonfair", "group_thresholds"]


def of(split="external"):
    """Features with a column of ones, labels, groups and the head of the tiny network."""
    data, p = whole.split(split), whole.weights(whole.net())
    h = whole.features(p, whole.pixels(data))
    return np.column_stack([h, np.ones(len(h))]), *whole.labels(data), np.append(p[whole.HEAD][0], p[whole.HEAD_BIAS])


def head_of(model):
    return np.append(model.linear.weight.detach().double().numpy()[0], model.linear.bias.item())


def test_everything_is_all_and_the_comparators_in_the_order_of_tables():
    assert method_specs("everything") == [*method_specs("all"), *COMPARATORS]
    assert len(method_specs("all")) == 10


def test_those_of_the_last_layer_need_no_network():
    defined = [name for name in COMPARATORS if not whole_method(name).undefined(Question(vector=True))]
    assert defined == ["dfr", "afr", "leace", "oxonfair", "group_thresholds"]
    for spec in ("group_dro:params=head", "ssd:params=head"):
        assert whole_method(spec).undefined(Question(vector=True)) == ""


def test_with_several_groups_those_that_read_the_groups_of_val_say_so():
    why = {name: whole_method(name).undefined(Question(groups=3)) for name in COMPARATORS}
    assert {name for name in why if why[name]} == {"oxonfair", "group_thresholds"}
    assert "reads the groups of val" in why["oxonfair"]


def whole_method(spec):
    from bench import registry

    return registry.METHODS.build(spec)


# --- DFR -----------------------------------------------------------------------------------------


def l1_logistic(x, y, strength):
    """argmin |w|_1 + C sum of log(1 + exp(-t x w)), bias included in both (liblinear), by proximal gradient descent."""
    x, t = np.column_stack([x, np.ones(len(x))]), 2 * y - 1
    w, step = np.zeros(x.shape[1]), 1 / (strength * np.linalg.norm(x, 2) ** 2 / 4)
    for _ in range(10_000):
        g = -strength * x.T @ (t * whole.sigmoid(-t * (x @ w)))
        w = w - step * g
        w = np.sign(w) * np.maximum(np.abs(w) - step, 0)
    return w


def test_dfr_is_the_mean_of_l1_regressions_on_balanced_subsets():
    x, y, a, _ = of()
    h, method = x[:, :-1], DFR(strength=0.5, refits=3)
    run = whole.run_of(method)
    rng = np.random.default_rng(run.rng("subsets").initial_seed() % 2**63)
    mean, spread, found = h.mean(axis=0), h.std(axis=0), []
    for _ in range(3):
        rows = balanced((2 * a + y).astype(int), rng)
        counts = np.bincount((2 * a[rows] + y[rows]).astype(int))
        assert set(counts) == {min(np.bincount((2 * a + y).astype(int)))}
        rng.integers(2**31)  # the seed of the solver
        w = l1_logistic((h[rows] - mean) / spread, y[rows], 0.5)
        found.append(np.append(w[:-1] / spread, w[-1] - mean / spread @ w[:-1]))
    np.testing.assert_allclose(head_of(method.fit(run)), np.mean(found, axis=0), atol=2e-2)
    assert np.abs(found[0] - found[1]).max() > 0.1, "the subsets differ"


def test_dfr_chooses_the_penalty_by_the_worst_group_and_class_of_a_held_out_half():
    """The label is in a feature of small scale in group 1, which a strong penalty gives up."""
    rng = np.random.default_rng(0)
    y, a = np.arange(200) % 2, np.arange(200) // 2 % 2
    x = np.column_stack([(2 * y - 1) * (a == 0) * 3.0, (2 * y - 1) * (a == 1) * 0.5]) + 0.1 * rng.normal(size=(200, 2))
    assert chosen(x, y, 2 * a + y, np.random.default_rng(0)) == STRENGTHS[0]
    worst = {}
    for strength in STRENGTHS:
        w = refit(x, y, 2 * a + y, strength, np.random.default_rng(0)).weights
        right = (x @ w[:2] + w[2] > 0) == (y == 1)
        worst[strength] = min(right[2 * a + y == one].mean() for one in range(4))
    assert max(worst, key=worst.__getitem__) == STRENGTHS[0] > STRENGTHS[-1]
    assert worst[STRENGTHS[-1]] < worst[STRENGTHS[0]]


def test_dfr_needs_both_classes_in_each_group():
    data = whole.split("external")
    data.y = torch.where(data.a == 1, 1.0, data.y)
    with pytest.raises(EmptyGroup, match="lacks a class"):
        DFR().fit(whole.run_of(DFR(), splits={"external": lambda: data}))


# --- AFR -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 1.8, 6.0])
def test_afr_is_the_descent_of_the_original_on_two_logits(gamma):
    """The original: rate 0.02 and penalty 0.2 on two rows of weights, whose difference is the head of the suite."""
    x, y, _, first = of("val")
    p = np.where(y == 1, whole.sigmoid(x @ first), whole.sigmoid(-x @ first))
    weights = np.exp(-gamma * p) * len(y) / np.where(y == 1, (y == 1).sum(), (y == 0).sum())
    weights /= weights.sum()
    rows = start = np.stack([-first / 2, first / 2])
    target = np.stack([1 - y, y])
    for _ in range(500):
        z = rows @ x.T
        softmax = np.exp(z) / np.exp(z).sum(axis=0)
        rows = rows - 0.02 * (((softmax - target) * weights) @ x + 2 * 0.2 * (rows - start))
    method = AFR(gamma=gamma, lr=0.04, regularisation=0.1)
    np.testing.assert_allclose(head_of(method.fit(whole.run_of(method))), rows[1] - rows[0], rtol=1e-5, atol=1e-6)


def test_afr_reads_no_group():
    swapped = head_of(AFR().fit(whole.run_of(AFR(), swapped=True)))
    other = whole.split("val")
    other.a = torch.zeros_like(other.a)
    same = AFR().fit(whole.run_of(AFR(), splits={"val": lambda: other}))
    assert np.array_equal(head_of(AFR().fit(whole.run_of(AFR()))), head_of(same))
    assert np.array_equal(swapped, head_of(same))


# --- LEACE ---------------------------------------------------------------------------------------


def eraser(h, a):
    """Theorem 4.3: P = I - W^+ P_{W S} W with the whitening W = cov(h)^{-1/2} and S = cov(h, a), by matrices."""
    centred, z = h - h.mean(axis=0), (a - a.mean())[:, None]
    values, vectors = np.linalg.eigh(centred.T @ centred / len(h))
    kept = values > 1e-10 * values.max()
    root = np.where(kept, np.sqrt(np.abs(values)), 0)
    w, back = (vectors * np.where(kept, 1 / np.where(kept, root, 1), 0)) @ vectors.T, (vectors * root) @ vectors.T
    image = w @ (centred.T @ z / len(h))
    return np.eye(h.shape[1]) - back @ image @ np.linalg.pinv(image) @ w


@pytest.mark.parametrize("images", [17, 4])
def test_leace_gives_the_logits_of_the_head_on_erased_features(images):
    """With 4 images the covariance of 4 features has rank 3."""
    x, _, a, first = of()
    rows = np.arange(17) if images == 17 else np.array([0, 1, 5, 6])
    data = whole.split("external").where(torch.as_tensor(np.isin(np.arange(17), rows)))
    h, a = x[rows, :-1], a[rows]
    model = LEACE().fit(whole.run_of(LEACE(), splits={"external": lambda: data}))
    erased = (h - h.mean(axis=0)) @ eraser(h, a).T + h.mean(axis=0)
    found = head_of(model)
    np.testing.assert_allclose(h @ found[:-1] + found[-1], erased @ first[:-1] + first[-1], atol=1e-5)
    z = h @ found[:-1] + found[-1]
    assert np.cov(z, a)[0, 1] == pytest.approx(0, abs=1e-6)
    assert abs(np.cov(h @ first[:-1], a)[0, 1]) > 1e-4


def test_leace_is_the_eraser_of_its_package():
    package = pytest.importorskip("concept_erasure")
    x, _, a, first = of()
    h = torch.from_numpy(x[:, :-1])
    fitter = package.LeaceFitter.fit(h, torch.from_numpy(a), shrinkage=False, constrain_cov_trace=False, svd_tol=1e-9)
    theirs = fitter.eraser(h).numpy() @ first[:-1] + first[-1]
    found = head_of(LEACE().fit(whole.run_of(LEACE())))
    np.testing.assert_allclose(x[:, :-1] @ found[:-1] + found[-1], theirs, atol=1e-5)


def test_leace_leaves_a_head_that_sees_no_group():
    data = whole.split("external")
    data.a = torch.zeros_like(data.a)
    model = LEACE().fit(whole.run_of(LEACE(), splits={"external": lambda: data}))
    np.testing.assert_allclose(head_of(model), of()[3], rtol=1e-6)


# --- OxonFair ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("drop", [0.0, 0.05, 1.0])
def test_no_pair_of_a_weight_and_a_threshold_is_better(seed, drop):
    z, y, a = drawn(seed)
    g = a + 0.3 * torch.randn(len(a), generator=torch.Generator().manual_seed(seed)).double()
    weights = torch.arange(-4, 5).double()
    found = merged(z.double(), g, y, a, weights, drop)
    tried = {}
    for weight in weights.tolist():
        s = z.double() + weight * g
        tried |= {(weight, t): measured(s, y, a, (t, t)) for t in every(s)}
    best = max(accuracy for (weight, _), (_, accuracy) in tried.items() if weight == 0)
    allowed = [pair for pair in tried.values() if pair[1] >= best - drop - 1e-9]
    assert (found.gap, found.accuracy) == pytest.approx(min(allowed, key=lambda one: (one[0], -one[1])))
    s = z.double() + found.weight * g
    assert measured(s, y, a, (found.threshold,) * 2) == pytest.approx((found.gap, found.accuracy))


def test_oxonfair_decides_by_the_merged_head_alone():
    run, model = fit(OxonFair(accuracy_drop=0.1), net=trained_net(), gap=True)
    val = run.split("val")
    run.model.load_state_dict(model.state_dict())
    external = OxonFair().features(run, "external")
    group = group_head(external.h, external.a)
    x = torch.cat([external.h, torch.ones(len(external.h), 1)], dim=1)
    slope = x.T @ (x @ group - external.a)
    assert slope.abs().max() < 1e-6, "least squares"
    z = run.score(model, val)
    assert measured(z, val.y, val.a, (0.0, 0.0)) == pytest.approx((run.facts["gap"], run.facts["accuracy"]), abs=1e-6)
    assert not model.state_dict().keys() - trained_net().state_dict().keys()


def test_oxonfair_merges_heads_as_its_package_and_reaches_its_gap():
    package = pytest.importorskip("oxonfair")
    from oxonfair.utils import group_metrics as gm

    z, y, a = drawn(3, 200)
    g = (a + 0.3 * torch.randn(len(a), generator=torch.Generator().manual_seed(3))).double()
    scores = np.column_stack([z.numpy(), g.numpy()])
    theirs = package.DeepFairPredictor(y.numpy().astype(int), scores, groups=a.numpy())
    theirs.fit(gm.balanced_accuracy, gm.equalized_odds, 0.02)
    heads = torch.nn.Linear(2, 2)
    heads.weight.data, heads.bias.data = torch.eye(2), torch.zeros(2)
    one = theirs.merge_heads_pytorch(heads)
    weight, bias = one.weight.detach().double(), one.bias.item()
    assert weight[0, 0] == 1, "a weight of the group head and a threshold, as ours"
    gap, accuracy = measured(z + weight[0, 1] * g + bias, y, a, (0.0, 0.0))
    common = max(measured(z, y, a, (t, t))[1] for t in every(z))
    weights = torch.cat([torch.linspace(-6, 6, 241).double(), weight[0, 1:]])
    ours = merged(z.double(), g, y, a, weights, common - accuracy)
    assert ours.gap <= gap + 1e-9, "with the accuracy of theirs, no larger gap"


def test_dfr_tells_what_it_does_not_choose_and_what_does_not_converge():
    stratum = np.array([0] * 9 + [1] * 9 + [2] * 9 + [3])
    x = np.random.default_rng(0).normal(size=(28, 3))
    assert chosen(x, stratum % 2, stratum, np.random.default_rng(0)) is None
    stratum, rng = np.arange(400) % 4, np.random.default_rng(1)
    alike = rng.normal(size=(400, 1)) + 1e-4 * rng.normal(size=(400, 40))
    assert not refit(alike, stratum % 2, stratum, 1e6, np.random.default_rng(0)).converged
    assert refit(alike, stratum % 2, stratum, 0.1, np.random.default_rng(0)).converged
    with pytest.raises(UsageError, match="a number from 1e-06"):
        DFR(strength=0.0)
