"""SWiFT: fine-tune the extractor through a soft mask, then a partly reset head.

Paper: Yan et al., SWiFT: Soft-Mask Weight Fine-tuning for Bias Mitigation, MELBA 2025:015, Eqs. 1-12.
Code: vios-s/SWiFT, TwoStageFinetune.py (its losses and metrics are in files that are missing there).
Departures:
  1. Prediction loss averaged, counts per batch, as the code; the paper writes a sum and does not say.
  2. Importances on the external set, as the paper; the code takes the unbalanced validation set.
  3. Importances scaled per parameter tensor, as the code; the paper says per layer. A constant tensor keeps
     its raw values, as the code.
  4. The head's bias is never reset, as in effect in the code; the paper counts it among the entries.
  5. The epochs of the recipe are split over the two steps, which agrees with the code's defaults.
  6. The extractor is in evaluation mode in the second step; in the code its BatchNorm statistics move.
  7. Adam cancels a constant mask on gradients (its step does not depend on their scale). The default stays
     literal; `apply=update` masks the update instead. SGD's weight decay passes the mask likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Method, Run, option

if TYPE_CHECKING:
    from torch import Tensor, nn


def reset_share(weight: Tensor, mask: Tensor) -> float:
    """Set the entries of `weight` at which `mask` is at least its own mean to 0 (Eq. 12); return their share.

    A constant mask names no entry as biased: nothing is reset.
    """
    import torch

    if mask.max() == mask.min():
        return 0.0
    chosen = mask >= mask.mean()
    with torch.no_grad():
        weight.masked_fill_(chosen, 0.0)
    return float(chosen.float().mean())


@dataclass(frozen=True, kw_only=True)
class SWiFT(Method):
    """Two steps whose losses swap their weights; the mask says how far each weight may move."""

    title = "SWiFT"
    uses = frozenset({"external"})
    row = 10

    epsilon: float | None = option(
        None, "Weight of the prediction loss in step 1, of the bias proxy in step 2; none: the recipe's.", low=0, high=1
    )
    apply: Literal["gradient", "update"] = option(
        "gradient", "What the mask multiplies: the gradient (Eq. 11), or the optimiser's update."
    )

    def fit(self, run: Run) -> nn.Module:
        net, recipe, epochs = run.model, run.recipe, run.recipe.epochs // 2
        epsilon = recipe.epsilon if self.epsilon is None else self.epsilon
        mask = learn.soft_mask(learn.importance_ratio(*learn.fisher_importances(run, net, "external")))
        if self.apply == "gradient" and recipe.optimiser == "adam":
            run.warn("SWiFT masks gradients, which Adam's step all but cancels; swift:apply=update masks the update")
        learn.finetune(
            run,
            net,
            train=("features",),
            loss=learn.blend(epsilon),
            split="external",
            epochs=epochs,
            lr=recipe.lr_extractor,
            mask=mask,
            apply=self.apply,
            stage="step 1",
        )
        share = reset_share(net.linear.weight, mask["head.1.weight"])
        run.log(mask=learn.mask_summary(mask), gamma=float(mask["head.1.weight"].mean()), reset_share=share)
        return learn.finetune(
            run,
            net,
            train=("head",),
            loss=learn.blend(1 - epsilon),
            split="external",
            epochs=epochs,
            lr=recipe.lr_head,
            stage="step 2",
        )
