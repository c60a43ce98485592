"""LLFT: train a new last layer on frozen features with an equalised-odds constraint.

Paper: Mao et al. 2023, Last-Layer Fairness Fine-tuning; row "LLFT" of SWiFT, MELBA 2025:015.
Code: yuzhenmao/Fairness-Finetuning, CelebA.py, method M2: optimiser, schedule, stopping rule and constraint.
Departures:
  1. The data are the external set. The original uses training and validation data, with equal numbers for each group
     and class (D38).
  2. The prediction term is the weighted cross-entropy of the suite. The original has no class weights, which shifts
     scores of rare classes away from the threshold 0.5 (prediction=plain).
  3. The head keeps the dropout that all methods share. The original has no dropout (head_dropout=0).
  4. SWiFT does not give constraint and budget; both are those of the original. The proxy of SWiFT and the budget of the
     other methods are constraint=eq10 and budget=recipe (D37).
  5. The prediction term is a mean with the class counts of its batch, by default the whole set. The recipe does not
     change this (D03).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Method, Recipe, Run, Sizes, option
from bench.options import fraction

if TYPE_CHECKING:
    from torch import Tensor, nn

CODE = "CelebA.py, Finetune"
of_sgd = partial(option, when={"budget": "converge"}, source=CODE)


@dataclass(frozen=True, kw_only=True)
class LLFT(Method):
    """Last-layer retraining with a penalty on the gap; the extractor does not change."""

    title = "LLFT"
    uses = frozenset({"external"})
    changes = frozenset({"head"})
    row = 5
    presets = {"suite": {}, "paper": {"budget": "recipe"}, "reference": {"prediction": "plain", "head_dropout": 0.0}}
    search = {"alpha": (0.5, 1.0, 2.0, 5.0)}

    constraint: Literal["joint_rates", "eq10"] = option(
        "joint_rates",
        "Term that is added to the prediction loss: the gaps of joint error rates, or the proxy of SWiFT.",
        source="utils.py, eo_constraint; SWiFT, Eqs. 2-4",
    )
    alpha: float = option(
        2.0, "Weight of the joint-rate gap.", low=0, when={"constraint": "joint_rates"}, source=CODE, other=5.0
    )
    beta: float = fraction(
        0.9,
        "Weight of the prediction loss; 1 - beta weights the proxy (Eq. 10).",
        when={"constraint": "eq10"},
        source="SWiFT, Eq. 10",
        other=0.5,
    )
    prediction: Literal["weighted", "plain"] = option(
        "weighted", "Cross-entropy with the class weights of the suite, or without.", source=f"SWiFT, Eq. 1; {CODE}"
    )
    initial: Literal["default", "zero", "keep"] = option(
        "default", "Initial head: uniform within 1/sqrt(D), zeros, or the baseline's.", source=CODE
    )
    head_dropout: float = fraction(0.5, "Dropout before the last layer while it is trained.", source=CODE, other=0.0)
    budget: Literal["converge", "recipe"] = option(
        "converge",
        "Full-batch SGD without augmentation until the loss stalls, or the epochs, batches, augmentation, optimiser "
        "and learning rate of the recipe.",
        source=f"{CODE}; SWiFT, which trains all methods alike",
    )
    lr: float = of_sgd(1e-2, "Learning rate of SGD, halved every 100 epochs.", low=0, other=0.1)
    momentum: float = of_sgd(0.9, "Momentum of SGD.", low=0, high=1, other=0.0)
    weight_decay: float = of_sgd(5e-4, "Weight decay of SGD.", low=0, other=0.1)
    max_epochs: int = of_sgd(1000, "Maximum number of epochs.", low=0, other=20)
    min_epochs: int = of_sgd(50, "Minimum number of epochs before the stopping rule applies.", low=0, other=200)
    patience: int = of_sgd(
        3, "Stop after this many consecutive epochs without a decrease of the training loss.", low=1, other=20
    )
    batch: int = of_sgd(6300, "Images per step: all, or this many if there are more.", low=1, other=32)

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        return 0, (recipe.drawn(recipe.epochs) if self.budget == "recipe" else 1) * sizes.external

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, data = run.model, run.split("external")
        dropout = net.head[0]
        assert isinstance(dropout, torch.nn.Dropout)
        dropout.p = self.head_dropout
        self.reset(run, net.linear)
        if self.budget == "recipe":
            epochs, lr = run.recipe.epochs, run.recipe.lr_head
            return learn.finetune(
                run, net, train=("head",), loss=self.loss, split="external", epochs=epochs, lr=lr, stage="head"
            )
        learn.freeze(net)
        features = learn.FrozenFeatures(net.features, data, run.recipe.batch).upright()
        with learn.seeded(run.rng("dropout")):
            self.train_head(run, net.head, features, data.y, data.a)
        return net.requires_grad_(True).eval()

    def reset(self, run: Run, linear: nn.Linear) -> None:
        """Set the initial weights of the last layer."""
        import torch

        if self.initial == "keep":
            return
        bound = linear.in_features**-0.5 if self.initial == "default" else 0.0
        with torch.no_grad():
            for parameter in linear.parameters():
                # The generator is of the CPU, so that the numbers do not depend on the device.
                initial = torch.empty(parameter.shape).uniform_(-bound, bound, generator=run.rng("init"))
                parameter.copy_(initial)

    def loss(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor:
        """Return prediction loss + alpha * joint-rate gap, or beta * prediction loss + (1 - beta) * proxy."""
        import torch

        plain = torch.nn.functional.binary_cross_entropy_with_logits
        prediction = learn.prediction_loss(z, y) if self.prediction == "weighted" else plain(z, y)
        if self.constraint == "joint_rates":
            return prediction + self.alpha * learn.joint_rate_gap(z, y, a)
        return self.beta * prediction + (1 - self.beta) * learn.equalised_odds_proxy(z, y, a)

    def train_head(self, run: Run, head: nn.Module, features: Tensor, y: Tensor, a: Tensor) -> None:
        """Minimise the loss over features (N, D) until it stalls."""
        import torch

        head.requires_grad_(True).train()
        optimiser = torch.optim.SGD(
            head.parameters(), lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=100, gamma=0.5)
        losses, rises = [], 0
        for epoch in range(self.max_epochs):
            total = 0.0
            parts = (tensor.split(self.batch) for tensor in (features, y, a))
            for h, y_part, a_part in zip(*parts, strict=True):
                loss = self.loss(head(h).squeeze(1), y_part, a_part)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += float(loss.detach()) * len(h) / len(features)
            schedule.step()
            rises = rises + 1 if losses and total >= losses[-1] else 0
            losses.append(total)
            if epoch + 1 >= self.min_epochs and rises >= self.patience:
                break
        run.log(epochs=len(losses), loss=losses[-1] if losses else None)
