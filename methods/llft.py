"""LLFT: train a new last layer on frozen features with an equalised-odds constraint.

Paper: Mao et al. 2023, Last-Layer Fairness Fine-tuning; row "LLFT" of SWiFT, MELBA 2025:015.
Code: yuzhenmao/Fairness-Finetuning, CelebA.py, method M2. Optimiser, schedule, stopping rule and constraint are those
of its first commits (2ad4db5 to 00b9cc0, January 2023). The last commit, f290e3b, has neither schedule nor stop and
weights the classes; `preset=reference` is that commit.
Departures:
  1. The data are the external set. The original uses training and validation data, with equal numbers for each group
     and class (D38).
  2. The prediction term is the weighted cross-entropy of the suite. The first commits have no class weights, which
     shifts scores of rare classes away from the threshold 0.5 (prediction=plain). The last commit divides the weighted
     cross-entropy by the sum of the weights (prediction=balanced). With a share s of positives that of the suite is
     2 s (1 - s) times as large, so the same alpha weighs the constraint 2 times as much at half positives and 17 times
     as much at 3 % (D76).
  3. The head keeps the dropout that all methods share. The original has no dropout (head_dropout=0).
  4. SWiFT does not give constraint and budget; both are those of the original. The proxy of SWiFT and the budget of the
     other methods are constraint=eq10 and budget=recipe (D37).
  5. The prediction term is a mean with the class counts of its batch, by default the whole set. The recipe does not
     change this (D03).
  6. The original has two logits, whose difference is the one of the suite. It moves at twice the rate with half the
     decay, so that lr=0.02 and weight_decay=0.00025 are its 0.01 and 0.0005, and starts as the difference of two draws.
     The original adds 1e-5 to the sizes of the groups in the constraint.
  7. The stop is judged on the loss without dropout. Dropout still moves the weights by chance, so that the stop comes
     earlier with it than without it.
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
LAST_COMMIT = {"prediction": "balanced", "head_dropout": 0.0, "lr": 0.02, "weight_decay": 2.5e-4}
LAST_COMMIT |= {"halve_every": 0, "patience": 0, "batch": 0}
"""Parameters of f290e3b, by departures 2, 3 and 6."""
of_sgd = partial(option, when={"budget": "converge"}, source=CODE)


@dataclass(frozen=True, kw_only=True)
class LLFT(Method):
    """Last-layer retraining with a penalty on the gap; the extractor does not change."""

    title = "LLFT"
    uses = frozenset({"external"})
    changes = frozenset({"head"})
    row = 5
    version = 2
    presets = {"suite": {}, "paper": {"budget": "recipe"}, "reference": LAST_COMMIT}
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
    prediction: Literal["weighted", "plain", "balanced"] = option(
        "weighted",
        "Cross-entropy with the class weights of the suite, without weights, or divided by the sum of the weights.",
        source=f"SWiFT, Eq. 1; {CODE}: plain in its first commits, balanced in its last",
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
    lr: float = of_sgd(1e-2, "Learning rate of SGD.", low=0, other=0.1)
    halve_every: int = of_sgd(100, "Epochs after which the learning rate is halved; 0: never.", low=0, other=1)
    momentum: float = of_sgd(0.9, "Momentum of SGD.", low=0, high=1, other=0.0)
    weight_decay: float = of_sgd(5e-4, "Weight decay of SGD.", low=0, other=0.1)
    max_epochs: int = of_sgd(1000, "Maximum number of epochs.", low=0, other=20)
    min_epochs: int = of_sgd(50, "Number of epochs before the stopping rule applies.", low=0, other=200)
    patience: int = of_sgd(
        3,
        "Stop after this many consecutive epochs without a decrease of the loss without dropout; 0: never.",
        low=0,
        other=20,
    )
    batch: int = of_sgd(6300, "Images per step: all, or this many if there are more; 0: all.", low=0, other=32)

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
        bound, rng = linear.in_features**-0.5 if self.initial == "default" else 0.0, run.rng("init")
        with torch.no_grad():
            for parameter in linear.parameters():
                # The generator is of the CPU, so that the numbers do not depend on the device.
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=rng))

    def loss(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor:
        """Return prediction loss + alpha * joint-rate gap, or beta * prediction loss + (1 - beta) * proxy."""
        import torch

        plain = torch.nn.functional.binary_cross_entropy_with_logits
        prediction = plain(z, y) if self.prediction == "plain" else learn.prediction_loss(z, y)
        if self.prediction == "balanced":
            # A batch of one class has weights, and a loss, of 0.
            prediction = prediction / (2 * y.mean() * (1 - y.mean())).clamp(min=1e-10)
        if self.constraint == "joint_rates":
            return prediction + self.alpha * learn.joint_rate_gap(z, y, a)
        return self.beta * prediction + (1 - self.beta) * learn.equalised_odds_proxy(z, y, a)

    def train_head(self, run: Run, head: nn.Module, features: Tensor, y: Tensor, a: Tensor) -> None:
        """Minimise the loss over features (N, D) until it stalls without dropout."""
        import torch

        linear = head.requires_grad_(True).train().get_submodule("1")
        size, halve_every = self.batch or len(features), self.halve_every or self.max_epochs + 1
        optimiser = torch.optim.SGD(
            head.parameters(), lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=halve_every, gamma=0.5)
        losses, rises, lengths = [], 0, [len(part) for part in features.split(size)]
        for epoch in range(self.max_epochs):
            found: list[Tensor] = []
            parts = (tensor.split(size) for tensor in (features, y, a))
            for h, y_part, a_part in zip(*parts, strict=True):
                with torch.no_grad():
                    found.append(self.loss(linear(h).squeeze(1), y_part, a_part))
                loss = self.loss(head(h).squeeze(1), y_part, a_part)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
            each = torch.stack(found).cpu().tolist() if found else []  # read once an epoch
            total = sum(loss * n / len(features) for loss, n in zip(each, lengths, strict=True))
            rises = rises + 1 if losses and epoch >= self.min_epochs and total >= losses[-1] else 0
            losses.append(total)
            if rises == self.patience > 0:
                break
        run.log(epochs=len(losses), loss=losses[-1] if losses else None)
