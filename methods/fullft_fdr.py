"""FullFT-FDR: fine-tune every weight on the balanced external set with a bias penalty.

Paper: Le et al. 2023; row "FullFT-FDR" of SWiFT, MELBA 2025:015, loss of Eq. 10.
Code: vios-s/BMFT, where the same comparison is called "RW + Reg".
Departures:
  1. Le et al. study last-layer retraining and do not define this loss; the suite follows SWiFT's row.
  2. beta is 0.9; SWiFT does not give it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import learn
from bench.api import Method, Run, option

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FullFTFDR(Method):
    """Penalised fine-tuning on the balanced external set."""

    title = "FullFT-FDR"
    uses = frozenset({"external"})
    row = 4

    beta: float = option(0.9, "Weight of the prediction loss; 1 - beta weighs the bias proxy (Eq. 10).", low=0, high=1)

    def fit(self, run: Run) -> nn.Module:
        recipe = run.recipe
        return learn.finetune(
            run, run.model, loss=learn.blend(self.beta), split="external", epochs=recipe.epochs, lr=recipe.lr_extractor
        )
