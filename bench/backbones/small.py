"""Four convolutions for images of about 64 pixels: 98,000 weights, and none that are pre-trained.

It starts from random weights, also where the task names those of ImageNet; a file of weights is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api import Backbone, Input
from bench.errors import DataError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Small(Backbone):
    """Convolutions of stride 2 with BatchNorm and ReLU, then a global average."""

    tags = ("imagenet", "imagenet_v1")
    lacks = {}

    @property
    def input(self) -> Input:
        return Input(size=64)

    def build(self, size: int, weights: Path | None) -> tuple[nn.Module, int]:
        from torch import nn

        if weights:
            raise DataError(
                f'{weights}: the network small starts from random weights and reads no file: set weights = "none", or '
                "choose a network of that file"
            )
        widths = (3, 16, 32, 64, 128)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), widths[-1]
