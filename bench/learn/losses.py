"""Losses on logits z (B,), labels y (B,) in {0, 1} and groups a (B,) in {0, 1}; always float32 or wider.

No loss asks the device for a number: images are chosen by masks of zeros and ones, so that no shape depends on values
and the host never waits. Which terms a batch has is asked of its labels on the host (`defined_terms`).

Sources: SWiFT (Yan et al., MELBA 2025:015), Eqs. 1-4 and 10. The constraint of LLFT is from the public code of Mao et
al. 2023, the gap of DiffGda and DiffPrune from that of Marcinkevics et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from bench.api import Run

Labels = Tensor | np.ndarray
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
    scores = logsigmoid(z)  # log(sigmoid(z)) is -inf below z of about -88
    return sum(_gap(scores, y == c, a).abs() for c in (1, 0))  # type: ignore[return-value]


def equalised_odds_proxy_gradient(z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """Return the derivative (B,) of `equalised_odds_proxy` by z; 0 for a term that is left out."""
    gradient, scores, slope = torch.zeros_like(z), logsigmoid(z), torch.sigmoid(-z)
    for c in (1, 0):
        sign = torch.sign(_gap(scores, y == c, a))  # 0 for a term that is left out
        for g, direction in ((0, sign), (1, -sign)):
            cell = (y == c) & (a == g)
            gradient = torch.where(cell, direction * slope / cell.sum(), gradient)
    return gradient


def defined_terms(y: Labels, a: Labels) -> int:
    """Return how many of the two terms of the proxy are defined on the batch: 0, 1 or 2.

    Labels and groups are best given as arrays on the host (`Split.known`): of tensors on a GPU the host waits for each.
    """
    return sum(all(bool(((y == c) & (a == g)).any()) for g in (0, 1)) for c in (1, 0))


def signed_half_proxy(
    z: Tensor, y: Tensor, a: Tensor, *, scores: bool, empty: Literal["skip", "zero_mean"] = "skip"
) -> Tensor:
    """Return 0.5 |(v_00 - v_10) + (v_01 - v_11)|, where v_gc is the mean logit or score of group g and class c.

    This is the proxy of BMFT's public code. Gaps of opposite sign cancel. `zero_mean` takes 0 as the mean of an empty
    cell, as that code does, which pulls the other group's mean towards 0; `skip` leaves the class out.
    """
    values = torch.sigmoid(z) if scores else z
    gaps = [_gap(values, y == c, a, zero_mean=empty == "zero_mean") for c in (1, 0)]
    return (gaps[0] + gaps[1]).abs() / 2


@dataclass(frozen=True)
class Blend:
    """The loss beta * prediction loss + (1 - beta) * proxy (Eq. 10); it is called with (z, y, a)."""

    beta: float
    prediction: Callable[[Tensor, Tensor], Tensor] = prediction_loss
    proxy: Loss | None = None
    """None: the proxy of Eqs. 2-4."""

    def defined(self, y: Labels, a: Labels) -> bool:
        """Return whether a batch has any of its terms; see `defined_terms` for where labels and groups should lie."""
        return self.beta != 0 or self.proxy is not None or defined_terms(y, a) > 0

    def value(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor:
        """Return the loss; 0 with gradient 0 where none of its terms is defined."""
        if self.beta == 1:
            return self.prediction(z, y)
        gap = equalised_odds_proxy(z, y, a) if self.proxy is None else self.proxy(z, y, a)
        assert gap is not None
        rest = (1 - self.beta) * gap
        return rest if self.beta == 0 else self.beta * self.prediction(z, y) + rest

    def __call__(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor | None:
        return self.value(z, y, a) if self.defined(y, a) else None


def blend(
    beta: float, prediction: Callable[[Tensor, Tensor], Tensor] = prediction_loss, proxy: Loss | None = None
) -> Blend:
    """Return the loss beta * prediction loss + (1 - beta) * proxy (Eq. 10).

    It is None on a batch if beta is 0 and the proxy is undefined. The default proxy is that of Eqs. 2-4.
    """
    return Blend(beta, prediction, proxy)


def loss_on(loss: Loss, batch: tuple[Tensor, Tensor, Tensor], known: tuple[Labels, Labels]) -> Tensor | None:
    """Return the loss of a batch (z, y, a), whose labels and groups on the host are `known`; None if it is undefined.

    A `Blend` is asked on the host whether it is defined, so that the host does not wait for the device.
    """
    if isinstance(loss, Blend):
        return loss.value(*batch) if loss.defined(*known) else None
    return loss(*batch)


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
    ones, zeros = one.sum(), zero.sum()
    absent = ones * zeros == 0
    ones, zeros = ones.clamp(min=1), zeros.clamp(min=1)
    false_positive, false_negative = (
        ((rate * one).sum() / ones - (rate * zero).sum() / zeros).abs() for rate in (p * (1 - y), (1 - p) * y)
    )
    return (false_positive + false_negative).masked_fill(absent, 0.0)


def soft_true_positive_gap(z: Tensor, y: Tensor, a: Tensor) -> Tensor | None:
    """Return the mean score of the positives of group 0 minus that of group 1; None if either has no positives."""
    return score_gap(z, y, a) if all(bool(((y == 1) & (a == g)).any()) for g in (0, 1)) else None


def score_gap(z: Tensor, stratum: Tensor, a: Tensor) -> Tensor:
    """Return the mean score of the images of a stratum (N,) of zeros and ones in group 0 minus that in group 1.

    It is 0, and so is its gradient, if the stratum lacks a group.
    """
    return _gap(torch.sigmoid(z), stratum == 1, a)


def _gap(values: Tensor, among: Tensor, a: Tensor, *, zero_mean: bool = False) -> Tensor:
    """Return the mean value (B,) of group 0 minus that of group 1 `among` some images; 0 if either group is not there.

    With `zero_mean` only the mean of the group that is not there is 0.
    """
    cells = [among & (a == g) for g in (0, 1)]
    counts = [cell.sum() for cell in cells]
    # Masked by `where`: infinity times zero would be NaN. An empty cell is divided by 1.
    zero, one = (
        torch.where(cell, values, 0.0).sum() / count.clamp(min=1) for cell, count in zip(cells, counts, strict=True)
    )
    return zero - one if zero_mean else torch.where((counts[0] > 0) & (counts[1] > 0), zero - one, 0.0)


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

    def blend(self, beta: float) -> Blend:
        """Return the loss beta * prediction loss + (1 - beta) * proxy (Eq. 10)."""
        return blend(beta, partial(prediction_loss, positive=self.positive, reduction=self.reduction), self.proxy)

    def prediction_gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the derivative (B,) of the prediction loss by z."""
        return prediction_loss_gradient(z, y, self.positive, self.reduction)

    def proxy_defined(self, y: Labels, a: Labels) -> bool:
        """Return whether the proxy has a term on a batch; see `defined_terms` for where labels should lie."""
        return self.proxy is not None or defined_terms(y, a) > 0

    def proxy_gradient(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor:
        """Return the derivative (B,) of the proxy by z; 0 for a term that is left out."""
        if self.proxy is not None:
            return gradient_by_logits(self.proxy, z, y, a)
        return equalised_odds_proxy_gradient(z, y, a)


def terms(run: Run, split: str, *, proxy: ProxyName = "paper", empty: EmptyCell = "skip") -> Terms:
    """Return the two terms of a loss over a split; the recipe and the arguments choose their forms.

    The paper's proxy always leaves out the term of an empty cell; `zero_mean` applies to the signed forms only.
    """
    share = run.split(split).y.mean() if run.recipe.weight_counts == "dataset" else None
    other = None
    if proxy != "paper":
        other = partial(signed_half_proxy, scores=proxy == "signed_half_score", empty=empty)
    return Terms(share, run.recipe.reduction, other)


def objective(run: Run, split: str, beta: float, **choices: str) -> Blend:
    """Return beta * prediction loss + (1 - beta) * proxy (Eq. 10) over a split; `choices` are those of `terms`."""
    return terms(run, split, **choices).blend(beta)  # type: ignore[arg-type]
