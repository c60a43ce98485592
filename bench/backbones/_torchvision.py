"""The common part of the backbones of torchvision: the network without its last layer, and its ImageNet weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.api import Backbone, Input
from bench.weights import load_exactly, read_tensors

if TYPE_CHECKING:
    from torch import nn

_LEGACY = re.compile(r"(?<=\.(?:norm|conv))\.(?=[12]\.)")
"""A dot that torchvision's file of DenseNet-121 still has in the names of its layers: `denselayer1.norm.1.weight`."""


@dataclass(frozen=True, kw_only=True)
class Torchvision(Backbone):
    """A classifier of torchvision. The weights `imagenet` are its DEFAULT, `imagenet_v1` its first ones.

    The two differ for a ResNet-50 alone, whose DEFAULT was trained for longer and with another recipe (D45).
    """

    tags = ("imagenet", "imagenet_v1")
    lacks = {}
    network: ClassVar[str]
    """The name of the function that builds it, and of its class of weights."""
    own: ClassVar[str]

    @property
    def input(self) -> Input:
        return Input()

    def weight_file(self, tag: str) -> tuple[str, Path]:
        import torch

        from bench.backbones._torchvision_without_operators import models

        known = getattr(models, self.own)
        url = (known.IMAGENET1K_V1 if tag == "imagenet_v1" else known.DEFAULT).url
        return url, Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]

    def build(self, size: int, weights: Path | None) -> tuple[nn.Module, int]:
        from torch import nn

        from bench.backbones._torchvision_without_operators import models

        model = getattr(models, self.network)(weights=None)
        if weights is not None:
            state = {_LEGACY.sub("", name): value for name, value in read_tensors(weights).items()}
            load_exactly(model, state, weights, f"torchvision's {self.network}")
        # The last linear layer is `fc` (ResNet) or the last of `classifier`. The dropout of EfficientNet before it
        # stays in the extractor, as in the public code of SWiFT.
        if hasattr(model, "fc"):
            width, model.fc = model.fc.in_features, nn.Identity()
        elif isinstance(model.classifier, nn.Sequential):
            last = model.classifier[-1]
            assert isinstance(last, nn.Linear)
            width, model.classifier[-1] = last.in_features, nn.Identity()
        else:
            width, model.classifier = model.classifier.in_features, nn.Identity()
        return model, width
