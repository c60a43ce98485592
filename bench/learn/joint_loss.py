"""The prediction loss of a network with an output for each of several findings, some of whose labels are unknown."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from bench.api import Run
from bench.learn.losses import Loss


def joint_loss(
    z: Tensor,
    y: Tensor,
    a: Tensor,
    *,
    combinations: Tensor,
    positive: Tensor | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Return the mean over findings of the weighted binary cross-entropy (Eq. 1) on the images whose label is known.

    A finding without a known label in the batch has loss 0 and gradient 0.

    Args:
        z: logits (B, K), one for each finding.
        y: the number (B,) of the labels of each image among the `combinations` (C, K), which are 1, 0 or NaN.
        a: not read.
        positive: the share (K,) of positives that gives the class weights; None: that of the batch.
        reduction: over the images of a finding.
    """
    z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
    labels = combinations[y.long()]
    known = ~labels.isnan()
    one = torch.where(known, labels, 0.0)
    zero = torch.where(known, 1 - labels, 0.0)
    n = known.sum(dim=0).clamp(min=1)
    share = one.sum(dim=0) / n if positive is None else positive
    losses = ((1 - share) * one * softplus(-z) + share * zero * softplus(z)).sum(dim=0)
    return (losses / n).mean() if reduction == "mean" else losses.mean()


def joint_objective(run: Run, split: str, combinations: Tensor) -> Loss:
    """Return `joint_loss` over a split, with class weights and reduction of the recipe."""
    positive = None
    if run.recipe.weight_counts == "dataset":
        positive = combinations[run.split(split).y.long()].nanmean(dim=0)
    return partial(joint_loss, combinations=combinations, positive=positive, reduction=run.recipe.reduction)
