"""DenseNet-121 (Huang et al. 2017) of torchvision, for images normalised with the ImageNet statistics."""

from __future__ import annotations

from dataclasses import dataclass

from bench.backbones._torchvision import Torchvision


@dataclass(frozen=True, kw_only=True)
class DenseNet121(Torchvision):
    """`weights` are `imagenet`, `imagenet_v1`, `none`, or a file of torchvision's names."""

    network = "densenet121"
    own = "DenseNet121_Weights"
