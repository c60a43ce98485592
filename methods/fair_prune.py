"""FairPrune: zero the weights whose removal costs the privileged group more than the other.

Paper: Wu et al. 2022, FairPrune: Achieving Fairness Through Pruning for Dermatological Disease Diagnosis.
Code: AliGhadirii/FairPrune and johanlaursen/open-fairprune (third parties; the authors published none).
Departures:
  1. The curvature is estimated over the two halves of the external set; training data are not at hand.
  2. The smallest saliencies are pruned, which is the aim written out; one of the two re-implementations takes
     the largest.
  3. The curvature is a one-pass unbiased estimate of the generalised Gauss-Newton diagonal, not per-sample.
  4. One iteration, ratio 0.35 and beta 0.33: the settings of a third party; SWiFT gives none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Method, Run, option
from bench.errors import EmptyGroup

if TYPE_CHECKING:
    from torch import Tensor, nn


def saliency(weight: Tensor, unprivileged: Tensor, privileged: Tensor, beta: float) -> Tensor:
    """Return s = 0.5 * weight^2 * (h_unprivileged - beta * h_privileged), entry by entry."""
    return 0.5 * weight**2 * (unprivileged - beta * privileged)


def smallest(scores: Tensor, count: int) -> Tensor:
    """Return a boolean mask of exactly `count` entries with the smallest scores (N,), ties by position."""
    import torch

    chosen = torch.zeros(len(scores), dtype=torch.bool)
    chosen[torch.argsort(scores, stable=True)[:count]] = True
    return chosen


@dataclass(frozen=True, kw_only=True)
class FairPrune(Method):
    """Weight surgery without training: convolution and linear weights, all layers ranked together."""

    title = "FairPrune"
    uses = frozenset({"external", "val"})
    row = 7

    ratio: float = option(0.35, "Share of the convolution and linear weights set to zero.", low=0, high=1)
    beta: float = option(0.33, "Weight of the privileged group's loss increase.", low=0)
    privileged: Literal["auto", "0", "1"] = option(
        "auto", "The privileged group; auto: the one with the higher baseline AUC on the validation set."
    )

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, data = run.model, run.split("external")
        privileged = self.privileged_group(run)
        rng = run.rng("signs")
        h = {group: learn.curvature(run, net, data.where(data.a == group), rng) for group in (0, 1)}
        weights = {
            f"{name}.weight": module.weight
            for name, module in net.named_modules()
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
        }
        with torch.no_grad():
            scores = torch.cat(
                [
                    saliency(w, h[1 - privileged][name], h[privileged][name], self.beta).flatten()
                    for name, w in weights.items()
                ]
            )
            chosen = smallest(scores, int(self.ratio * len(scores)))
            pieces = chosen.split([w.numel() for w in weights.values()])
            for weight, piece in zip(weights.values(), pieces, strict=True):
                weight.masked_fill_(piece.reshape(weight.shape), 0.0)
        shares = {name: float(piece.float().mean()) for name, piece in zip(weights, pieces, strict=True)}
        run.log(privileged=privileged, pruned=int(chosen.sum()), negative=int((scores < 0).sum()), pruned_share=shares)
        for name, share in shares.items():
            if share > 0.95:
                run.warn(f"FairPrune removed {share:.0%} of {name}")
        return net

    def privileged_group(self, run: Run) -> int:
        """The group given, or the one that the baseline ranks better on the validation set."""
        from bench.score.metrics import evaluate

        if self.privileged != "auto":
            return int(self.privileged)
        val = run.split("val")
        scores = evaluate(run.score(run.model, "val").cpu().numpy(), val.y.cpu().numpy(), val.a.cpu().numpy(), "01")
        values = [scores["groups"][group]["auc"] for group in "01"]
        if any(math.isnan(value) for value in values):
            raise EmptyGroup("a group of the validation set has one class only: its AUC is undefined")
        return int(values[1] > values[0])
