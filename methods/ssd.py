"""SSD: weights that matter much more to the bias than to the prediction are dampened; nothing is trained.

Paper: Foster, Schoepf & Brintrup, Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening, AAAI
2024, Eqs. 4 and 5.
Code: if-loops/selective-synaptic-dampening, ssd.py.
Departures:
  1. The paper forgets images: it compares a weight's importance to the images that are to be forgotten with that to all
     images. Here its importance to the bias proxy of SWiFT takes the place of the first and that to the prediction loss
     the place of the second. So it uses the importances of SWiFT's mask, and is a control for what follows the mask.
  2. Proxy and loss have different scales. Each importance is divided by its mean over all weights before they are
     compared (scale=mean); with scale=none they are compared as they are.
  3. Importances are squared gradients of batches of the recipe's size over the external set, as for SWiFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.api import Method, Recipe, Run, Sizes, option

from ._masking import importances

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class SSD(Method):
    """Dampening by the ratio of two importances."""

    title = "SSD"
    uses = frozenset({"external"})
    comparator = True
    row = 204
    presets = {"suite": {}, "paper": {}, "reference": {"scale": "none"}}
    search = {"alpha": (1.0, 3.0, 10.0, 30.0), "dampening": (0.1, 0.5, 1.0)}

    alpha: float = option(
        10.0,
        "How many times as important to the bias a weight must be to be dampened.",
        low=0,
        source="Section 5",
        other=1.0,
    )
    dampening: float = option(1.0, "Lambda: a smaller value dampens more.", low=0, source="Section 5", other=0.1)
    scale: Literal["mean", "none"] = option(
        "mean", "Whether importances are divided by their mean before they are compared.", source="ours; none in ssd.py"
    )
    params: Literal["all", "head"] = option("all", "Parts whose weights are dampened.", source="ssd.py")

    @property
    def changes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"head"} if self.params == "head" else {"extractor", "head"})

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        return 0, 5 * sizes.external

    def fit(self, run: Run) -> nn.Module:
        import torch

        net = run.model
        bias, prediction = importances(run, net, "external")
        alpha, dampening = self.alpha, self.dampening
        if self.scale == "mean":  # both factors stand before the importance to the prediction
            units = mean_of(bias) / mean_of(prediction)
            alpha, dampening = alpha * units, dampening * units
        count = 0
        with torch.no_grad():
            for name, weight in net.named_parameters():
                if self.params == "all" or name.startswith("head."):
                    factor = damping(bias[name].to(weight), prediction[name].to(weight), alpha, dampening)
                    weight.mul_(factor)
                    count += int((factor < 1).sum())
        run.log(dampened=count)
        return net


def mean_of(importance: dict[str, Tensor]) -> float:
    """Return the mean importance of a weight; 1 if nothing is important."""
    total = sum(float(value.double().sum()) for value in importance.values())
    return total / sum(value.numel() for value in importance.values()) or 1.0


def damping(bias: Tensor, prediction: Tensor, alpha: float, dampening: float) -> Tensor:
    """Return the factors of the weights: min(lambda I_p / I_b, 1) where I_b > alpha I_p, and 1 elsewhere."""
    import torch

    factor = (dampening * prediction / bias.clamp(min=1e-38)).clamp(max=1)
    return torch.where(bias > alpha * prediction, factor, torch.ones_like(factor))
