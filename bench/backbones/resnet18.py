"""ResNet-18 (He et al. 2016) of torchvision, for images normalised with the ImageNet statistics."""

from __future__ import annotations

from dataclasses import dataclass

from bench.backbones._torchvision import Torchvision


@dataclass(frozen=True, kw_only=True)
class ResNet18(Torchvision):
    """`weights` are `imagenet`, `imagenet_v1`, `none`, or a file of torchvision's names."""

    network = "resnet18"
    own = "ResNet18_Weights"
