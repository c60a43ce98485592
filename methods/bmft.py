"""BMFT: fine-tune the weights that matter to the bias, then a head started from zero.

Paper: Xue et al. 2024, BMFT: Achieving Fairness via Bias-based Weight Masking Fine-tuning.
Code: vios-s/BMFT: the rate, the losses of the two steps, the zeroed head.
Departures:
  1. Mask and both steps use the external set, as SWiFT says; the public code takes the unbalanced validation
     set without augmentation for the mask and the first step.
  2. The bias term is the proxy of Eqs. 2-4 of SWiFT, so that the two methods differ by what SWiFT says is new;
     the public code has a signed half-sum and counts an empty cell as 0.
  3. The frozen head is out of the first step's optimiser; in the public code weight decay shrinks it.
  4. The extractor is in evaluation mode in the second step; in the public code its BatchNorm statistics move.
  5. A tensor of equal entries keeps its raw importance; the public code divides 0 by 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import learn
from bench.api import Method, Run, option

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class BMFT(Method):
    """A hard mask over the extractor, a bias-only first step, a head from zero in the second."""

    title = "BMFT"
    uses = frozenset({"external"})
    row = 9

    rate: float = option(0.5, "Share of the extractor's weights that the first step may move.", low=0, high=1)
    beta1: float = option(0.0, "Weight of the prediction loss in the first step (Eq. 10).", low=0, high=1)
    beta2: float = option(10 / 11, "Weight of the prediction loss in the second step; 10/11 is 1 : 0.1.", low=0, high=1)

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, recipe, epochs = run.model, run.recipe, run.recipe.epochs // 2
        ratio = learn.importance_ratio(*learn.fisher_importances(run, net, "external"))
        extractor = [name for name in ratio if name.startswith("features.")]
        mask = learn.hard_mask(ratio, self.rate, extractor)
        run.log(mask=learn.mask_summary({name: mask[name] for name in extractor}))
        learn.finetune(
            run,
            net,
            train=("features",),
            loss=learn.blend(self.beta1),
            split="external",
            epochs=epochs,
            lr=recipe.lr_extractor,
            mask=mask,
            stage="step 1",
        )
        with torch.no_grad():
            for parameter in net.head.parameters():
                parameter.zero_()
        return learn.finetune(
            run,
            net,
            train=("head",),
            loss=learn.blend(self.beta2),
            split="external",
            epochs=epochs,
            lr=recipe.lr_head,
            stage="step 2",
        )
