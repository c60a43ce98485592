"""Threshold, gap and balanced accuracy on the validation set, by which DiffGda and DiffPrune keep a state.

Paper: Marcinkevics et al. 2022. Code: i6092467/diff-bias-proxies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import EmptyGroup


@dataclass(frozen=True)
class Standing:
    """How a model stands: its threshold on scores, true-positive-rate gap (group 0 - group 1), balanced accuracy."""

    threshold: float
    gap: float
    balanced_accuracy: float

    def facts(self) -> dict[str, float]:
        return {"threshold": self.threshold, "gap": self.gap, "balanced_accuracy": self.balanced_accuracy}


def measure(z: Tensor, y: Tensor, a: Tensor) -> Standing:
    """Choose the first of the thresholds 0, 0.01, ..., 1 with the largest balanced accuracy; predict p > threshold.

    z, y, a are (N,). Raises EmptyGroup where a group has no positives or there are no negatives.
    """
    p, positive = torch.sigmoid(z.double()), y == 1
    groups = [positive & (a == g) for g in (0, 1)]
    if not all(bool(group.any()) for group in groups) or bool(positive.all()):
        raise EmptyGroup("the validation set has no positives of a group, or no negatives: no threshold can be chosen")
    grid = torch.arange(101, dtype=torch.float64) / 100
    predicted = p[None, :] > grid[:, None]
    rate = lambda rows: predicted[:, rows].double().mean(1)  # noqa: E731
    accuracy = (rate(positive) + 1 - rate(~positive)) / 2
    best = int((accuracy == accuracy.max()).nonzero()[0])
    gap = rate(groups[0])[best] - rate(groups[1])[best]
    return Standing(float(grid[best]), float(gap), float(accuracy[best]))


def accuracy_floor(baseline: Standing, drop: float, least: float) -> float:
    """The balanced accuracy below which a state is not kept."""
    return max(least, baseline.balanced_accuracy - drop)
