"""Losses on logits z (B,), labels y (B,) in {0, 1} and groups a (B,) in {0, 1}; always float32 or wider.

Sources: SWiFT (Yan et al., MELBA 2025:015), Eqs. 1-4 and 10; LLFT's constraint from the public code of
Mao et al. 2023; the one-term gap of DiffGda and DiffPrune from that of Marcinkevics et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

Loss = Callable[[Tensor, Tensor, Tensor], Tensor | None]
"""(z, y, a) -> scalar, or None where no term of it is defined on the batch."""


def prediction_loss(
    z: Tensor, y: Tensor, positive: Tensor | None = None, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Weighted binary cross-entropy (Eq. 1), its classes weighed by the share `positive` of positives.

    None takes the share of the batch; a batch of one class then gives 0 with gradient 0. The paper writes a sum
    and does not say where the counts are taken; mean and batch are what its public code does (D03).
    """
    z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
    positive = y.mean() if positive is None else positive
    losses = (1 - positive) * y * softplus(-z) + positive * (1 - y) * softplus(z)
    return losses.mean() if reduction == "mean" else losses.sum()


def prediction_loss_gradient(
    z: Tensor, y: Tensor, positive: Tensor | None = None, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """The derivative (B,) of `prediction_loss` by z."""
    p, positive = torch.sigmoid(z), y.mean() if positive is None else positive
    gradient = (1 - positive) * y * (p - 1) + positive * (1 - y) * p
    return gradient / len(z) if reduction == "mean" else gradient


def equalised_odds_proxy(z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """|mu_01 - mu_11| + |mu_00 - mu_10|, mu_gc the mean log score of group g, class c (Eqs. 2-4).

    A term whose class lacks one of the groups is left out (value and gradient 0); `defined_terms` counts them.
    """
    z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
    value = 0.0 * z.sum()
    scores = logsigmoid(z)  # log(sigmoid(z)) is -inf below z of about -88
    for one, other in _cells(y, a):
        value = value + (scores[one].mean() - scores[other].mean()).abs()
    return value


def equalised_odds_proxy_gradient(z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """The derivative (B,) of `equalised_odds_proxy` by z; 0 for a term that is left out."""
    gradient, scores, slope = torch.zeros_like(z), logsigmoid(z), torch.sigmoid(-z)
    for one, other in _cells(y, a):
        sign = torch.sign(scores[one].mean() - scores[other].mean())
        gradient[one] = sign * slope[one] / len(one)
        gradient[other] = -sign * slope[other] / len(other)
    return gradient


def defined_terms(y: Tensor, a: Tensor) -> int:
    """How many of the proxy's two terms the batch defines: 0, 1 or 2."""
    return len(_cells(y, a))


def signed_half_proxy(
    z: Tensor, y: Tensor, a: Tensor, *, scores: bool, empty: Literal["skip", "zero_mean"] = "skip"
) -> Tensor:
    """0.5 |(v_00 - v_10) + (v_01 - v_11)|, v_gc the mean logit, or score, of group g, class c (BMFT's public code).

    Gaps of opposite sign cancel in it. `zero_mean` takes 0 for the mean of an empty cell, as that code does, which
    pulls the cell that is there towards 0; `skip` leaves the class out.
    """
    values = torch.sigmoid(z) if scores else z
    total = 0.0 * z.sum()
    for c in (1, 0):
        cells = [values[(y == c) & (a == g)] for g in (0, 1)]
        if empty == "zero_mean" or all(map(len, cells)):
            zero, one = (cell.mean() if len(cell) else cell.sum() for cell in cells)
            total = total + zero - one
    return total.abs() / 2


def blend(
    beta: float, prediction: Callable[[Tensor, Tensor], Tensor] = prediction_loss, proxy: Loss | None = None
) -> Loss:
    """beta * prediction loss + (1 - beta) * proxy (Eq. 10); None where beta is 0 and the proxy undefined.

    `proxy` is that of Eqs. 2-4 unless another one is given.
    """

    def loss(z: Tensor, y: Tensor, a: Tensor) -> Tensor | None:
        if beta == 0 and proxy is None and not defined_terms(y, a):
            return None
        if beta == 1:
            return prediction(z, y)
        gap = equalised_odds_proxy(z, y, a) if proxy is None else proxy(z, y, a)
        assert gap is not None
        return (1 - beta) * gap if beta == 0 else beta * prediction(z, y) + (1 - beta) * gap

    return loss


def gradient_by_logits(loss: Loss, z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """The derivative (B,) of any loss by z, by automatic differentiation; 0 where the loss is None."""
    leaf = z.detach().requires_grad_(True)
    value = loss(leaf, y, a)
    return torch.zeros_like(z) if value is None else torch.autograd.grad(value, leaf)[0]


def joint_rate_gap(z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """Gap between the groups of the joint rates P(predicted 1, y = 0) and P(predicted 0, y = 1), on scores.

    Denominators are the sizes of the groups, not of the cells; 0 where a group is absent (LLFT).
    """
    p, one = torch.sigmoid(z), a.to(z.dtype)
    zero = 1 - one
    if not (one.any() and zero.any()):
        return 0.0 * z.sum()
    false_positive, false_negative = p * (1 - y), (1 - p) * y
    return sum(
        ((rate * one).sum() / one.sum() - (rate * zero).sum() / zero.sum()).abs()
        for rate in (false_positive, false_negative)
    )  # type: ignore[return-value]


def soft_true_positive_gap(z: Tensor, y: Tensor, a: Tensor) -> Tensor | None:
    """Mean score of the positives of group 0 minus that of group 1, signed; None where either has none."""
    zero, one = (y == 1) & (a == 0), (y == 1) & (a == 1)
    if not (zero.any() and one.any()):
        return None
    p = torch.sigmoid(z)
    return p[zero].mean() - p[one].mean()


def _cells(y: Tensor, a: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Indices of group 0 and group 1 in each class (1, then 0) that has both."""
    pairs = [
        (torch.nonzero((y == c) & (a == 0)).flatten(), torch.nonzero((y == c) & (a == 1)).flatten()) for c in (1, 0)
    ]
    return [(zero, one) for zero, one in pairs if len(zero) and len(one)]
