"""BMFT: fine-tune the weights that are important to the bias, then train a head from zero.

Paper: Xue et al. 2024, BMFT: Achieving Fairness via Bias-based Weight Masking Fine-tuning.
Code: vios-s/BMFT: the rate, the losses of the two steps, the zeroed head.
Departures:
  1. The mask and both steps use the external set, as SWiFT says. The public code uses the unbalanced validation set
     without augmentation for the mask and the first step (D24; data=reference).
  2. The bias term is the proxy of Eqs. 2-4 of SWiFT, so that the two methods differ only in the contributions of SWiFT.
     The public code has a signed half-sum and takes 0 as the mean of an empty cell (D26; proxy, empty_cell).
  3. The optimiser of the first step does not contain the frozen head. In the public code weight decay shrinks the head
     (D29; head_decay).
  4. The extractor is in evaluation mode in the second step. In the public code its BatchNorm statistics move
     (D13; extractor_step2).
  5. A tensor with equal entries keeps its raw importance. The public code divides 0 by 0 (D05).
  6. The rate is the 50th percentile of the public code; other paths of that code use the mean, or 95.4 (D25). The
     weights of the two terms in the second step are 10/11 and 1/11, those of Eq. 10 with the ratio of the public code.
     There they are 1 and 0.1, so that a step of SGD is 10 % longer and weight decay relatively weaker; Adam's step is
     the same (D27; weights=penalty). The head returns a logit; in the repository of BMFT it applies a sigmoid, and the
     loss applies another one (D28).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Recipe, Run, Sizes, option
from bench.options import fraction

from ._full_fine_tuning import BiasTerm
from ._masking import Masking

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class BMFT(Masking, BiasTerm):
    """A first step on the bias alone through a hard mask over the extractor, then a head trained from zero."""

    title = "BMFT"
    version = 2
    row = 9
    presets = {
        "suite": {},
        "paper": {"scope": "module"},
        "reference": {
            "data": "reference",
            "weights": "penalty",
            "proxy": "signed_half_logit",
            "empty_cell": "zero_mean",
            "head_decay": True,
            "extractor_step2": "train",
        },
    }
    search = {"rate": (0.1, 0.3, 0.5, 0.7, 0.9)}

    rate: float = fraction(
        0.5, "Share of extractor weights that step 1 may move.", source="BMFT's driver: 50th percentile", other=0.1
    )
    beta1: float = fraction(0.0, "Weight of the prediction loss in step 1 (Eq. 10).", source="BMFT's driver", other=0.5)
    beta2: float = fraction(
        10 / 11, "Weight of the prediction loss in step 2; 10/11 means 1 : 0.1.", source="BMFT's driver", other=0.5
    )
    data: Literal["external", "reference"] = option(
        "external", "Images of mask and step 1; reference: validation set, no augmentation.", source="BMFT's driver"
    )
    head_decay: bool = option(
        False,
        "Include the frozen head in the optimiser of the first step, so that weight decay of SGD shrinks it.",
        source="BMFT's driver",
    )
    extractor_step2: Literal["eval", "train"] = option(
        "eval", "Mode of the frozen extractor in step 2; train: BatchNorm statistics move.", source="BMFT's driver"
    )

    @property
    def uses(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"external", self.first_split})

    @property
    def first_split(self) -> str:
        """The split of the mask and the first step."""
        return "val" if self.data == "reference" else "external"

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        first, second = recipe.stages()
        images = getattr(sizes, self.first_split)
        return first * images, 5 * images + recipe.drawn(second) * sizes.external

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, recipe, split = run.model, run.recipe, self.first_split
        if not recipe.epochs:
            return net
        first, second = recipe.stages()
        of = learn.terms(run, split, proxy=self.proxy, empty=self.empty_cell)
        proxy = self.proxy if self.proxy == "paper" else f"{self.proxy} {self.empty_cell}"
        ratio = self.ratio(run, net, split, of, proxy=proxy)
        names = [name for name in ratio if name.startswith("features.")]
        mask = learn.hard_mask(ratio, self.rate, names)
        run.log(mask=learn.mask_summary({name: mask[name] for name in names}))
        run.keep("mask", mask)
        train = ("features", "head") if self.head_decay else ("features",)
        loss, lr = self.weighted(of, self.beta1), recipe.lr_extractor
        how = learn.Training(mask=mask, augment=self.data == "external")
        learn.finetune(run, net, train=train, loss=loss, split=split, epochs=first, lr=lr, stage="step 1", how=how)
        with torch.no_grad():
            for parameter in net.head.parameters():
                parameter.zero_()
        loss = self.weighted(learn.terms(run, "external", proxy=self.proxy, empty=self.empty_cell), self.beta2)
        return self.train_head(run, loss, second, self.extractor_step2)
