"""Small networks for the oracles: random ones, one block each of EfficientNet and DenseNet, a ResNet-18."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from bench.backbones._torchvision_without_operators import models
from bench.learn.network import build_net
from bench.net import Net


def convolutions(widths: tuple[int, ...], dropout: float) -> Net:
    """Convolutions with BatchNorm and dropout from 3 to the last of `widths` channels."""
    layers: list[nn.Module] = []
    for before, after in zip((3, *widths), widths, strict=False):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers.append(nn.Dropout2d(dropout))
    return _pooled(layers, widths[-1])


def efficientnet_block() -> Net:
    """A stem, then an MBConv with squeeze-excitation, stochastic depth and a residual connection."""
    config = models.efficientnet.MBConvConfig(4, 3, 1, 8, 8, 1)
    block = models.efficientnet.MBConv(config, 0.5, nn.BatchNorm2d)
    stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
    return _pooled([stem, nn.BatchNorm2d(8), nn.SiLU(), block, nn.Dropout(0.3)], 8)


def densenet_block() -> Net:
    """A stem, then three densely connected layers with dropout."""
    block = models.densenet._DenseBlock(3, 8, bn_size=2, growth_rate=4, drop_rate=0.2)
    stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
    return _pooled([stem, block, nn.BatchNorm2d(20), nn.ReLU()], 20)


def _pooled(layers: list[nn.Module], width: int) -> Net:
    return Net(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), width)


def settled(make: Callable[[], Net], seed: int = 0) -> Net:
    """A network with random weights and BatchNorm statistics, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = make()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    return net.eval()


NETS: dict[str, Callable[[], Net]] = {
    "one layer": partial(convolutions, (4,), 0.0),
    "two layers": partial(convolutions, (5, 7), 0.3),
    "three layers": partial(convolutions, (4, 6, 3), 0.5),
    "efficientnet block": efficientnet_block,
    "densenet block": densenet_block,
    "resnet18": partial(build_net, "resnet18"),
}
