"""What the options of FairPrune mean: hand values, identities, slow references."""

import dataclasses

import pytest
import torch
from torch import nn

from bench.checks.subject import RECIPE, logits, random_net, random_run, random_split
from bench.data.image_split import ImageSplit
from bench.learn import importance
from bench.methods.fair_prune import FairPrune, smallest
from bench.net import Net
from bench.running.context import SharedCache
from tests.unit.fits import fit


class Residual(nn.Module):
    """A block as in a ResNet, so that a weight reaches the logit on two ways."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(4)
        self.inner, self.inner_norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)

    def forward(self, x):
        h = torch.relu(self.norm(self.stem(x)))
        return torch.relu(h + self.inner_norm(self.inner(h))).mean((2, 3))


class Double(ImageSplit):
    """A split whose images are float64."""

    def images(self, index, augmentation=None):
        return super().images(index).double()

    def where(self, keep):
        return Double(self.name, self._array, self.rows[keep.numpy()], self.y[keep], self.a[keep], self.uids[keep])


def residual(images=20, batch=18):
    """A run of a small residual network in float64 with statistics of its own, and data with 5 in 20 positives."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(Residual(), 4).double().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                    nn.init.uniform_(tensor, 0.2, 1.5)
        nn.init.normal_(net.linear.weight)
    run = random_run(FairPrune(), "fair_prune", net=net, recipe=dataclasses.replace(RECIPE, batch=batch))
    plain = random_split("external", images=images)
    data = Double("external", plain._array, plain.rows, (torch.arange(images) % 4 == 0).float(), plain.a, plain.uids)
    return run, run.model, data


def image_by_image(net, data, weighted):
    """The exact diagonal by one backward pass per image."""
    total = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    share = data.y.double().mean()
    for x, y, _ in data.batches(size=1):
        z = net(x)
        p = torch.sigmoid(z).item()
        weight = (1 - share if y else share) if weighted else 1
        for name, g in zip(total, torch.autograd.grad(z, list(net.parameters())), strict=True):
            total[name] += weight * p * (1 - p) * g**2 / len(data)
    return total


@pytest.mark.parametrize("weighted", [False, True])
def test_exact_curvature_is_the_loop_over_images(weighted):
    run, net, data = residual()
    found = importance.curvature(run, net, data, torch.Generator(), "exact", weighted=weighted)
    assert (run.passes.forward, run.passes.backward) == (20, 20)
    expected = image_by_image(net, data, weighted)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6 if weighted else 1e-10, atol=1e-15)
    assert all(torch.equal(b, c) for b, c in zip(net.buffers(), residual()[1].buffers(), strict=True))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_of_random_signs_falls_with_the_root_of_the_draws(weighted):
    """16 times the draws, a quarter of the error; a bias would leave a floor."""
    run, net, data = residual(images=12, batch=4)
    flat = lambda h: torch.cat([value.flatten() for value in h.values()])  # noqa: E731
    exact, rng = flat(image_by_image(net, data, weighted)), torch.Generator().manual_seed(0)
    estimates = torch.stack([flat(importance.curvature(run, net, data, rng, weighted=weighted)) for _ in range(480)])

    def error(draws):
        means = estimates.view(-1, draws, len(exact)).mean(1)
        return ((means - exact).norm(dim=1) / exact.norm()).square().mean().sqrt().item()

    assert 2.8 < error(5) / error(80) < 5.7


@pytest.mark.parametrize("weighted", [False, True])
def test_curvature_by_batch_is_the_squared_gradient_of_the_batchs_loss(weighted):
    run, net, data = residual()
    found = importance.curvature(run, net, data, torch.Generator(), "batch", weighted=weighted)
    expected = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    share = data.y.mean()
    for x, y, _ in data.batches(size=18):
        weight = torch.where(y == 1, 1 - share, share) if weighted else None
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), y.double(), weight=weight)
        for name, g in zip(expected, torch.autograd.grad(loss, list(net.parameters())), strict=True):
            expected[name] += g**2 / 2
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-15)


def test_both_directions_share_the_weights_out_among_them():
    net = random_net()
    total = FairPrune(ratio=1).pruned(net)
    least = FairPrune(ratio=0.35)
    most = FairPrune(ratio=(total - least.pruned(net) + 0.5) / total, direction="largest")
    assert least.pruned(net) + most.pruned(net) == total
    zeros = []
    for method in (least, most):
        _, model = fit(method, net=net)
        zeros.append(torch.cat([(weight == 0).flatten() for weight in method.prunable(model).values()]))
        assert int(zeros[-1].sum()) == method.pruned(net)
    assert torch.equal(zeros[0], ~zeros[1])
    s = torch.tensor([0.3, -1.0, 0.3, 2.0, 0.0])
    assert smallest(-s, 2).tolist() == [True, False, False, True, False]


def test_ties_are_cut_at_the_exact_count_by_position():
    """Without a head all curvatures are 0, and so are all saliencies."""
    net = random_net()
    nn.init.zeros_(net.linear.weight)
    method = FairPrune(ratio=0.1, privileged="0")
    run, model = fit(method, net=net)
    zeros = torch.cat([(w == 0).flatten() for n, w in method.prunable(model).items() if n.startswith("features")])
    count = method.pruned(net)
    assert run.facts["pruned"] == count
    assert zeros[:count].all()
    assert not zeros[count:].any()
    assert run.facts["pruned_share"]["features.0.weight"] == 1
    assert run.warnings == [
        "FairPrune removed 100% of features.0.weight",
        "FairPrune removed 100% of features.3.weight",
    ]


@pytest.mark.parametrize("include_norm", [False, True])
def test_weights_of_batch_norm_are_pruned_only_where_asked_and_biases_never(include_norm):
    net, method = random_net(), FairPrune(ratio=1, include_norm=include_norm)
    _, model = fit(method, net=net)
    norms = [name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)]
    before, after = net.state_dict(), model.state_dict()
    for name in norms:
        assert bool((after[f"{name}.weight"] == 0).all()) == include_norm
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(method.prunable(net))
    assert method.pruned(net) == FairPrune(ratio=1).pruned(net) + include_norm * (16 + 32 + 64 + 128)


def test_fair_prune_reads_the_validation_set_only_to_find_the_privileged_group():
    assert FairPrune().uses == {"external", "val"}
    runs = {code: fit(FairPrune(privileged=code)) for code in ("0", "1", "auto")}
    assert set(runs["0"][0]._opened) == FairPrune(privileged="0").uses == {"external"}
    found = str(runs["auto"][0].facts["privileged"])
    assert torch.equal(logits(runs["auto"][1]), logits(runs[found][1]))


def test_ratios_and_betas_share_one_curvature(tmp_path, monkeypatch):
    calls, original = [], importance.curvature
    monkeypatch.setattr(importance, "curvature", lambda *args, **kw: calls.append(args) or original(*args, **kw))

    def shelved(method):
        calls.clear()
        run = random_run(method, "fair_prune")
        run._shared_cache = SharedCache(tmp_path, {})
        return logits(method.fit(run)), len(calls), run.passes

    first, made, cost = shelved(FairPrune())
    again, spared, same_cost = shelved(FairPrune(ratio=0.1, beta=0.9))
    assert (made, spared) == (2, 0)
    assert cost == same_cost
    assert shelved(FairPrune(prediction="weighted"))[1] == shelved(FairPrune(curvature="batch"))[1] == 2
    for method, shared in ((FairPrune(), first), (FairPrune(ratio=0.1, beta=0.9), again)):
        assert torch.equal(shared, logits(method.fit(random_run(method, "fair_prune"))))
