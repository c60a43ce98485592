"""The backbones: extractors that end in global average pooling, and their ImageNet weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from bench.api import BACKBONES
from bench.errors import DataMissing, UnknownName
from bench.net import Net


def small() -> tuple[nn.Module, int]:
    """Return extractor and width of the backbone for images of about 64 pixels: four convolutions, 98,000 weights."""
    widths = (3, 16, 32, 64, 128)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), widths[-1]


TORCHVISION = {
    "resnet18": "ResNet18_Weights",
    "resnet50": "ResNet50_Weights",
    "efficientnet_b3": "EfficientNet_B3_Weights",
    "densenet121": "DenseNet121_Weights",
}


def build_net(backbone: str, *, weights: str = "none", prepare: str = "bench prepare TASK") -> Net:
    """Return a new network in evaluation mode; its initial weights come from the global random state.

    Args:
        weights: "none", "imagenet" (torchvision's DEFAULT) or "imagenet_v1" (its first weights); both are read from
            TORCH_HOME, never downloaded.
        prepare: the command that fetches the weights, for the error.

    Raises:
        UnknownName: the backbone is unknown.
        DataMissing: the ImageNet weights are not in TORCH_HOME.
    """
    if backbone == "small":
        net = Net(*small())
    elif backbone in TORCHVISION:
        net = Net(*_torchvision(backbone, weights, prepare))
    else:
        raise UnknownName("backbone", backbone, BACKBONES)
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's overloads leave it out
    return net.eval()


def imagenet_weights(backbone: str, which: str = "imagenet") -> tuple[str, Path]:
    """Return the address of torchvision's ImageNet weights, its DEFAULT or "imagenet_v1", and their file in TORCH_HOME.

    The two differ for a ResNet-50 alone, whose DEFAULT was trained for longer and with another recipe (D45).
    """
    from bench.learn._torchvision_without_operators import models

    known = getattr(models, TORCHVISION[backbone])
    url = (known.IMAGENET1K_V1 if which == "imagenet_v1" else known.DEFAULT).url
    return url, Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _torchvision(backbone: str, weights: str, prepare: str) -> tuple[nn.Module, int]:
    from bench.learn._torchvision_without_operators import models

    model = getattr(models, backbone)(weights=None)
    if weights != "none":
        url, file = imagenet_weights(backbone, weights)
        if not file.is_file():
            raise DataMissing(
                f"ImageNet weights {file}",
                get_it=f"On a machine with a network, `{prepare}` downloads {url}; otherwise copy it into that folder "
                '(or set TORCH_HOME), or set weights = "none" in the task to train from scratch.',
            )
        model.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    # The last linear layer is `fc` (ResNet) or the last of `classifier`. The dropout of EfficientNet before it stays in
    # the extractor, as in the public code of SWiFT.
    if hasattr(model, "fc"):
        width, model.fc = model.fc.in_features, nn.Identity()
    elif isinstance(model.classifier, nn.Sequential):
        last = model.classifier[-1]
        assert isinstance(last, nn.Linear)
        width, model.classifier[-1] = last.in_features, nn.Identity()
    else:
        width, model.classifier = model.classifier.in_features, nn.Identity()
    return model, width
