"""FullFT-Reg: fine-tune every weight on the unbalanced validation set with a bias penalty.

Paper: Cherepanova et al. 2021 (penalised training); row "FullFT-Reg" of SWiFT, MELBA 2025:015, loss of Eq. 10.
Code: vios-s/BMFT, the driver of its comparison (prediction loss plus 0.1 times a signed half-sum).
Departures:
  1. The bias term is the proxy of Eqs. 2-4, shared by all methods of the suite, not the signed half-sum, in
     which opposite gaps cancel (D26; proxy).
  2. beta is 0.9; SWiFT does not give it.
  3. An epoch is longer than the others' by the ratio of the validation to the external set; the cost says so
     (budget=steps takes as many steps as FullFT-FDR, in whole epochs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.api import Run, option

from ._full_fine_tuning import REFERENCE, Penalised

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FullFTReg(Penalised):
    """Penalised fine-tuning on the validation set as it comes."""

    title = "FullFT-Reg"
    row = 3
    presets = {"suite": {}, "paper": {}, "reference": REFERENCE}
    search = {"beta": (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)}

    budget: Literal["epochs", "steps"] = option(
        "epochs", "Train for the recipe's epochs, or for about as many steps as these are on the external set.",
        source="the paper counts epochs", other="steps",
    )  # fmt: skip

    @property
    def uses(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"val"} if self.budget == "epochs" else {"val", "external"})

    def fit(self, run: Run) -> nn.Module:
        epochs = run.recipe.epochs
        if self.budget == "steps":
            epochs = max(min(epochs, 1), round(epochs * len(run.split("external")) / len(run.split("val"))))
        return self.train(run, "val", self.loss(run, "val"), epochs)
