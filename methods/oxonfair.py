"""OxonFair: a linear group head, added to the label head so that errors are balanced without the attribute.

Paper: Delaney et al., OxonFair: A Flexible Toolkit for Algorithmic Fairness, NeurIPS 2024, Section 4.3.
Code: oxfordinternetinstitute/oxonfair, `DeepFairPredictor` and `merge_heads_pytorch`.
Departures:
  1. The group head is fitted by least squares on the features of the baseline, over the external set. The original
     trains both heads and the network together with this loss.
  2. Weight and threshold are chosen as GroupThresholds chooses its two: of the pairs that cost at most `accuracy_drop`
     in balanced accuracy on validation images, compared with the best threshold of the label head alone, that with the
     smallest |dTPR| + |dFPR|. The original maximises a measure that the user names while another is bounded.
  3. All thresholds are tried for each of `candidates` weights at equal steps, up to those that shift the logits of a
     group by the whole range of the logits. The original searches a grid of both and refines it.
  4. The threshold becomes a part of the bias, so that a score above 0.5 is a decision for class 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.api import Run, option
from bench.errors import EmptyGroup
from bench.options import fraction

from ._last_layer import LastLayer, head, set_head

if TYPE_CHECKING:
    from torch import Tensor, nn


class Merged(NamedTuple):
    """The weight of the group head and the threshold of the merged logit, with gap and balanced accuracy."""

    weight: float
    threshold: float
    gap: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class OxonFair(LastLayer):
    """Label head plus weighted group head, merged into one; the attribute is not needed at prediction."""

    title = "OxonFair"
    uses = frozenset({"external", "val"})
    threshold = 0.5
    row = 205
    auc_says = "it ranks by the merged head, whose weight was chosen for decisions at one threshold"
    search = {"accuracy_drop": (0.0, 0.01, 0.02, 0.05, 0.1)}

    accuracy_drop: float = fraction(
        0.02, "Balanced accuracy that the merged head may lose.", source="ours, as of GroupThresholds", other=1.0
    )
    candidates: int = option(
        201, "Weights of the group head that are tried, 0 among them.", low=3, source="ours", other=5
    )

    def fit(self, run: Run) -> nn.Module:
        import torch

        h, _, a = self.features(run, "external")
        group = group_head(h, a)
        val = self.features(run, "val")
        weight, bias = head(run.model)
        z, g = val.h @ weight + bias, val.h @ group[:-1] + group[-1]
        most = float(z.max() - z.min())
        half = self.candidates // 2
        weights = most * torch.arange(-half, half + 1).double() / half
        found = merged(z, g, val.y, val.a, weights, self.accuracy_drop)
        run.log(**found._asdict())
        set_head(run.model, weight + found.weight * group[:-1], bias + found.weight * group[-1] - found.threshold)
        return run.model


def group_head(h: Tensor, a: Tensor) -> Tensor:
    """Return weights and bias (D + 1,) of the least-squares regression of the group on features h (N, D)."""
    import torch

    x = h - h.mean(dim=0)
    weight = torch.linalg.lstsq(x, (a.double() - a.double().mean())[:, None], driver="gelsd").solution[:, 0]
    return torch.cat([weight, (a.double().mean() - h.mean(dim=0) @ weight)[None]])


def merged(z: Tensor, g: Tensor, y: Tensor, a: Tensor, weights: Tensor, drop: float) -> Merged:
    """Return the best pair of a weight and a threshold for z + weight g; z, g, y, a are (N,).

    Of equal pairs that of the highest balanced accuracy is returned, then that of the smallest weight by size.

    Raises:
        EmptyGroup: a group lacks a class.
    """
    import torch

    rates = [((y == label) & (a == group)) for label in (1, 0) for group in (0, 1)]
    if not all(rows.any() for rows in rates):
        raise EmptyGroup("a group of the validation set has only one class: its odds are undefined")
    best, found = float(scan(z, y, rates)[2].max()), []
    for weight in [0.0, *weights.tolist()]:
        thresholds, gap, accuracy = scan(z + weight * g, y, rates)
        gap = gap.where(accuracy >= best - drop - 1e-12, torch.inf)
        smallest = gap.min()
        at = accuracy.where(gap == smallest, -torch.inf).argmax()
        found.append(Merged(weight, float(thresholds[at]), float(smallest), float(accuracy[at])))
    return min(found, key=lambda one: (one.gap, -one.accuracy, abs(one.weight)))


def scan(s: Tensor, y: Tensor, rates: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return every threshold on s (N,), |dTPR| + |dFPR| and balanced accuracy there; `rates` are the four strata."""
    import torch

    order = s.unique()
    thresholds = torch.cat([order[:1] - 1, (order[:-1] + order[1:]) / 2, order[-1:] + 1])

    def above(rows: Tensor) -> Tensor:
        ranked = s[rows].sort().values
        return 1 - torch.searchsorted(ranked, thresholds, right=True).double() / len(ranked)

    hits, others, alarms, false = map(above, rates)
    gap = (hits - others).abs() + (alarms - false).abs()
    accuracy = (above(y == 1) + 1 - above(y == 0)) / 2
    return thresholds, gap.round(decimals=12), accuracy.round(decimals=12)
