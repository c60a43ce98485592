"""EfficientNet-B3 (Tan and Le 2019) of torchvision, for images normalised with the ImageNet statistics."""

from __future__ import annotations

from dataclasses import dataclass

from bench.backbones._torchvision import Torchvision


@dataclass(frozen=True, kw_only=True)
class EfficientNetB3(Torchvision):
    """`weights` are `imagenet`, `imagenet_v1`, `none`, or a file of torchvision's names."""

    network = "efficientnet_b3"
    own = "EfficientNet_B3_Weights"
