"""Class activation maps: the places of an image that raise and lower its logit (Zhou et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

TOLERANCE = 1e-3


@torch.no_grad()
def activation_maps(net: nn.Module, x: Tensor) -> Tensor | None:
    """Return the maps (B, h, w) of images x (B, 3, H, W), before they are enlarged: sum_k w_k F_k at each place.

    F is the input of the last global average pool, w the weight of the last layer of `net.head`; the mean of a map plus
    the bias is the logit. None where this does not hold, because the network has no such pool or head, or further
    layers between the two. The network must be in evaluation mode.
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
    """Records the input of the last global average pool, which is a module in one backbone and a call in another."""

    maps: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.adaptive_avg_pool2d:
            self.maps = args[0] if args else kwargs["input"]
        return func(*args, **kwargs)
