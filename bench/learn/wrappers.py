"""The modules that a method may put around a network or its layers, and that a stored model is built from again.

A folder of a model holds tensors and no code. Which of these modules it has is told by the names of its tensors.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.errors import PluginBroken
from bench.net import Net

MASK, SHIFT, INSIDE = ".mask", "shift", "net."


class MaskedLayer(nn.Module):
    """`layer`, its output (B, C, H, W) multiplied by `mask`, which is (C, H, W) or (C, 1, 1)."""

    mask: Tensor

    def __init__(self, layer: nn.Module, mask: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * self.mask


class GroupShift(nn.Module):
    """`net`, from whose logit the `shift` (G + 1,) of the group is taken; the last is of images without a group."""

    shift: Tensor

    def __init__(self, net: nn.Module, shift: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        return self.net(x) - self.shift[a]  # -1, no group, is the last


def rebuilt(net: Net, state: Mapping[str, Tensor]) -> nn.Module:
    """Return `net` in the modules that the names of a state tell of. Its tensors are not loaded yet.

    A mask of a layer that the network does not have is ignored, so that loading the state names it.
    """
    around = INSIDE if SHIFT in state else ""
    layers, own = {name for name, _ in net.named_modules()}, set(net.state_dict())
    for name, value in state.items():
        inner = name.removeprefix(around)
        layer = inner.removesuffix(MASK)
        if inner.endswith(MASK) and inner not in own and layer in layers:
            parent, _, child = layer.rpartition(".")
            within = net.get_submodule(parent)
            setattr(within, child, MaskedLayer(getattr(within, child), torch.ones_like(value)))
    return GroupShift(net, torch.zeros_like(state[SHIFT])) if around else net


def check_storable(model: nn.Module, baseline: Net) -> None:
    """Raise PluginBroken, with the part that differs, unless `rebuilt` gives the modules and tensors of a model."""
    state = model.state_dict()
    with_state = rebuilt(copy.deepcopy(baseline), state)
    for what, found, known in (
        ("module", _kinds(model), _kinds(with_state)),
        ("tensor", _shapes(state), _shapes(with_state.state_dict())),
    ):
        for name, kind in [*found.items(), *known.items()]:
            if found.get(name) == known.get(name):
                continue
            raise PluginBroken(
                f"the {what} {name or 'itself'} ({kind}) is no part of the network with `bench.learn.MaskedLayer` and "
                "`bench.learn.GroupShift`: a stored model holds tensors and no code, so nothing else can be built again"
            )


def _kinds(model: nn.Module) -> dict[str, str]:
    return {name: type(module).__qualname__ for name, module in model.named_modules()}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: str(tuple(value.shape)) for name, value in state.items()}
