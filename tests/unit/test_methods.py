"""What single methods promise: pruned counts, kept states, untouched parts, hand examples F and G."""

import dataclasses
import functools
import io

import pytest
import torch
from torch import nn

from bench import learn
from bench.checks.subject import RECIPE, Subject, fitted, logits, random_net, random_run, random_split
from bench.errors import EmptyGroup
from bench.methods._masked_layers import MaskedLayer, mask_layers
from bench.methods._selection import measure
from bench.methods.baseline import Baseline
from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune
from bench.methods.fair_prune import FairPrune
from bench.methods.fullft_rw import FullFTRW
from bench.methods.llft import LLFT


@functools.cache
def trained_net():
    """A network that tells the labels of the random splits apart, not perfectly."""
    run = random_run(FullFTRW(), "trained", recipe=dataclasses.replace(RECIPE, optimiser="adam"))
    return learn.finetune(run, run.model, loss=learn.blend(1.0), split="external", epochs=4, lr=2e-3)


def fit(method, name="x", **changes):
    run = random_run(method, name, **changes)
    return run, method.fit(run)


def test_baseline_is_the_identity():
    net = random_net()
    assert torch.equal(logits(fitted(Subject("baseline"), net=net)), logits(net))


def test_llft_leaves_the_extractor_with_its_buffers_and_is_a_linear_map_of_it():
    net = random_net()
    _, model = fit(LLFT(), net=net)
    before, after = net.features.state_dict(), model.features.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        h = model.features(random_split("test", gap=True, seed=1).images(torch.arange(96)))
        by_hand = h @ model.head[1].weight[0] + model.head[1].bias
    torch.testing.assert_close(logits(model), by_hand, rtol=1e-5, atol=1e-6)


