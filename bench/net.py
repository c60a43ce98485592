"""The network that methods receive: an extractor, and a head of dropout and one linear unit."""

from __future__ import annotations

import torch
from torch import nn

HEAD_DROPOUT = 0.5  # as in SWiFT's public code; the paper does not say


class Net(nn.Module):
    """A classifier with one logit per image: `features` (B, 3, H, W) -> (B, D), `head` (B, D) -> (B, 1).

    With K `outputs`, while the baseline of several findings is trained, the head gives (B, K).
    """

    def __init__(self, features: nn.Module, width: int, outputs: int = 1) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Sequential(nn.Dropout(HEAD_DROPOUT), nn.Linear(width, outputs))

    @property
    def linear(self) -> nn.Linear:
        """The last layer, with weight (1, D) and bias (1,)."""
        layer = self.head[1]
        assert isinstance(layer, nn.Linear)
        return layer

    def of_output(self, number: int) -> Net:
        """Reduce the head to one of its outputs, in place, and return the network."""
        layer = self.linear
        for name, values in (("weight", layer.weight), ("bias", layer.bias)):
            setattr(layer, name, nn.Parameter(values.detach()[number : number + 1].clone()))
        layer.out_features = 1
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (B,), or (B, K) of K outputs, of normalised images (B, 3, H, W)."""
        return self.head(self.features(x)).squeeze(1)
