"""The common part of the three FullFT methods, which train every weight on one split with one loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Method, Recipe, Run, Sizes, option
from bench.options import fraction

if TYPE_CHECKING:
    from torch import nn

    from bench.learn.losses import Loss

REFERENCE = {"beta": 10 / 11, "proxy": "signed_half_logit", "empty_cell": "zero_mean"}
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
        (split,), recipe = self.uses, run.recipe
        train, lr = ("features", "head"), recipe.lr_extractor
        if self.params == "head":
            train, lr = ("head",), recipe.lr_head
        loss = self.loss(run, split)
        return learn.finetune(run, run.model, train=train, loss=loss, split=split, epochs=recipe.epochs, lr=lr)


@dataclass(frozen=True, kw_only=True)
class BiasTerm(Method):
    """The bias term of the loss: the proxy of the paper, or that of BMFT's public code."""

    proxy: Literal["paper", "signed_half_logit", "signed_half_score"] = option(
        "paper", "Bias term: Eqs. 2-4, or half the signed sum of gaps of mean logits or scores.", source="BMFT's utils"
    )
    empty_cell: Literal["skip", "zero_mean"] = option(
        "skip",
        "If a class lacks a group in a batch, leave out its term, or take 0 as the missing mean.",
        when={"proxy": ("signed_half_logit", "signed_half_score")},
        source="BMFT's utils",
    )


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
        return learn.objective(run, split, self.beta, proxy=self.proxy, empty=self.empty_cell)
