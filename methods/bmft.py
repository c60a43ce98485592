"""BMFT: fine-tune the weights that matter to the bias, then a head started from zero.

Paper: Xue et al. 2024, BMFT: Achieving Fairness via Bias-based Weight Masking Fine-tuning.
Code: vios-s/BMFT: the rate, the losses of the two steps, the zeroed head.
Departures:
  1. Mask and both steps use the external set, as SWiFT says; the public code takes the unbalanced validation
     set without augmentation for the mask and the first step (D24; data=reference).
  2. The bias term is the proxy of Eqs. 2-4 of SWiFT, so that the two methods differ by what SWiFT says is new;
     the public code has a signed half-sum and counts an empty cell as 0 (D26; proxy, empty_cell).
  3. The frozen head is out of the first step's optimiser; in the public code weight decay shrinks it
     (D29; head_decay).
  4. The extractor is in evaluation mode in the second step; in the public code its BatchNorm statistics move
     (D13; extractor_step2).
  5. A tensor of equal entries keeps its raw importance; the public code divides 0 by 0 (D05).
  6. The rate is the public code's 50th percentile; other paths of it take the mean, or 95.4 (D25). The weights
     of the losses are the public code's (D27). The head gives a logit; that of BMFT's own repository applies a
     sigmoid, and its loss another one (D28).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Run, option
from bench.options import fraction

from ._full_fine_tuning import BiasTerm
from ._masking import Masking

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class BMFT(Masking, BiasTerm):
    """A hard mask over the extractor, a bias-only first step, a head from zero in the second."""

    title = "BMFT"
    row = 9
    presets = {
        "suite": {},
        "paper": {},
        "reference": {
            "data": "reference",
            "proxy": "signed_half_logit",
            "empty_cell": "zero_mean",
            "head_decay": True,
            "extractor_step2": "train",
        },
    }
    search = {"rate": (0.1, 0.3, 0.5, 0.7, 0.9)}

    rate: float = fraction(
        0.5,
        "Share of the extractor's weights that the first step may move.",
        source="BMFT's driver: 50th percentile",
        other=0.1,
    )
    beta1: float = fraction(
        0.0,
        "Weight of the prediction loss in the first step (Eq. 10).",
        source="BMFT's driver",
        other=0.5,
    )
    beta2: float = fraction(
        10 / 11,
        "Weight of the prediction loss in the second step; 10/11 is 1 : 0.1.",
        source="BMFT's driver",
        other=0.5,
    )
    data: Literal["external", "reference"] = option(
        "external",
        "Images of mask and first step; reference: the validation set, not augmented.",
        source="BMFT's driver",
        other="reference",
    )
    head_decay: bool = option(
        False,
        "The first step's optimiser holds the frozen head too: SGD's weight decay shrinks it.",
        source="BMFT's driver",
        other=True,
    )
    extractor_step2: Literal["eval", "train"] = option(
        "eval",
        "Mode of the frozen extractor in the second step; train lets its BatchNorm statistics move.",
        source="BMFT's driver",
        other="train",
    )

    @property
    def uses(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"external", self.first_split})

    @property
    def first_split(self) -> str:
        """The split of mask and first step."""
        return "val" if self.data == "reference" else "external"

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, recipe, split = run.model, run.recipe, self.first_split
        if not recipe.epochs:
            return net
        first, second = recipe.stages()
        of = learn.terms(run, split, proxy=self.proxy, empty=self.empty_cell)
        ratio = self.ratio(
            run, net, split, of, proxy=self.proxy if self.proxy == "paper" else f"{self.proxy} {self.empty_cell}"
        )
        names = [name for name in ratio if name.startswith("features.")]
        mask = learn.hard_mask(ratio, self.rate, names)
        run.log(mask=learn.mask_summary({name: mask[name] for name in names}))
        run.keep("mask", mask)
        learn.finetune(
            run,
            net,
            train=("features", "head") if self.head_decay else ("features",),
            loss=of.blend(self.beta1),
            split=split,
            epochs=first,
            lr=recipe.lr_extractor,
            stage="step 1",
            how=learn.Training(mask=mask, augment=self.data == "external"),
        )
        with torch.no_grad():
            for parameter in net.head.parameters():
                parameter.zero_()
        loss = learn.objective(run, "external", self.beta2, proxy=self.proxy, empty=self.empty_cell)
        return self.train_head(run, loss, second, self.extractor_step2)
