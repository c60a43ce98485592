"""The network that methods receive: an extractor, and a head of dropout and one linear unit."""

from __future__ import annotations

import torch
from torch import nn

HEAD_DROPOUT = 0.5  # as in SWiFT's public code; the paper does not say


class Net(nn.Module):
    """A classifier with one logit per image: `features` (B, 3, H, W) -> (B, D), `head` (B, D) -> (B, 1)."""

    def __init__(self, features: nn.Module, width: int) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Sequential(nn.Dropout(HEAD_DROPOUT), nn.Linear(width, 1))

    @property
    def linear(self) -> nn.Linear:
        """The last layer, with weight (1, D) and bias (1,)."""
        layer = self.head[1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (B,) of normalised images (B, 3, H, W)."""
        return self.head(self.features(x)).squeeze(1)
