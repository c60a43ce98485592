"""Losses against hand-computed values, identities and autograd. SWiFT, Eqs. 1-4 and 10."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.learn import losses

# Example A: one positive, three negatives.
Y_A = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
P_A = torch.tensor([0.8, 0.4, 0.2, 0.1], dtype=torch.float64)
# Example B: cells (0,1) twice, (1,1), (0,0), (1,0) twice.
P_B = torch.tensor([0.8, 0.5, 0.4, 0.2, 0.1, 0.3], dtype=torch.float64)
Y_B = torch.tensor([1.0, 1, 1, 0, 0, 0], dtype=torch.float64)
A_B = torch.tensor([0, 0, 1, 0, 1, 1])


def logit(p):
    return torch.log(p / (1 - p))


def random_batch(seed, n=40, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    z = scale * torch.randn(n, generator=g, dtype=torch.float64)
    y = (torch.rand(n, generator=g) < 0.4).double()
    a = torch.randint(0, 2, (n,), generator=g)
    return z, y, a


def test_prediction_loss_of_example_a():
    loss = losses.prediction_loss(logit(P_A), Y_A)
    assert loss.item() == pytest.approx(0.0942975, abs=5e-8)
    assert loss.item() == pytest.approx(3 / 16 * (0.223144 + 0.279777), abs=1e-6)
    assert losses.prediction_loss(torch.zeros(4, dtype=torch.float64), Y_A).item() == pytest.approx(0.2599302, abs=5e-8)


@given(st.integers(0, 10_000))
def test_prediction_loss_identities(seed):
    z, y, _ = random_batch(seed)
    share = y.mean()
    if share in (0, 1):
        return
    softplus = torch.nn.functional.softplus
    by_class = softplus(-z[y == 1]).mean() + softplus(z[y == 0]).mean()
    torch.testing.assert_close(losses.prediction_loss(z, y), share * (1 - share) * by_class)
    at_zero = losses.prediction_loss(torch.zeros_like(z), y)
    torch.testing.assert_close(at_zero, 2 * share * (1 - share) * math.log(2))
    torch.testing.assert_close(losses.prediction_loss(z, y), losses.prediction_loss(-z, 1 - y))


def test_prediction_loss_of_one_class_is_zero_with_zero_gradient():
    z = torch.randn(5, requires_grad=True)
    for y in (torch.zeros(5), torch.ones(5)):
        loss = losses.prediction_loss(z, y)
        (gradient,) = torch.autograd.grad(loss, z)
        assert loss.item() == 0
        assert torch.equal(gradient, torch.zeros(5))


def test_proxy_of_example_b():
    z = logit(P_B)
    assert losses.equalised_odds_proxy(z, Y_B, A_B).item() == pytest.approx(0.601986, abs=5e-7)
    gradient = losses.equalised_odds_proxy_gradient(z, Y_B, A_B)
    torch.testing.assert_close(
        gradient, torch.tensor([0.10, 0.25, -0.60, 0.80, -0.45, -0.35], dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_proxy_leaves_out_a_term_without_a_group():
    keep = torch.tensor([0, 1, 3, 4, 5])  # cell (1, 1) is empty now
    z, y, a = logit(P_B)[keep].requires_grad_(True), Y_B[keep], A_B[keep]
    loss = losses.equalised_odds_proxy(z, y, a)
    assert loss.item() == pytest.approx(0.143841, abs=5e-7)
    (gradient,) = torch.autograd.grad(loss, z)
    assert torch.equal(gradient[:2], torch.zeros(2, dtype=torch.float64))
    assert losses.defined_terms(y, a) == 1
    # The soft gap on scores (DiffGda, DiffPrune) is not defined either.
    assert losses.soft_true_positive_gap(z, y, a) is None
    assert losses.soft_true_positive_gap(logit(P_B), Y_B, A_B).item() == pytest.approx(0.25)


@given(st.integers(0, 10_000))
def test_proxy_properties(seed):
    z, y, a = random_batch(seed)
    if losses.defined_terms(y, a) < 2:
        return
    value = losses.equalised_odds_proxy(z, y, a)
    torch.testing.assert_close(losses.equalised_odds_proxy(z, y, 1 - a), value, rtol=0, atol=0)
    twice = losses.equalised_odds_proxy(z.repeat(2), y.repeat(2), a.repeat(2))
    torch.testing.assert_close(twice, value)
    constant = torch.full_like(z, float(z[0]))
    assert losses.equalised_odds_proxy(constant, y, a).abs().item() < 1e-12


def test_proxy_is_finite_for_huge_logits():
    z = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    y, a = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0, 1, 0, 1])
    loss = losses.equalised_odds_proxy(z, y, a)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_joint_rate_gap_is_the_rate_gap_times_the_class_share():
    """With equal label ratio pi in both groups R_fn = pi * soft FNR gap and R_fp = (1 - pi) * soft FPR gap."""
    z = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([1.0] * 6 + [0.0] * 14 + [1.0] * 6 + [0.0] * 14, dtype=torch.float64)
    a = torch.tensor([0] * 20 + [1] * 20)
    p = torch.sigmoid(z)
    fnr = [(1 - p)[(a == g) & (y == 1)].mean() for g in (0, 1)]
    fpr = [p[(a == g) & (y == 0)].mean() for g in (0, 1)]
    expected = 0.3 * (fnr[0] - fnr[1]).abs() + 0.7 * (fpr[0] - fpr[1]).abs()
    torch.testing.assert_close(losses.joint_rate_gap(z, y, a), expected)
    assert losses.joint_rate_gap(z, y, torch.zeros_like(a)).item() == 0
