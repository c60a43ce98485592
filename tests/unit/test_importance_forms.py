"""Forms of the importances and losses that SWiFT's options choose among, by hand and by loops over images."""

import dataclasses

import pytest
import torch

from bench import learn
from bench.checks.subject import RECIPE, random_run
from bench.learn import importance, losses
from bench.methods.swift import SWiFT


def test_importances_of_the_other_kinds_by_hand():
    """Two batches of one image each: sums keep signs that squares and absolute values lose (D39)."""
    recipe = dataclasses.replace(RECIPE, batch=48)
    run = random_run(SWiFT(), "swift", recipe=recipe)
    net, data = run.model, run.split("external")
    gradients = []
    for x, y, _ in data.batches(size=48, shuffle=True, rng=run.rng("fisher", shared=True)):
        net.zero_grad()
        losses.prediction_loss(net(x), y).backward()
        gradients.append(net.head[1].weight.grad.clone())
    expected = {
        "fisher": sum(g**2 for g in gradients) / 2,
        "gradient_sum": sum(gradients) / 2,
        "gradient_absolute": sum(g.abs() for g in gradients) / 2,
    }
    for kind, value in expected.items():
        _, prediction = importance.fisher_importances(run, net, "external", kind)
        torch.testing.assert_close(prediction["head.1.weight"], value, rtol=1e-5, atol=1e-9)


def test_per_sample_importances_equal_a_loop_over_images():
    run = random_run(SWiFT(), "swift")
    net, data = run.model.double(), run.split("external")
    data.images = lambda index, augmentation=None, images=data.images: images(index, augmentation).double()
    data.y = data.y.double()
    bias, prediction = importance.fisher_importances(run, net, "external", "fisher_per_sample")
    z, n = run.score(net, "external").double(), len(data)
    weights = [
        losses.equalised_odds_proxy_gradient(z, data.y, data.a),
        losses.prediction_loss_gradient(z, data.y),
    ]
    slow = [{name: torch.zeros_like(p) for name, p in net.named_parameters()} for _ in weights]
    for i in range(n):
        net.zero_grad()
        net(data.images(torch.tensor([i]))).sum().backward()
        for total, w in zip(slow, weights, strict=True):
            for name, p in net.named_parameters():
                total[name] += (n * w[i] * p.grad) ** 2 / n
    for fast, total in zip((bias, prediction), slow, strict=True):
        for name in total:
            torch.testing.assert_close(fast[name], total[name], rtol=1e-6, atol=1e-16)


def test_per_sample_importances_count_every_image_once():
    run = random_run(SWiFT(), "swift")
    importance.fisher_importances(run, run.model, "external", "fisher_per_sample")
    n = len(run.split("external"))
    assert (run.passes.forward, run.passes.backward) == (2 * n, n)


def test_example_b_in_the_signed_forms():
    p = torch.tensor([0.8, 0.5, 0.4, 0.2, 0.1, 0.3])
    z, y, a = torch.log(p / (1 - p)), torch.tensor([1.0, 1, 1, 0, 0, 0]), torch.tensor([0, 0, 1, 0, 1, 1])
    assert losses.signed_half_proxy(z, y, a, scores=True).item() == pytest.approx(0.125, abs=1e-6)
    rest = [0, 1, 3, 4, 5]  # the cell (1, 1) is empty
    for empty, value in (("skip", 0.0), ("zero_mean", 0.325)):
        got = losses.signed_half_proxy(z[rest], y[rest], a[rest], scores=True, empty=empty)
        assert got.item() == pytest.approx(value, abs=1e-6)
    logit = [z[:2].mean() - z[2], z[3] - z[4:].mean()]
    assert losses.signed_half_proxy(z, y, a, scores=False).item() == pytest.approx(abs(float(sum(logit))) / 2, rel=1e-6)


def test_opposite_gaps_cancel_in_the_signed_form_alone():
    z = torch.tensor([1.0, -1, -1, 1])
    y, a = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0, 1, 0, 1])
    assert losses.signed_half_proxy(z, y, a, scores=False).item() == 0
    assert losses.equalised_odds_proxy(z, y, a).item() == pytest.approx(2.0)


def test_the_prediction_loss_may_count_over_the_data_and_sum():
    """Four positives of sixteen, batches of four: weights of the data are 0.75 and 0.25 in every batch (D03)."""
    z, y = torch.tensor([0.3, -0.2, 1.0, 0.1]), torch.tensor([1.0, 0, 0, 0])
    by_hand = 0.75 * losses.softplus(-z[0]) + 0.25 * losses.softplus(z[1:]).sum()
    given = torch.tensor(0.25)
    assert losses.prediction_loss(z, y, given, "sum").item() == pytest.approx(by_hand.item())
    assert losses.prediction_loss(z, y, given).item() == pytest.approx(by_hand.item() / 4)
    alone = torch.zeros(4)
    assert losses.prediction_loss(z, alone).item() == 0  # a batch of one class weighs nothing
    assert losses.prediction_loss(z, alone, given).item() == pytest.approx(0.25 * losses.softplus(z).mean().item())
    recipe = dataclasses.replace(RECIPE, weight_counts="dataset", reduction="sum")
    run = random_run(SWiFT(), "swift", recipe=recipe)
    of = learn.terms(run, "external")
    assert of.positive == run.split("external").y.mean()
    x = z.clone().requires_grad_(True)
    of.blend(1.0)(x, y, torch.tensor([0, 1, 0, 1])).backward()
    torch.testing.assert_close(of.prediction_gradient(z, y), x.grad)
