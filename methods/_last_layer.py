"""The common part of methods that replace the last layer and leave the features as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench import learn
from bench.api import Method, Recipe, Run, Sizes

if TYPE_CHECKING:
    from torch import Tensor

    from bench.net import Net


class Features(NamedTuple):
    """Features h (N, D) of a split without augmentation, its labels and groups (N,); float64, on the CPU."""

    h: Tensor
    y: Tensor
    a: Tensor


@dataclass(frozen=True, kw_only=True)
class LastLayer(Method):
    """A comparator that changes the head alone."""

    uses = frozenset({"external"})
    changes = frozenset({"head"})
    comparator = True
    presets = {"suite": {}, "paper": {}, "reference": {}}

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        return 0, sum(getattr(sizes, name) for name in self.uses)

    def features(self, run: Run, split: str) -> Features:
        """Return what the frozen extractor makes of a split."""
        data = run.split(split)
        h = learn.FrozenFeatures(run.model.features, data, run.recipe.batch).upright()
        return Features(h.double().cpu(), data.y.double().cpu(), data.a.cpu())


def head(net: Net) -> tuple[Tensor, Tensor]:
    """Return copies of weight (D,) and bias () of the last layer; float64, on the CPU."""
    return tuple(p.detach().double().cpu().squeeze(0).clone() for p in (net.linear.weight, net.linear.bias))  # type: ignore[return-value]


def set_head(net: Net, weight: Tensor, bias: Tensor | float) -> None:
    """Set weight (D,) and bias of the last layer."""
    import torch

    with torch.no_grad():
        net.linear.weight.copy_(weight[None])
        net.linear.bias.fill_(float(bias))
