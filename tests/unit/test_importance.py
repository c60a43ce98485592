"""Fisher terms and curvature against hand-computed values and slow, obviously right implementations."""

import dataclasses

import pytest
import torch
from torch import nn

from bench.checks.subject import RECIPE, random_net, random_run, random_split
from bench.data.image_split import ImageSplit
from bench.errors import EmptyGroup
from bench.learn import importance, losses
from bench.methods.bmft import BMFT
from bench.methods.fair_prune import FairPrune, saliency, smallest


class Table(ImageSplit):
    """A split whose images are given as they are."""

    def __init__(self, x, y, a):
        super().__init__("external", torch.zeros(len(x), 1, 1, 1).numpy(), range(len(x)), y, a, list(map(str, y)))
        self.x = x

    def images(self, index, augmentation=None):
        return self.x[index]


class Linear(nn.Module):
    """z = w.h + b on features that are the input."""

    def __init__(self, w, b):
        super().__init__()
        self.features, self.head = nn.Identity(), nn.Linear(len(w), 1)
        self.head.weight.data, self.head.bias.data = torch.tensor([w]), torch.tensor([b])

    def forward(self, x):
        return self.head(x).squeeze(1)


def test_example_c():
    net = Linear([1.0, -1.0], 0.0)
    data = Table(torch.tensor([[1.0, 0], [0, 1]]), [1, 0], [0, 1])
    run = random_run(BMFT(), "bmft", net=random_net())
    run._opened["external"] = data
    z = net(data.x)
    torch.testing.assert_close(torch.sigmoid(z), torch.tensor([0.731059, 0.268941]), rtol=0, atol=5e-7)
    gradient = losses.prediction_loss_gradient(z.detach(), data.y) @ data.x
    torch.testing.assert_close(gradient, torch.tensor([-0.0672354, 0.0672354]), rtol=0, atol=1e-7)
    _, prediction = importance.fisher_importances(run, net, "external")
    torch.testing.assert_close(prediction["head.weight"], torch.tensor([[0.0045206, 0.0045206]]), rtol=0, atol=5e-8)
    assert prediction["head.bias"].item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("batch", [16, 40])
def test_both_terms_take_one_pass_and_leave_the_network_evaluating(batch):
    run = random_run(BMFT(), "bmft", rare=True, recipe=dataclasses.replace(RECIPE, batch=batch))
    importance.fisher_importances(run, run.model.train(), "external")
    assert run.passes.forward == 96
    assert not run.model.training


def test_the_order_of_batches_is_shared_by_methods():
    orders = [
        torch.cat([y for _, y, _ in random_split("external").batches(size=16, shuffle=True, rng=rng)])
        for rng in (random_run(BMFT(), name).rng("fisher", shared=True) for name in ("bmft", "swift"))
    ]
    assert torch.equal(*orders)


def test_curvature_needs_images():
    run = random_run(FairPrune(), "fair_prune")
    nobody = random_split("external").where(torch.zeros(96, dtype=torch.bool))
    with pytest.raises(EmptyGroup):
        importance.curvature(run, run.model, nobody, torch.Generator())


def test_example_e():
    theta, h_u, h_p = (
        torch.tensor([2, -1, 0.5, 3]),
        torch.tensor([0.1, 0.4, 0.8, 0.01]),
        torch.tensor([0.6, 0.4, 0.2, 0.3]),
    )
    s = saliency(theta, h_u, h_p, 0.33)
    torch.testing.assert_close(s, torch.tensor([-0.196, 0.134, 0.09175, -0.4005]), rtol=0, atol=5e-7)
    assert smallest(s, 2).tolist() == [True, False, False, True]
    torch.testing.assert_close(saliency(theta, h_u, h_p, 1), -saliency(theta, h_p, h_u, 1))
    assert torch.equal(smallest(7 * s, 2), smallest(s, 2))
    assert torch.equal(saliency(theta, h_u, h_p, 0), saliency(theta, h_u, 0 * h_p, 0.9))
    assert smallest(torch.zeros(10), 4).sum() == 4


@pytest.mark.parametrize("seed", range(20))
def test_the_smallest_are_the_first_of_a_stable_sort(seed):
    scores = torch.randint(-3, 4, (seed + 1,), generator=torch.Generator().manual_seed(seed)).float()
    scores[scores == 3] = float("inf")
    scores[scores == 2] = float("nan")
    for count in range(len(scores) + 1):
        expected = torch.argsort(scores, stable=True)[:count].sort().values  # NaN last
        assert torch.equal(smallest(scores, count).nonzero().flatten(), expected)
