"""Masks of zeros and ones on the outputs of layers: buffers that are saved with the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.learn.wrappers import MaskedLayer

Site = Literal["stem", "stem_activated", "convolutions"]
Unit = Literal["position", "channel"]
ACTIVATIONS = (nn.ReLU, nn.SiLU)


@torch.no_grad()
def mask_layers(net: nn.Module, x: Tensor, site: Site = "stem", unit: Unit = "position") -> list[MaskedLayer]:
    """Put masks of ones on layers of `net.features` and return the masked layers, first to last.

    The sizes of the masks follow from the image `x` (1, 3, H, W). `site` and `unit` are those of `DiffPrune`.

    Raises:
        UsageError: if the network has no such layer.
    """
    features = net.get_submodule("features")
    sizes: dict[nn.Module, torch.Size] = {}

    def keep_size(layer: nn.Module, inputs: object, output: Tensor) -> None:
        sizes[layer] = output.shape[1:]

    names = layer_names(features, site)
    handles = [features.get_submodule(name).register_forward_hook(keep_size) for name in names]
    features.forward(x)  # features(x) would be counted as a cost of the method
    for handle in handles:
        handle.remove()
    masked = []
    for name in names:
        layer = features.get_submodule(name)
        channels, *places = sizes[layer]
        mask = torch.ones(channels, *(places if unit == "position" else (1, 1)), device=x.device)
        masked.append(MaskedLayer(layer, mask))
        parent, _, child = name.rpartition(".")
        setattr(features.get_submodule(parent), child, masked[-1])
    return masked


def layer_names(features: nn.Module, site: Site) -> list[str]:
    """Return the names of the layers at a site: the first convolution, the activation after it, or all convolutions."""
    modules = list(features.named_modules())
    convolutions = [at for at, (_, module) in enumerate(modules) if isinstance(module, nn.Conv2d)]
    chosen = convolutions if site == "convolutions" else convolutions[:1]
    if site == "stem_activated" and chosen:
        chosen = [at for at in range(chosen[0], len(modules)) if isinstance(modules[at][1], ACTIVATIONS)][:1]
    if not chosen:
        raise UsageError(
            f"DiffPrune.site={site}: the extractor has no such layer (a Conv2d, or a ReLU or SiLU after the first); "
            "choose another of stem, stem_activated, convolutions"
        )
    return [modules[at][0] for at in chosen]


@torch.no_grad()
def set_masks(layers: Sequence[MaskedLayer], mask: Tensor) -> None:
    """Write one flat mask (units,) into the layers, first to last."""
    for layer, piece in zip(layers, mask.split([layer.mask.numel() for layer in layers]), strict=True):
        layer.mask.copy_(piece.view_as(layer.mask))
