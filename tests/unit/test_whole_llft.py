"""LLFT as a whole: head after `fit` against the equations, its schedule, its stop and its reset."""

import numpy as np
import pytest
import torch

from bench import learn
from bench.methods.llft import LLFT
from tests.unit import whole

LOSSES = {
    "joint rates": {},
    "joint rates, another alpha": {"alpha": 0.5},
    "eq10": {"constraint": "eq10", "beta": 0.7},
    "plain": {"prediction": "plain"},
    "balanced": {"prediction": "balanced"},
}
KNOWN = {"initial": "keep", "max_epochs": 30, "patience": 0}


def joint_rates(z, y, a):
    """Gaps of P(predicted 1, y = 0) and P(predicted 0, y = 1), each divided by the size of the group."""
    if a.all() or not a.any():
        return 0.0
    p, gaps = whole.sigmoid(z), []
    for rate in (p * (1 - y), (1 - p) * y):
        gaps.append(abs(rate[a == 0].sum() / (a == 0).sum() - rate[a == 1].sum() / (a == 1).sum()))
    return sum(gaps)


def loss_of(method):
    def loss(z, y, a):
        if method.prediction == "plain":
            first = np.mean(-y * np.log(whole.sigmoid(z)) - (1 - y) * np.log(1 - whole.sigmoid(z)))
        elif method.prediction == "balanced":  # nothing in a batch of one label
            means = (
                [-np.log(whole.sigmoid(side * z[y == label])).mean() for side, label in ((1, 1), (-1, 0))]
                if y.any() and not y.all()
                else [0.0]
            )
            first = np.mean(means)
        else:
            first = whole.prediction(z, y, a)
        if method.constraint == "joint_rates":
            return first + method.alpha * joint_rates(z, y, a)
        return method.beta * first + (1 - method.beta) * (whole.proxy(z, y, a) or 0.0)

    return loss


def trained(method, p, dropout=None):
    """Return weights and the loss without dropout of each epoch, from the first weights `p`."""
    data, loss = whole.split("external"), loss_of(method)
    h, (y, a), losses, rises = whole.features(p, whole.pixels(data)), whole.labels(data), [], 0
    by, size = whole.Optimiser(method.lr, momentum=method.momentum, decay=method.weight_decay), method.batch or len(h)
    rows = [np.arange(start, min(start + size, len(h))) for start in range(0, len(h), size)]
    for epoch in range(method.max_epochs):
        by.lr = method.lr * (0.5 ** (epoch // method.halve_every) if method.halve_every else 1.0)
        clean = 0.0
        for part in rows:
            value = lambda q, of, part=part: loss(of @ q[whole.HEAD][0] + q[whole.HEAD_BIAS][0], y[part], a[part])  # noqa: E731
            clean += value(p, h[part]) * len(part) / len(h)
            dropped = h[part] * (dropout(h[part].shape) if dropout else 1.0)
            g = whole.slopes(lambda q, of=dropped, value=value: value(q, of), p, whole.LAST)
            p = dict(p)
            by.step(p, g)
        rises = rises + 1 if losses and epoch >= method.min_epochs and clean >= losses[-1] else 0
        losses.append(clean)
        if method.patience and rises == method.patience:
            break
    return p, losses


def dropped(shape):
    """Factors of dropout on features: the draws of torch."""
    return torch.nn.functional.dropout(torch.ones(shape), 0.5).double().numpy()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sgd", [{}, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "batch": 8, "halve_every": 7}])
def test_the_head_is_that_of_the_equations(loss, sgd):
    method = LLFT(**KNOWN, **LOSSES[loss], **sgd, head_dropout=0.0)
    expected, losses = trained(method, whole.weights(whole.net()))
    run = whole.run_of(method)
    whole.assert_equal(method.fit(run), expected)
    assert run.facts["epochs"] == 30
    assert run.facts["loss"] == pytest.approx(losses[-1], rel=1e-5)


def test_dropout_is_in_the_step_and_not_in_the_loss_that_is_watched():
    method = LLFT(**KNOWN, lr=0.1)
    run = whole.run_of(method)
    with learn.seeded(run.rng("dropout")):
        expected, losses = trained(method, whole.weights(whole.net()), dropped)
    whole.assert_equal(method.fit(run), expected)
    assert run.facts["loss"] == pytest.approx(losses[-1], rel=1e-4)


def test_the_stop_counts_rises_from_the_first_epoch_after_the_least_number():
    """A large rate makes the loss rise and fall, so that the rule decides."""
    ends = set()
    for least in (0, 3, 10, 17):
        for patience in (1, 2, 3):
            method = LLFT(initial="keep", head_dropout=0.0, lr=20.0, min_epochs=least, patience=patience, max_epochs=40)
            run = whole.run_of(method)
            method.fit(run)
            _, losses = trained(method, whole.weights(whole.net()))
            assert run.facts["epochs"] == len(losses) >= min(least + patience, 40)
            ends.add(len(losses))
    assert len(ends) > 5


def test_dropout_does_not_end_the_training():
    """The loss with dropout would rise three times in a row soon after the least number of epochs."""
    method = LLFT(initial="keep", max_epochs=300, lr=0.05)
    run = whole.run_of(method)
    with learn.seeded(run.rng("dropout")):
        _, losses = trained(method, whole.weights(whole.net()), dropped)
    method.fit(run)
    assert run.facts["epochs"] == len(losses) > 100


@pytest.mark.parametrize(
    ("halve_every", "rates"), [(100, [1, 1, 0.5, 0.5, 0.25]), (0, [1] * 5), (60, [1, 0.5, 0.5, 0.25, 0.125])]
)
def test_the_rate_is_halved(halve_every, rates, monkeypatch):
    seen, step = [], torch.optim.SGD.step

    def watched(self, *given):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    method = LLFT(lr=0.04, patience=0, max_epochs=201, halve_every=halve_every)
    method.fit(whole.run_of(method))
    assert [seen[epoch] / 0.04 for epoch in (0, 99, 100, 150, 200)] == pytest.approx(rates)


def test_weight_and_bias_of_a_fresh_head_are_different_draws_of_one_generator():
    method = LLFT(max_epochs=0)
    head = method.fit(whole.run_of(method)).linear
    assert head.bias.item() not in head.weight.flatten().tolist()
    drawn = torch.empty(whole.WIDTH + 1).uniform_(-0.5, 0.5, generator=whole.run_of(method).rng("init"))
    assert torch.equal(torch.cat([head.weight.flatten(), head.bias]), drawn)


def test_a_larger_alpha_ends_with_a_smaller_gap_of_joint_rates():
    data, gaps = whole.split("external"), []
    for alpha in (0.0, 5.0):
        method = LLFT(**(KNOWN | {"max_epochs": 300}), alpha=alpha, lr=0.1, head_dropout=0.0)
        z = whole.logits(whole.weights(method.fit(whole.run_of(method))), whole.pixels(data))
        gaps.append(joint_rates(z, *whole.labels(data)))
    assert gaps[1] < 0.5 * gaps[0]


@pytest.mark.parametrize("recipe", [whole.SGD, whole.ADAM], ids=["sgd", "adam"])
def test_the_budget_of_the_recipe(recipe):
    method = LLFT(budget="recipe", initial="keep", head_dropout=0.0)
    run, data = whole.run_of(method, recipe), whole.split("external")
    batches, by = whole.orders(run, data, "head", recipe.epochs), whole.optimiser(recipe, recipe.lr_head)
    start = whole.weights(whole.net())
    whole.assert_equal(method.fit(run), whole.descended(start, data, batches, loss_of(method), by, whole.LAST))
