"""Gap, threshold and balanced accuracy on validation images, by which DiffGda and DiffPrune select a state.

Paper: Marcinkevics et al. 2022. Code: i6092467/diff-bias-proxies, algorithms/biasGrad.py and utils/evaluation.py.
Both methods use the sign and the size of one of three gaps, group 0 - group 1. `proxy` selects the gap of true positive
rates, of selection rates, or the mean of the signed gaps of true and false positive rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench import learn
from bench.api import Method, Run, Sizes, Split, option
from bench.errors import EmptyGroup
from bench.options import fraction
from bench.scoring.threshold import predicted_positive, tune_threshold

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

Proxy = Literal["true_positive", "selection", "equalised_odds"]


CONFIG, LEAST = "configs/mimic_cxr_sex.yml", "configs/mimic_cxr_ethnicity.yml"


@dataclass(frozen=True, kw_only=True)
class Selecting(Method):
    """The options with which DiffGda and DiffPrune compare states on validation images."""

    version = 3
    proxy: Literal["true_positive", "selection", "equalised_odds"] = option(
        "true_positive",
        "Gap that is measured and, on scores, differentiated: of true positive rates, of selection rates, or the mean "
        "of the signed gaps of true and false positive rates.",
        source="biasGrad.py and pruning.py, eod_diff and spd_diff; the third is ours",
    )
    evaluation_images: int = option(
        4096,
        "Approximate number of validation images on which states are compared, the same for both methods; 0: all.",
        low=0,
        source="ours; the code uses all",
        other=16,
    )
    accuracy_drop: float = fraction(0.02, "Balanced accuracy that a kept state may lose.", source="ours", other=1.0)
    accuracy_least: float = fraction(0.55, "Balanced accuracy below which no state is kept.", source=LEAST, other=1.0)

    def compared(self, sizes: Sizes) -> int:
        """Return the number of validation images on which a state is measured."""
        return min(sizes.val, self.evaluation_images or sizes.val)

    def floor(self, baseline: Measured) -> float:
        """Return the balanced accuracy below which a state is not kept."""
        return max(self.accuracy_least, baseline.balanced_accuracy - self.accuracy_drop)


@dataclass(frozen=True)
class Measured:
    """A state on validation images: threshold on scores, signed gap (group 0 - group 1), balanced accuracy."""

    threshold: float
    gap: float
    balanced_accuracy: float


def evaluated(run: Run, images: int) -> Split:
    """Return the validation images on which states are compared: a sample of about `images` of them; 0: all.

    The sample is the same for all methods and settings. Its size and the number of all validation images are logged.
    """
    val = part = run.split("val")
    if 0 < images < len(val):
        part = val.where(sampled(val.y, val.a, images, run.rng("evaluation images", shared=True)))
    run.log(evaluated={"images": len(part), "of": len(val)})
    return part


def sampled(y: Tensor, a: Tensor, images: int, rng: torch.Generator) -> Tensor:
    """Return as booleans (N,) which of N images are sampled: ceil(images / N x count) of each label in each group.

    Counts are rounded up, so that no label of a group is lost. The total may exceed `images` by up to the number of
    such pairs minus one.
    """
    import torch

    pair = (2 * a + y.long()).cpu()
    keep = torch.zeros(len(pair), dtype=torch.bool)
    for one in pair.unique():
        rows = (pair == one).nonzero().flatten()
        share = -(-images * len(rows) // len(pair))
        keep[rows[torch.randperm(len(rows), generator=rng)[:share]]] = True
    return keep


def strata(proxy: Proxy, y: Any) -> tuple[Any, ...]:
    """Return, as zeros and ones (N,) like y, the sets of images within which the groups are compared."""
    return {"true_positive": (y,), "selection": (0 * y + 1,), "equalised_odds": (y, 1 - y)}[proxy]


def comparable(proxy: Proxy, y: np.ndarray, a: np.ndarray) -> bool:
    """Return whether a stratum has both groups, from labels and groups (N,) on the host; else no gap is defined."""
    return any(all(((stratum == 1) & (a == group)).any() for group in (0, 1)) for stratum in strata(proxy, y))


def soft_gap(proxy: Proxy, z: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """Return the differentiable gap on scores; a stratum that lacks a group adds 0 (see `comparable`)."""
    import torch

    gaps = [learn.score_gap(z, stratum, a) for stratum in strata(proxy, y)]
    return torch.stack(gaps).sum() / len(gaps)


def measure(z: Tensor, y: Tensor, a: Tensor, proxy: Proxy = "true_positive") -> Measured:
    """Predict z at the threshold of `tune_threshold`, the first of 0, 0.01, ..., 1 with the largest balanced accuracy.

    z, y, a are (N,). Raises EmptyGroup if a stratum of the gap lacks a group, or all images have one class.
    """
    positive = (y == 1).cpu().numpy()
    cells = [[((stratum == 1) & (a == group)).cpu().numpy() for group in (0, 1)] for stratum in strata(proxy, y)]
    if not all(rows.any() for pair in cells for rows in (*pair, positive, ~positive)):
        raise EmptyGroup(f"no threshold: the validation set lacks a class, or a group that the gap {proxy} compares")
    logit = z.detach().double().cpu().numpy()
    threshold = tune_threshold(logit, positive)
    predicted = predicted_positive(logit, threshold)
    gaps = [predicted[zero].mean() - predicted[one].mean() for zero, one in cells]
    accuracy = (predicted[positive].mean() + 1 - predicted[~positive].mean()) / 2
    return Measured(threshold, float(sum(gaps) / len(gaps)), float(accuracy))
