"""Class activation maps: how much each place of an image raises or lowers its logit (Zhou et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

TOLERANCE = 1e-3


@torch.no_grad()
def activation_maps(net: nn.Module, x: Tensor) -> Tensor | None:
    """Return the maps (B, h, w) of images x (B, 3, H, W), before they are enlarged: sum_k w_k F_k at each place.

    F is the input of the last global average pool and w the weight of the last layer of `net.head`, so that the mean of
    a map plus the bias is the logit. Returns None if this does not hold, because the network has no such pool or head,
    or other layers between the two. The network must be in evaluation mode.
    """
    linear = _last_linear(getattr(net, "head", None))
    with _LastPooled() as pooled:
        z = net(x)
    maps = pooled.maps
    if linear is None or maps is None or maps.ndim != 4 or maps.shape[1] != linear.in_features:
        return None
    weighted = torch.einsum("bkhw,k->bhw", maps, linear.weight[0])
    bias = 0.0 if linear.bias is None else linear.bias
    same = torch.allclose(weighted.mean((1, 2)) + bias, z.float(), rtol=TOLERANCE, atol=TOLERANCE)
    return weighted if same else None


def _last_linear(head: object) -> nn.Linear | None:
    layers = [layer for layer in head.modules() if isinstance(layer, nn.Linear)] if isinstance(head, nn.Module) else []
    return layers[-1] if layers and layers[-1].out_features == 1 else None


class _LastPooled(TorchFunctionMode):
    """Record the input of the last global average pool, which is a module in some backbones and a call in others."""

    maps: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.adaptive_avg_pool2d:
            self.maps = args[0] if args else kwargs["input"]
        return func(*args, **kwargs)
