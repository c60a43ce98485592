"""The loss of a run: its two terms, as recipe and method choose them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from bench.api import Run
from bench.learn.losses import (
    Loss,
    blend,
    defined_terms,
    equalised_odds_proxy_gradient,
    gradient_by_logits,
    prediction_loss,
    prediction_loss_gradient,
    signed_half_proxy,
)

ProxyName = Literal["paper", "signed_half_logit", "signed_half_score"]
EmptyCell = Literal["skip", "zero_mean"]


@dataclass(frozen=True)
class Terms:
    """Prediction loss and bias proxy of one run, and their derivatives by the logits."""

    positive: Tensor | None
    """Share of positives by which the prediction loss weighs the classes; None: that of each batch."""
    reduction: Literal["mean", "sum"]
    proxy: Loss | None
    """None: the proxy of Eqs. 2-4."""

    def blend(self, beta: float) -> Loss:
        """beta * prediction loss + (1 - beta) * proxy (Eq. 10)."""
        return blend(beta, partial(prediction_loss, positive=self.positive, reduction=self.reduction), self.proxy)

    def prediction_gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """The derivative (B,) of the prediction loss by z."""
        return prediction_loss_gradient(z, y, self.positive, self.reduction)

    def proxy_gradient(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor | None:
        """The derivative (B,) of the proxy by z; None where the batch defines no term of it."""
        if self.proxy is not None:
            return gradient_by_logits(self.proxy, z, y, a)
        return equalised_odds_proxy_gradient(z, y, a) if defined_terms(y, a) else None


def terms(run: Run, split: str, *, proxy: ProxyName = "paper", empty: EmptyCell = "skip") -> Terms:
    """Return the two terms of a loss over a split, as recipe and method choose them.

    With the paper's proxy an empty cell drops its term; `zero_mean` belongs to the signed forms of the public code.
    """
    share = run.split(split).y.mean() if run.recipe.weight_counts == "dataset" else None
    other = None
    if proxy != "paper":
        other = partial(signed_half_proxy, scores=proxy == "signed_half_score", empty=empty)
    return Terms(share, run.recipe.reduction, other)


def objective(run: Run, split: str, beta: float, **choices: str) -> Loss:
    """Return beta * prediction loss + (1 - beta) * proxy (Eq. 10) over a split, as the recipe says."""
    return terms(run, split, **choices).blend(beta)  # type: ignore[arg-type]
