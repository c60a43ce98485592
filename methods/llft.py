"""LLFT: fit a fresh last layer on frozen features under an equalised-odds constraint.

Paper: Mao et al. 2023, Last-Layer Fairness Fine-tuning; row "LLFT" of SWiFT, MELBA 2025:015.
Code: yuzhenmao/Fairness-Finetuning, method M2: optimiser, schedule, stopping rule and constraint.
Departures:
  1. The data are the external set; the original takes training and validation data in four equal cells.
  2. The prediction term is the weighted cross-entropy of the suite; the original's unweighted one shifts the
     threshold of 0.5 on rare classes.
  3. The head keeps the dropout that all methods share; the original has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import learn
from bench.api import Method, Run, option

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class LLFT(Method):
    """Last-layer retraining with a gap penalty; the extractor is untouched."""

    title = "LLFT"
    uses = frozenset({"external"})
    row = 5

    alpha: float = option(2.0, "Weight of the gap between the groups' joint error rates.", low=0)
    lr: float = option(1e-2, "Learning rate of SGD, halved every 100 epochs.", low=0)
    momentum: float = option(0.9, "Momentum of SGD.", low=0, high=1)
    weight_decay: float = option(5e-4, "Weight decay of SGD.", low=0)
    max_epochs: int = option(1000, "Epochs at most.", low=0)
    min_epochs: int = option(50, "Epochs before the stopping rule applies.", low=0)
    patience: int = option(3, "Stop after so many epochs in a row in which the training loss did not decrease.", low=1)
    batch: int = option(6300, "Images per step: all of them, unless there are more than this.", low=1)

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, data = run.model, run.split("external")
        learn.freeze(net)
        features = learn.FrozenFeatures(net.features, data, run.recipe.batch).upright()
        linear = net.head[1]
        bound = features.shape[1] ** -0.5
        for parameter in linear.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound, generator=run.rng("init"))
        with learn.seeded(run.rng("dropout")):
            self.train_head(run, net.head, features, data.y, data.a)
        return net.requires_grad_(True).eval()

    def train_head(self, run: Run, head: nn.Module, features: Tensor, y: Tensor, a: Tensor) -> None:
        """Minimise prediction loss + alpha * joint-rate gap over features (N, D)."""
        import torch

        head.requires_grad_(True).train()
        optimiser = torch.optim.SGD(
            head.parameters(), lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=100, gamma=0.5)
        losses, rises = [], 0
        for epoch in range(self.max_epochs):
            total = 0.0
            for h, y_part, a_part in zip(
                features.split(self.batch), y.split(self.batch), a.split(self.batch), strict=True
            ):
                z = head(h).squeeze(1)
                loss = learn.prediction_loss(z, y_part) + self.alpha * learn.joint_rate_gap(z, y_part, a_part)
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
