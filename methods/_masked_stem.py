"""A first convolution whose output map carries a 0/1 mask as a buffer, so that it is saved with the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.api import Split


class MaskedStem(nn.Module):
    """`layer`, its output (B, C, H, W) multiplied by `mask` (C, H, W)."""

    mask: Tensor

    def __init__(self, layer: nn.Module, shape: torch.Size) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("mask", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * self.mask


@torch.no_grad()
def mask_stem(net: nn.Module, data: Split) -> MaskedStem:
    """Put a mask of ones on the first convolution of `net.features`, sized by one image of `data`."""
    features = net.get_submodule("features")
    name = next(name for name, module in features.named_modules() if isinstance(module, nn.Conv2d))
    x = next(iter(data.batches(size=1))).x
    stem = MaskedStem(features.get_submodule(name), features.get_submodule(name)(x).shape[1:])
    parent, _, child = name.rpartition(".")
    setattr(features.get_submodule(parent), child, stem.to(x.device))
    return stem
