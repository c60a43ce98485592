"""FairPrune: set weights to zero whose removal costs the privileged group more than the other.

Paper: Wu et al. 2022, FairPrune: Achieving Fairness Through Pruning for Dermatological Disease Diagnosis.
Code: AliGhadirii/FairPrune and johanlaursen/open-fairprune (third parties; the authors did not publish code).
Departures:
  1. The curvature is estimated on the two groups of the external set, because training data are not available.
  2. The smallest saliencies are pruned, as the stated aim implies and the first re-implementation does. The second
     re-implementation prunes the largest (D36; direction=largest).
  3. The curvature is an unbiased one-pass estimate of the generalised Gauss-Newton diagonal. The first
     re-implementation computes it image by image (curvature=exact), the second the diagonal of the Hessian.
  4. Weights of BatchNorm are not pruned. The re-implementations prune all parameters except biases (include_norm=true).
  5. One iteration, ratio 0.35 and beta 0.33 are the settings of a third party; SWiFT gives none. The first
     re-implementation repeats until its measure no longer improves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Method, Recipe, Run, Sizes, option
from bench.errors import EmptyGroup
from bench.options import fraction

if TYPE_CHECKING:
    from torch import Tensor, nn

CODE = "AliGhadirii/FairPrune, FairPrune.py"


def saliency(weight: Tensor, unprivileged: Tensor, privileged: Tensor, beta: float) -> Tensor:
    """Return s = 0.5 * weight^2 * (h_unprivileged - beta * h_privileged), entry by entry."""
    return 0.5 * weight**2 * (unprivileged - beta * privileged)


def smallest(scores: Tensor, count: int) -> Tensor:
    """Return a boolean mask of exactly `count` entries with the smallest scores (N,); NaN last, ties by position."""
    last = scores.kthvalue(max(count, 1)).values  # sorting millions of scores takes six times as long
    unknown = scores.isnan()
    chosen, tied = (~unknown, unknown) if last.isnan() else (scores < last, scores == last)
    chosen[tied.nonzero().flatten()[: count - int(chosen.sum())]] = True
    return chosen


@dataclass(frozen=True, kw_only=True)
class FairPrune(Method):
    """Pruning without training: convolution and linear weights of all layers are ranked together."""

    title = "FairPrune"
    changes = frozenset({"extractor", "head"})
    row = 7
    # SWiFT gives no parameters of the method, so "paper" has none.
    presets = {"suite": {}, "paper": {}, "reference": {"curvature": "exact", "include_norm": True}}
    search = {"ratio": (0.05, 0.1, 0.2, 0.35, 0.5), "beta": (0.1, 0.33, 0.5, 0.67, 0.9)}

    ratio: float = fraction(0.35, "Share of the prunable weights that are set to zero.", source=CODE, other=0.1)
    beta: float = option(0.33, "Weight of the privileged group's loss increase.", low=0, source=CODE, other=0.9)
    privileged: Literal["auto", "0", "1"] = option(
        "auto",
        "Privileged group; auto: the one with the higher baseline AUC on the validation set.",
        source="given in the paper and its re-implementations; auto is ours",
    )
    direction: Literal["smallest", "largest"] = option(
        "smallest",
        "Saliencies that are pruned; the largest belong to the weights that the other group needs most.",
        source=f"{CODE}; johanlaursen/open-fairprune, fairprune.py",
    )
    curvature: Literal["rademacher", "exact", "batch"] = option(
        "rademacher",
        "Diagonal of the generalised Gauss-Newton matrix, estimated with random signs or exact for each image, or the "
        "squared gradient per batch.",
        source=f"{CODE}, get_parameter_salience",
    )
    prediction: Literal["plain", "weighted"] = option(
        "plain", "Loss that is expanded: cross-entropy without class weights, or with them (ours).", source=CODE
    )
    include_norm: bool = option(False, "Also prune the weights of BatchNorm; biases are never pruned.", source=CODE)

    @property
    def uses(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({"external", "val"} if self.privileged == "auto" else {"external"})

    def pruned(self, net: nn.Module) -> int:
        return int(self.ratio * sum(weight.numel() for weight in self.prunable(net).values()))

    def prunable(self, net: nn.Module) -> dict[str, nn.Parameter]:
        """Return the weights that are ranked together, by name."""
        from torch.nn import BatchNorm2d, Conv2d, Linear

        kinds = (Conv2d, Linear, BatchNorm2d) if self.include_norm else (Conv2d, Linear)
        names = [name for name, module in net.named_modules() if isinstance(module, kinds)]
        return {f"{name}.weight": net.get_parameter(f"{name}.weight") for name in names}

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        return 0, 3 * sizes.external + sizes.val

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, weights = run.model, self.prunable(run.model)
        privileged = self.privileged_group(run)
        by = {"kind": self.curvature, "prediction": self.prediction}
        h = run.shared("curvature", by, lambda: self.curvatures(run))
        with torch.no_grad():
            each = [
                saliency(w, h[f"{1 - privileged} {name}"].to(w), h[f"{privileged} {name}"].to(w), self.beta).flatten()
                for name, w in weights.items()
            ]
            scores = torch.cat(each)
            chosen = smallest(scores if self.direction == "smallest" else -scores, self.pruned(net))
            pieces = chosen.split([w.numel() for w in weights.values()])
            for weight, piece in zip(weights.values(), pieces, strict=True):
                weight.masked_fill_(piece.reshape(weight.shape), 0.0)
        shares = {name: float(piece.float().mean()) for name, piece in zip(weights, pieces, strict=True)}
        trace = [sum(float(h[f"{group} {name}"].sum()) for name in weights) for group in (0, 1)]
        run.log(privileged=privileged, pruned=int(chosen.sum()), negative=int((scores < 0).sum()), pruned_share=shares)
        run.log(curvature=trace)
        for name, share in shares.items():
            if share > 0.95:
                run.warn(f"FairPrune removed {share:.0%} of {name}")
        return net

    def curvatures(self, run: Run) -> dict[str, Tensor]:
        """Return the curvature of the loss of each group; names are the code of the group, then the parameter."""
        data, rng = run.split("external"), run.rng("signs")
        found = {}
        for group in (0, 1):
            h = learn.curvature(
                run, run.model, data.where(data.a == group), rng, self.curvature, weighted=self.prediction == "weighted"
            )
            found |= {f"{group} {name}": value for name, value in h.items()}
        return found

    def privileged_group(self, run: Run) -> int:
        """Return the group that `privileged` names, or the one with the higher baseline AUC on the validation set."""
        from bench.scoring.metrics import evaluate

        if self.privileged != "auto":
            return int(self.privileged)
        val = run.split("val")
        scores = evaluate(run.score(run.model, "val").cpu().numpy(), val.y.cpu().numpy(), val.a.cpu().numpy(), "01")
        values = [scores["groups"][group]["auc"] for group in "01"]
        run.log(baseline_auc=values)
        if any(math.isnan(value) for value in values):
            raise EmptyGroup("a group of the validation set has only one class: its AUC is undefined")
        return int(values[1] > values[0])
