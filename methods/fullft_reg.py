"""FullFT-Reg: fine-tune every weight on the unbalanced validation set with a bias penalty.

Paper: Cherepanova et al. 2021 (penalised training); row "FullFT-Reg" of SWiFT, MELBA 2025:015, loss of Eq. 10.
Code: vios-s/BMFT, the driver of its comparison (prediction loss plus 0.1 times a signed half-sum).
Departures:
  1. The bias term is the proxy of Eqs. 2-4, shared by all methods of the suite, not the signed half-sum, in
     which opposite gaps cancel.
  2. beta is 0.9; SWiFT does not give it.
  3. An epoch is longer than the others' by the ratio of the validation to the external set; the cost says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import learn
from bench.api import Method, Run, option

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FullFTReg(Method):
    """Penalised fine-tuning on the validation set as it comes."""

    title = "FullFT-Reg"
    uses = frozenset({"val"})
    row = 3

    beta: float = option(0.9, "Weight of the prediction loss; 1 - beta weighs the bias proxy (Eq. 10).", low=0, high=1)

    def fit(self, run: Run) -> nn.Module:
        recipe = run.recipe
        return learn.finetune(
            run, run.model, loss=learn.blend(self.beta), split="val", epochs=recipe.epochs, lr=recipe.lr_extractor
        )
