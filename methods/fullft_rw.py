"""FullFT-RW: fine-tune every weight on the balanced external set with the prediction loss alone.

Paper: Zhang et al. 2022 (balanced empirical risk minimisation); row "FullFT-RW" of SWiFT, MELBA 2025:015.
Code: vios-s/SWiFT, TwoStageFinetune.py.
Departures:
  1. All weights are trained on skin images too, as the paper says; the routine that survives in the public
     code of SWiFT trains the head alone there.
  2. Zhang et al. balance by drawing equal minibatches of each group; here, as in SWiFT, by the external set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import learn
from bench.api import Method, Run

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FullFTRW(Method):
    """Balanced fine-tuning without a bias term."""

    title = "FullFT-RW"
    uses = frozenset({"external"})
    row = 2

    def fit(self, run: Run) -> nn.Module:
        recipe = run.recipe
        return learn.finetune(
            run, run.model, loss=learn.blend(1.0), split="external", epochs=recipe.epochs, lr=recipe.lr_extractor
        )
