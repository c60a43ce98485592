"""Losses on logits z (B,), labels y (B,) in {0, 1} and groups a (B,) in {0, 1}; always float32 or wider.

Sources: SWiFT (Yan et al., MELBA 2025:015), Eqs. 1-4 and 10. The constraint of LLFT is from the public code of Mao et
al. 2023, the gap of DiffGda and DiffPrune from that of Marcinkevics et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from bench.api import Run

Loss = Callable[[Tensor, Tensor, Tensor], Tensor | None]
"""(z, y, a) -> scalar, or None if none of its terms is defined on the batch."""


def prediction_loss(
    z: Tensor, y: Tensor, positive: Tensor | None = None, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Return the weighted binary cross-entropy (Eq. 1); the class weights follow from the share `positive`.

    None means the share of positives in the batch; a batch of one class then has loss 0 and gradient 0. The paper
    writes a sum and does not say over which images classes are counted; its public code takes the mean and counts
    within the batch (D03).
    """
    z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
    positive = y.mean() if positive is None else positive
    losses = (1 - positive) * y * softplus(-z) + positive * (1 - y) * softplus(z)
    return losses.mean() if reduction == "mean" else losses.sum()


def prediction_loss_gradient(
    z: Tensor, y: Tensor, positive: Tensor | None = None, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Return the derivative (B,) of `prediction_loss` by z."""
    p, positive = torch.sigmoid(z), y.mean() if positive is None else positive
    gradient = (1 - positive) * y * (p - 1) + positive * (1 - y) * p
    return gradient / len(z) if reduction == "mean" else gradient


def equalised_odds_proxy(z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """Return |mu_01 - mu_11| + |mu_00 - mu_10|, where mu_gc is the mean log score of group g and class c (Eqs. 2-4).

    A term is left out (value and gradient 0) if its class lacks one of the groups; `defined_terms` counts the others.
    """
    z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
    value = 0.0 * z.sum()
    scores = logsigmoid(z)  # log(sigmoid(z)) is -inf below z of about -88
    for one, other in _cells(y, a):
        value = value + (scores[one].mean() - scores[other].mean()).abs()
    return value


def equalised_odds_proxy_gradient(z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """Return the derivative (B,) of `equalised_odds_proxy` by z; 0 for a term that is left out."""
    gradient, scores, slope = torch.zeros_like(z), logsigmoid(z), torch.sigmoid(-z)
    for one, other in _cells(y, a):
        sign = torch.sign(scores[one].mean() - scores[other].mean())
        gradient[one] = sign * slope[one] / len(one)
        gradient[other] = -sign * slope[other] / len(other)
    return gradient


def defined_terms(y: Tensor, a: Tensor) -> int:
    """Return how many of the two terms of the proxy are defined on the batch: 0, 1 or 2."""
    return len(_cells(y, a))


def signed_half_proxy(
    z: Tensor, y: Tensor, a: Tensor, *, scores: bool, empty: Literal["skip", "zero_mean"] = "skip"
) -> Tensor:
    """Return 0.5 |(v_00 - v_10) + (v_01 - v_11)|, where v_gc is the mean logit or score of group g and class c.

    This is the proxy of BMFT's public code. Gaps of opposite sign cancel. `zero_mean` takes 0 as the mean of an empty
    cell, as that code does, which pulls the other group's mean towards 0; `skip` leaves the class out.
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
    """Return the loss beta * prediction loss + (1 - beta) * proxy (Eq. 10).

    It is None on a batch if beta is 0 and the proxy is undefined. The default proxy is that of Eqs. 2-4.
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
    """Return the derivative (B,) of any loss by z, by automatic differentiation; 0 if the loss is None."""
    leaf = z.detach().requires_grad_(True)
    value = loss(leaf, y, a)
    return torch.zeros_like(z) if value is None else torch.autograd.grad(value, leaf)[0]


def joint_rate_gap(z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """Return the gaps of the joint rates P(predicted 1, y = 0) and P(predicted 0, y = 1) between groups, added (LLFT).

    Rates are means of scores. Their denominators are the sizes of the groups, not of the cells. The gap is 0 if a group
    is absent.
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
    """Return the mean score of the positives of group 0 minus that of group 1; None if either has no positives."""
    zero, one = (y == 1) & (a == 0), (y == 1) & (a == 1)
    if not (zero.any() and one.any()):
        return None
    p = torch.sigmoid(z)
    return p[zero].mean() - p[one].mean()


def _cells(y: Tensor, a: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the indices of group 0 and group 1 in each class (1, then 0) that has both groups."""
    cells = [[torch.nonzero((y == c) & (a == g)).flatten() for g in (0, 1)] for c in (1, 0)]
    return [(zero, one) for zero, one in cells if len(zero) and len(one)]


ProxyName = Literal["paper", "signed_half_logit", "signed_half_score"]
EmptyCell = Literal["skip", "zero_mean"]


@dataclass(frozen=True)
class Terms:
    """The prediction loss and the bias proxy of a run, and their derivatives by the logits."""

    positive: Tensor | None
    """Share of positives that gives the class weights of the prediction loss; None: the share in each batch."""
    reduction: Literal["mean", "sum"]
    proxy: Loss | None
    """None: the proxy of Eqs. 2-4."""

    def blend(self, beta: float) -> Loss:
        """Return the loss beta * prediction loss + (1 - beta) * proxy (Eq. 10)."""
        return blend(beta, partial(prediction_loss, positive=self.positive, reduction=self.reduction), self.proxy)

    def prediction_gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the derivative (B,) of the prediction loss by z."""
        return prediction_loss_gradient(z, y, self.positive, self.reduction)

    def proxy_gradient(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor | None:
        """Return the derivative (B,) of the proxy by z; None if none of its terms is defined on the batch."""
        if self.proxy is not None:
            return gradient_by_logits(self.proxy, z, y, a)
        return equalised_odds_proxy_gradient(z, y, a) if defined_terms(y, a) else None


def terms(run: Run, split: str, *, proxy: ProxyName = "paper", empty: EmptyCell = "skip") -> Terms:
    """Return the two terms of a loss over a split; the recipe and the arguments choose their forms.

    The paper's proxy always leaves out the term of an empty cell; `zero_mean` applies to the signed forms only.
    """
    share = run.split(split).y.mean() if run.recipe.weight_counts == "dataset" else None
    other = None
    if proxy != "paper":
        other = partial(signed_half_proxy, scores=proxy == "signed_half_score", empty=empty)
    return Terms(share, run.recipe.reduction, other)


def objective(run: Run, split: str, beta: float, **choices: str) -> Loss:
    """Return beta * prediction loss + (1 - beta) * proxy (Eq. 10) over a split; `choices` are those of `terms`."""
    return terms(run, split, **choices).blend(beta)  # type: ignore[arg-type]
