"""GroupThresholds: a threshold for each group; it needs the group of every patient.

Paper: Hardt, Price & Srebro, Equality of Opportunity in Supervised Learning, NeurIPS 2016, Sections 3 and 4.
Code: fairlearn, ThresholdOptimizer, constraints="equalized_odds".
Departures:
  1. Thresholds are fixed. Where the ROC curves of the groups do not meet, the paper draws by lot between two
     thresholds of a group, so that two patients with the same image may get different decisions.
  2. With fixed thresholds odds can seldom be equal but at the ends, where all images are of one class. Of the pairs of
     thresholds that cost at most `accuracy_drop` in balanced accuracy on all validation images, compared with the best
     common threshold, the one with the smallest gap is taken: |dTPR| + |dFPR|. The paper minimises a loss among pairs
     of equal odds.
  3. A threshold is a shift of the logits of its group, so that a score above 0.5 is a decision for class 1. Ranks
     within a group, and so its AUC, stay as they are; scores are no probabilities any more.
  4. At most `candidates` thresholds of a group are tried, at equal steps of its sorted validation images.
  5. An image whose group is not known gets the best common threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench import learn
from bench.api import Method, Recipe, Run, Sizes, option
from bench.errors import EmptyGroup
from bench.options import fraction

if TYPE_CHECKING:
    from torch import Tensor, nn


class Curve(NamedTuple):
    """Thresholds on logits, ascending, and at each the number of true and of false positives."""

    thresholds: Tensor
    hits: Tensor
    alarms: Tensor


def curve(z: Tensor, y: Tensor, most: int, *also: float) -> Curve:
    """Return up to `most` thresholds between, below and above the logits z (N,) of labels y (N,), and those `also`."""
    import torch

    order = z.unique()
    middle = (order[:-1] + order[1:]) / 2
    middle = torch.where(middle < order[1:], middle, order[:-1])  # rounding must not move an image across
    thresholds = torch.cat([order[:1] - 1, middle, order[-1:] + 1])
    thresholds = thresholds[torch.linspace(0, len(thresholds) - 1, min(most, len(thresholds))).round().long()]
    thresholds = torch.cat([thresholds, thresholds.new_tensor(also)]).unique()
    ranked = [z[y == label].sort().values for label in (1, 0)]
    hits, alarms = (len(one) - torch.searchsorted(one, thresholds, right=True).double() for one in ranked)
    return Curve(thresholds, hits, alarms)


def best_common(z: Tensor, y: Tensor, most: int) -> tuple[float, float]:
    """Return the threshold with the highest balanced accuracy, and this accuracy; the first of equal ones."""
    found = curve(z, y, most)
    accuracy = (found.hits / (y == 1).sum() + 1 - found.alarms / (y == 0).sum()) / 2
    at = int(accuracy.argmax())
    return float(found.thresholds[at]), float(accuracy[at])


class Pair(NamedTuple):
    """The best common threshold and one for each group, with gap and balanced accuracy of all images."""

    common: float
    thresholds: tuple[float, float]
    gap: float
    accuracy: float


def equalised(z: Tensor, y: Tensor, a: Tensor, drop: float, most: int) -> Pair:
    """Return the pair with the smallest |dTPR| + |dFPR| of those that lose at most `drop` of balanced accuracy.

    It is compared with that of `best_common`. Of equal pairs that of the highest accuracy is returned, then the first.
    z, y, a are (N,).

    Raises:
        EmptyGroup: a group lacks a class.
    """
    import torch

    counts = [[int(((y == label) & (a == group)).sum()) for label in (1, 0)] for group in (0, 1)]
    if not all(count for group in counts for count in group):
        raise EmptyGroup("a group of the validation set has only one class: its odds are undefined")
    common, best = best_common(z, y, most)
    curves = [curve(z[a == group], y[a == group], most, common) for group in (0, 1)]
    (hits, alarms), (others, false) = (one[1:] for one in curves)
    gap = (hits[:, None] / counts[0][0] - others / counts[1][0]).abs()
    gap += (alarms[:, None] / counts[0][1] - false / counts[1][1]).abs()
    found = (hits[:, None] + others) / (counts[0][0] + counts[1][0])
    accuracy = (found + 1 - (alarms[:, None] + false) / (counts[0][1] + counts[1][1])) / 2
    gap = torch.where(accuracy >= best - drop - 1e-12, gap.round(decimals=12), torch.inf)
    accuracy = torch.where(gap == gap.min(), accuracy.round(decimals=12), -torch.inf)
    first, second = divmod(int(accuracy.argmax()), len(others))
    pair = float(curves[0].thresholds[first]), float(curves[1].thresholds[second])
    return Pair(common, pair, float(gap.min()), float(accuracy.max()))


@dataclass(frozen=True, kw_only=True)
class GroupThresholds(Method):
    """The logits of the baseline, shifted by a threshold for each group."""

    title = "GroupThresholds"
    uses = frozenset({"val"})
    changes = frozenset({"head"})
    needs_attribute = True
    threshold = 0.5
    comparator = True
    row = 206
    auc_says = (
        "it decides and ranks no two patients of a group anew. The AUC within a group is Baseline's, and that of all "
        "images is of logits that were shifted by group"
    )
    presets = {"suite": {}, "paper": {}, "reference": {}}
    search = {"accuracy_drop": (0.0, 0.01, 0.02, 0.05, 0.1)}

    accuracy_drop: float = fraction(
        0.02, "Balanced accuracy that the thresholds may lose.", source="ours, as of DiffGda and DiffPrune", other=1.0
    )
    candidates: int = option(1000, "Thresholds of a group that are tried.", low=2, source="ours", other=3)

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        return 0, sizes.val

    def fit(self, run: Run) -> nn.Module:
        import torch

        val = run.split("val")
        z, y, a = (one.cpu() for one in (run.score(run.model, val), val.y, val.a))
        found = equalised(z, y, a, self.accuracy_drop, self.candidates)
        run.log(**found._asdict())
        shift = torch.tensor([*found.thresholds, found.common], device=val.y.device)
        return learn.GroupShift(run.model, shift)
