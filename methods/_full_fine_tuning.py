"""The common part of the three FullFT methods, which train every weight on one split with one loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Method, Recipe, Run, Sizes, option
from bench.options import fraction

if TYPE_CHECKING:
    from torch import nn

    from bench.learn.losses import Loss, Terms

REFERENCE = {"beta": 10 / 11, "weights": "penalty", "proxy": "signed_half_logit", "empty_cell": "zero_mean"}
"""The loss of BMFT's driver: the prediction loss plus 0.1 times the signed half-sum."""


@dataclass(frozen=True, kw_only=True)
class FullFineTuning(Method):
    """One stage of training."""

    params: Literal["all", "head"] = option(
        "all",
        "Parts that are trained; the routine in SWiFT's public code trains only the head on skin images.",
        source="TwoStageFinetune.py",
    )

    @property
    def changes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"head"} if self.params == "head" else {"extractor", "statistics", "head"})

    def loss(self, run: Run, split: str) -> Loss:
        """Return the loss over a split: the prediction loss alone."""
        return learn.objective(run, split, 1.0)

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        (split,) = self.uses
        images = getattr(sizes, split)
        return (recipe.epochs * images, 0) if self.params != "head" else (0, recipe.drawn(recipe.epochs) * images)

    def fit(self, run: Run) -> nn.Module:
        (split,) = self.uses
        return self.trained(run, self.loss(run, split))

    def trained(self, run: Run, loss: Loss) -> nn.Module:
        """Return the model after training with a loss."""
        (split,), recipe = self.uses, run.recipe
        train, lr = ("features", "head"), recipe.lr_extractor
        if self.params == "head":
            train, lr = ("head",), recipe.lr_head
        return learn.finetune(run, run.model, train=train, loss=loss, split=split, epochs=recipe.epochs, lr=lr)


@dataclass(frozen=True, kw_only=True)
class BiasTerm(Method):
    """The bias term of the loss and its weight: those of the paper, or those of BMFT's public code."""

    weights: Literal["convex", "penalty"] = option(
        "convex",
        "Weights of prediction loss and bias term: beta and 1 - beta (Eq. 10), or 1 and (1 - beta) / beta.",
        source="Eq. 10; BMFT's driver",
    )

    proxy: Literal["paper", "signed_half_logit", "signed_half_score"] = option(
        "paper", "Bias term: Eqs. 2-4, or half the signed sum of gaps of mean logits or scores.", source="BMFT's utils"
    )
    empty_cell: Literal["skip", "zero_mean"] = option(
        "skip",
        "If a class lacks a group in a batch, leave out its term, or take 0 as the missing mean.",
        when={"proxy": ("signed_half_logit", "signed_half_score")},
        source="BMFT's utils",
    )

    def weighted(self, of: Terms, beta: float) -> Loss:
        """Return the loss of two terms; with beta = 0 it is the bias term for both kinds of weights."""
        loss = of.blend(beta)
        if self.weights == "convex" or not beta:
            return loss
        return lambda z, y, a: loss(z, y, a) / beta  # type: ignore[operator]  # None with beta = 0 alone


@dataclass(frozen=True, kw_only=True)
class Penalised(BiasTerm, FullFineTuning):
    """Fine-tuning with prediction loss and bias proxy, weighted by beta (Eq. 10)."""

    presets = {"suite": {}, "paper": {}, "reference": REFERENCE}
    search = {"beta": (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)}

    beta: float = fraction(
        0.9,
        "Weight of the prediction loss; 1 - beta weighs the bias proxy (Eq. 10).",
        source="SWiFT does not give it; BMFT's driver has 10/11",
        other=0.3,
    )

    def loss(self, run: Run, split: str) -> Loss:
        """Return the loss of Eq. 10 over a split."""
        return self.weighted(learn.terms(run, split, proxy=self.proxy, empty=self.empty_cell), self.beta)
