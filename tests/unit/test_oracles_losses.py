"""Losses and their closed-form gradients against loops over samples, empty cells and huge logits included."""

import math

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bench.learn import losses
from tests.unit import slow

LOGITS = st.one_of(st.floats(-6, 6), st.floats(-1e4, 1e4), st.sampled_from([0.0, -1e4, 1e4, -88.5, -104.0]))
ROWS = st.lists(st.tuples(LOGITS, st.sampled_from([0.0, 1.0]), st.sampled_from([0, 1])), min_size=1, max_size=40)
BLENDS = st.sampled_from([0.0, 0.1, 0.5, 10 / 11, 1.0])


def tensors(rows, dtype=torch.float64):
    z, y, a = zip(*rows, strict=True)
    return torch.tensor(z, dtype=dtype, requires_grad=True), torch.tensor(y, dtype=dtype), torch.tensor(a)


def near(value):
    return pytest.approx(value, rel=1e-6, abs=1e-12)


def assume_no_kink(*differences):
    """Where two means differ by rounding alone, value and sign of their difference are rounding too."""
    assume(all(d == 0 or abs(d) > 1e-3 for d in differences))


def derivative(loss, z):
    """The gradient (B,) by z as a list."""
    return torch.autograd.grad(loss, z)[0].tolist()


@given(ROWS)
def test_prediction_loss(rows):
    columns, (z, y, _) = list(zip(*rows, strict=True)), tensors(rows)
    loss = losses.prediction_loss(z, y)
    assert loss.item() == near(slow.prediction_loss(*columns[:2]))
    expected = near(slow.prediction_loss_gradient(*columns[:2]))
    assert losses.prediction_loss_gradient(z.detach(), y).tolist() == expected
    assert derivative(loss, z) == expected


@given(ROWS)
def test_proxy(rows):
    columns, (z, y, a) = list(zip(*rows, strict=True)), tensors(rows)
    terms = slow.proxy_terms(*columns)
    assume_no_kink(*terms.values())
    loss = losses.equalised_odds_proxy(z, y, a)
    assert loss.item() == near(slow.equalised_odds_proxy(*columns))
    assert losses.defined_terms(y, a) == len(terms)
    if all(terms.values()):
        expected = near(slow.equalised_odds_proxy_gradient(*columns))
        assert losses.equalised_odds_proxy_gradient(z.detach(), y, a).tolist() == expected
        assert derivative(loss, z) == expected


ONE_GROUP = [(0.3, 1.0, 0), (-0.2, 0.0, 0)]


@example(ONE_GROUP, 0.0)
@example(ONE_GROUP, 0.5)
@given(ROWS, BLENDS)
def test_blend(rows, beta):
    columns, (z, y, a) = list(zip(*rows, strict=True)), tensors(rows)
    terms = slow.proxy_terms(*columns)
    assume_no_kink(*terms.values())
    loss = losses.blend(beta)(z, y, a)
    if beta == 0 and not terms:
        assert loss is None
        return
    assert loss is not None
    assert loss.item() == near(beta * slow.prediction_loss(*columns[:2]) + (1 - beta) * sum(map(abs, terms.values())))


@given(ROWS)
def test_gaps_on_scores(rows):
    columns, (z, y, a) = list(zip(*rows, strict=True)), tensors(rows)
    assert losses.joint_rate_gap(z, y, a).item() == near(slow.joint_rate_gap(*columns))
    expected, gap = slow.soft_true_positive_gap(*columns), losses.soft_true_positive_gap(z, y, a)
    assert (gap is None) is (expected is None)
    if gap is not None:
        assert gap.item() == near(expected)


@given(st.lists(st.tuples(st.floats(-6, 6), st.booleans(), st.booleans()), min_size=8, max_size=40))
def test_float32_is_as_close_as_its_means_allow(rows):
    """Training runs in float32: the error stays below 1e-6 of what is averaged, not of what is left of a difference."""
    rows = [(float(torch.tensor(z)), float(y), int(a)) for z, y, a in rows]
    columns, (z, y, a) = list(zip(*rows, strict=True)), tensors(rows, torch.float32)
    assert losses.prediction_loss(z, y).item() == near(slow.prediction_loss(*columns[:2]))
    largest = max(abs(slow.log_sigmoid(logit)) for logit in columns[0])
    expected = slow.equalised_odds_proxy(*columns)
    assert losses.equalised_odds_proxy(z, y, a).item() == pytest.approx(expected, rel=0, abs=2e-6 * largest)


def test_groups_with_equal_scores_leave_the_proxy_and_its_gradient_at_zero():
    z = torch.tensor([-1e4, 0.3, -1e4, 0.3], dtype=torch.float64)
    y, a = torch.tensor([1.0, 0, 1, 0], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    assert losses.equalised_odds_proxy(z, y, a).item() == 0
    assert losses.equalised_odds_proxy_gradient(z, y, a).tolist() == [0, 0, 0, 0]


def test_the_slow_gradients_are_the_slopes_of_the_slow_losses():
    """Both closed forms come from one sheet of paper: central differences, which do not, agree to 1e-6."""
    draws = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    y, a, step = [1, 0, 0] * 4, [0, 0, 1, 1, 1, 0] * 2, 1e-5
    for loss, gradient in (
        (lambda z: slow.prediction_loss(z, y), slow.prediction_loss_gradient(draws, y)),
        (lambda z: slow.equalised_odds_proxy(z, y, a), slow.equalised_odds_proxy_gradient(draws, y, a)),
    ):
        for i, expected in enumerate(gradient):
            up, down = ([*draws[:i], draws[i] + shift, *draws[i + 1 :]] for shift in (step, -step))
            assert (loss(up) - loss(down)) / (2 * step) == pytest.approx(expected, rel=1e-6)
    assert math.isclose(slow.log_sigmoid(-1e4), -1e4)