def test_llft_without_constraint_is_weighted_logistic_regression():
    """alpha = 0, no decay, no dropout, run to convergence: the gradient of the weighted loss vanishes."""
    method = LLFT(alpha=0, weight_decay=0, lr=1.0, max_epochs=800, min_epochs=800)
    run = random_run(method, "llft")
    h = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    y = (h[:, 0] + torch.randn(60, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    head = nn.Sequential(nn.Identity(), nn.Linear(5, 1))
    method.train_head(run, head, h, y, torch.arange(60) % 2)
    from sklearn.linear_model import LogisticRegression

    oracle = LogisticRegression(C=1e8, class_weight="balanced", max_iter=10_000, tol=1e-8).fit(h.numpy(), y.numpy())
    torch.testing.assert_close(
        head[1].weight[0].detach().double(), torch.tensor(oracle.coef_[0]).double(), rtol=0.02, atol=0.02
    )


def test_llft_does_not_depend_on_the_order_of_rows():
    h = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, a = (torch.arange(50) % 3 == 0).double(), torch.arange(50) % 2
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    weights = []
    for rows in (torch.arange(50), order):
        method = LLFT(max_epochs=60)
        head = nn.Sequential(nn.Identity(), nn.Linear(4, 1)).double()
        nn.init.zeros_(head[1].weight)
        nn.init.zeros_(head[1].bias)
        method.train_head(random_run(method, "llft"), head, h[rows], y[rows], a[rows])
        weights.append(head[1].weight.detach())
    torch.testing.assert_close(*weights, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ratio", [0.0, 0.05, 0.35, 1.0])
def test_fair_prune_zeroes_exactly_the_share_it_says(ratio):
    net = random_net()
    _, model = fit(FairPrune(ratio=ratio), net=net)
    prunable = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    before, after = net.state_dict(), model.state_dict()
    total = sum(before[f"{n}.weight"].numel() for n in prunable)
    zeros = sum(int(((after[f"{n}.weight"] == 0) & (before[f"{n}.weight"] != 0)).sum()) for n in prunable)
    assert zeros == int(ratio * total)
    for name in before:
        if name.removesuffix(".weight") not in prunable:
            assert torch.equal(before[name], after[name]), name
    if ratio == 0:
        assert torch.equal(logits(net), logits(model))


def test_fair_prune_needs_both_groups():
    method = FairPrune(privileged="0")
    run = random_run(method, "fair_prune")
    data = run.split("external")
    run._opened["external"] = data.where(data.a == 0)
    with pytest.raises(EmptyGroup):
        method.fit(run)


def test_fair_prune_takes_the_better_ranked_group_as_privileged():
    run = random_run(FairPrune(), "fair_prune")
    val = run.split("val")
    with torch.no_grad():
        z = run.score(run.model, "val")
    for group, expected in ((0, 0), (1, 1)):
        # The chosen group is ranked perfectly by construction, the other backwards.
        y = torch.zeros(len(val))
        for g in (0, 1):
            rows = (val.a == g).nonzero().flatten()
            order = rows[z[rows].argsort()]
            y[order[len(order) // 2 :] if g == group else order[: len(order) // 2]] = 1
        val.y = y
        assert FairPrune().privileged_group(run) == expected


def test_diff_prune_switches_off_step_times_steps_units_and_keeps_its_mask():
    method = DiffPrune(step=0.01, max_steps=3, accuracy_drop=1.0, accuracy_least=0.0, accuracy_stop=0.0)
    run, model = fit(method)
    stem = next(m for m in model.modules() if isinstance(m, MaskedLayer))
    units, path = stem.mask.numel(), run.facts["path"]
    step = round(0.01 * units)
    assert [p.get("pruned", 0) for p in path] == [min(step * j, units) for j in range(5)]
    assert int((stem.mask == 0).sum()) == path[run.facts["kept_step"]].get("pruned", 0)
    gaps = [abs(p["gap"]) for p in path]
    assert gaps[run.facts["kept_step"]] == min(gaps)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    assert any(name.endswith(".mask") for name in torch.load(buffer, weights_only=True))


def test_a_stem_mask_of_ones_changes_nothing():
    net, plain = random_net(), random_net()
    mask_layers(net, next(iter(random_split("external").batches(size=1))).x)
    assert torch.equal(logits(net), logits(plain))


def test_diff_prune_and_diff_gda_return_the_baseline_where_nothing_better_is_found():
    net = trained_net()
    for method in (
        DiffGda(lr=0.0),
        DiffGda(accuracy_least=1.0),
        DiffPrune(accuracy_least=1.0),
        DiffPrune(max_steps=0, step=0),
    ):
        run, model = fit(method, net=net)
        assert run.facts["kept_step"] == 0
        assert torch.equal(logits(model), logits(net)), method


@pytest.mark.parametrize("method", [DiffGda(lr=1e-3, epochs=3), DiffPrune(step=0.02)], ids=["gda", "prune"])
def test_the_kept_gap_is_no_larger_and_does_not_depend_on_the_code_of_the_groups(method):
    results = []
    for flip in (False, True):
        run = random_run(method, "x", net=trained_net())
        for name in ("val", "external"):
            data = run.split(name)
            # Labels that are harder in one group give a gap to close.
            data.y[(data.a == 0).nonzero().flatten()[::3]] = 1.0
            if flip:
                data.a = 1 - data.a
        start = measure(run.score(run.model, "val"), run.split("val").y, run.split("val").a)
        model = method.fit(run)
        end = measure(run.score(model, "val"), run.split("val").y, run.split("val").a)
        if start.balanced_accuracy >= 0.55:
            assert abs(end.gap) <= abs(start.gap)
        assert start.gap != 0
        results.append(logits(model))
    assert torch.equal(*results)


def test_threshold_is_the_first_with_the_largest_balanced_accuracy():
    p = torch.tensor([0.9, 0.6, 0.2, 0.1])
    y, a = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0, 1, 0, 1])
    result = measure(torch.log(p / (1 - p)), y, a)
    assert (result.threshold, result.gap, result.balanced_accuracy) == (0.21, 0.0, 1.0) or (
        result.threshold == 0.20 and result.balanced_accuracy == 1.0
    )
    with pytest.raises(EmptyGroup):
        measure(torch.zeros(4), y, torch.zeros(4, dtype=torch.int64))


def test_example_f_a_negative_gap_is_ascended():
    """TPR_0 = .6 < TPR_1 = .8: a step on -gap raises the positives of group 0 and lowers those of group 1."""
    from bench.learn.losses import soft_true_positive_gap

    z = torch.zeros(10, requires_grad=True)
    y, a = torch.ones(10), torch.tensor([0] * 5 + [1] * 5)
    sign = -1.0  # of the measured gap .6 - .8
    (sign * soft_true_positive_gap(z, y, a)).backward()
    moved = z.detach() - z.grad
    assert (moved[a == 0] > 0).all()
    assert (moved[a == 1] < 0).all()


def test_example_g_of_diff_prune():
    """f = sigmoid(h1 - 2 h2): the rule switches off unit 1 first, although unit 2 would close more of the gap."""
    from bench.learn.losses import soft_true_positive_gap

    h = torch.tensor([[1.0, 0], [0, 1]], requires_grad=True)
    y, a, w = torch.ones(2), torch.tensor([0, 1]), torch.tensor([1.0, -2])
    gap = soft_true_positive_gap(h @ w, y, a)
    assert gap.item() == pytest.approx(0.6119, abs=5e-5)
    saliency = torch.autograd.grad(gap, h)[0].mean(0)
    torch.testing.assert_close(saliency, torch.tensor([0.0458, -0.0916]), rtol=0, atol=5e-5)
    assert torch.argsort(-saliency, stable=True)[0] == 0
    for unit, expected in ((0, 0.3808), (1, 0.2311)):
        keep = torch.ones(2)
        keep[unit] = 0
        assert soft_true_positive_gap((h * keep) @ w, y, a).item() == pytest.approx(expected, abs=5e-5)


def test_baseline_declares_no_split():
    assert Baseline.uses == frozenset()
