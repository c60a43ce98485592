"""The built-in backbones: one class in one file each. This module is light; torch comes when a network is built."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from bench.api import PARTS, Backbone
from bench.errors import DataMissing

if TYPE_CHECKING:
    from torch import Size, nn


def package(name: str, get_it: str) -> ModuleType:
    """Import a package that imports torchvision, also where the compiled operators of torchvision are missing.

    Raises:
        DataMissing: the package is not installed; `get_it` says how to get it.
    """
    from bench.backbones import _torchvision_without_operators as _torchvision_without_operators

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DataMissing(f"package {name} ({error})", get_it=get_it) from None


@cache
def lacking(backbone: Backbone) -> Mapping[str, str]:
    """Return the parts (`bench.api.PARTS`) that a network does not have, each with the reason.

    A backbone that does not declare them is built on torch's meta device, where weights take no memory, or, if it
    cannot be built there, with random weights.
    """
    if backbone.lacks is not None:
        return backbone.lacks
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            with torch.device("meta"):
                features, _ = backbone.build(backbone.input.size, None)
        except RuntimeError:  # an operation that the meta device does not have
            features, _ = backbone.build(backbone.input.size, None)
    return _found_lacking(features)


def _found_lacking(features: nn.Module) -> dict[str, str]:
    from torch import nn

    layers = list(features.modules())
    convolutions = [at for at, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    activated = any(isinstance(layer, nn.ReLU | nn.SiLU) for layer in layers[convolutions[0] :]) if convolutions else ()
    if not convolutions:
        why = "the network has no convolution"
    elif len(convolutions) == 1:
        why = "the only convolution of the network cuts the image into patches"
    else:
        why = ""
    found = dict.fromkeys(PARTS, why) if why else {}
    return found or ({} if activated else {"stem activation": "the network has no ReLU or SiLU"})


def shape_of(features: nn.Module, channels: int, size: int) -> Size | None:
    """Return the shape of the features of two images, None if they are no tensor; without weights if possible."""
    import torch

    images = (2, channels, size, size)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            out = copy.deepcopy(features).eval().to("meta")(torch.zeros(images, device="meta"))
        except RuntimeError:  # an operation that the meta device does not have
            out = copy.deepcopy(features).eval()(torch.zeros(images))
    return out.shape if isinstance(out, torch.Tensor) else None
