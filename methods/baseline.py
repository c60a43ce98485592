"""Baseline: the pre-trained classifier without mitigation.

Paper: Yan et al., SWiFT, MELBA 2025:015, Section 4.3.
Code: none needed; the harness trains the fold's baseline once and every method starts from a copy of it.
Departures:
  1. The last epoch is kept. The public code keeps the epoch with the best validation AUC, clips gradients and lowers
     the learning rate on a plateau (D31; pretrain_checkpoint, pretrain_clip, pretrain_plateau of the recipe).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.api import Method, Recipe, Run, Sizes

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Baseline(Method):
    """Return the baseline unchanged."""

    title = "Baseline"
    uses = frozenset()
    changes = frozenset()
    row = 1
    presets = {"suite": {}, "paper": {}, "reference": {}}

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        return 0, 0  # pre-training is counted by the harness, once for all tasks that share it

    def fit(self, run: Run) -> nn.Module:
        return run.model
