"""LEACE: what a linear classifier could tell of the attribute is erased from the features, inside the last layer.

Paper: Belrose et al., LEACE: Perfect Linear Concept Erasure in Closed Form, NeurIPS 2023, Theorem 4.3.
Code: EleutherAI/concept-erasure, concept_erasure/leace.py.
Departures:
  1. The eraser is not applied to features but multiplied into the head, which gives the same logits: the model stays a
     network with a linear last layer.
  2. It is fitted on the external set, in which the groups have the same share of positives, so that the label is not
     erased with an attribute that is tied to it. The original takes the data as they are.
  3. For an attribute of two groups the eraser needs one direction, v = pinv(cov(h)) cov(h, a), the least-squares
     regression of the attribute on the features: w becomes w - v (cov(h, a) w) / (cov(h, a) v). `ridge` is added to
     the diagonal of the covariance, in units of its mean; the code shrinks the covariance by a rule of random matrix
     theory and cuts small singular values.
  4. The features themselves are not changed: `bench` measures what they still know of the attribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.api import Run, option

from ._last_layer import LastLayer, head, set_head

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class LEACE(LastLayer):
    """The head, multiplied by the projection that erases the attribute."""

    title = "LEACE"
    row = 203

    ridge: float = option(
        0.0,
        "Share of the mean variance that is added to the diagonal of the covariance.",
        low=0,
        source="ours",
        other=10,
    )

    def fit(self, run: Run) -> nn.Module:
        h, _, a = self.features(run, "external")
        weight, bias = head(run.model)
        erased = without(weight, h, a.double(), self.ridge)
        set_head(run.model, erased, bias + h.mean(dim=0) @ (weight - erased))
        return run.model


def without(weight: Tensor, h: Tensor, a: Tensor, ridge: float) -> Tensor:
    """Return the weight (D,) after the affine map that makes h (N, D) uncorrelated with a (N,) and moves h least.

    The distance is the squared one on the images. Without a correlation, the weight stays as it is.
    """
    import torch

    x, z = h - h.mean(dim=0), a - a.mean()
    covariance, both = x.T @ x / len(x), x.T @ z / len(x)
    covariance.diagonal().add_(ridge * covariance.diagonal().mean())
    v = torch.linalg.pinv(covariance, hermitian=True) @ both
    size = both @ v
    return weight - v * (both @ weight) / size if size > 0 else weight
