"""The head between the two steps of SWiFT: which of its entries start again from 0 (Eq. 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHT, BIAS = "head.1.weight", "head.1.bias"


def reset(
    linear: nn.Linear,
    kind: Literal["partial", "full", "none"],
    mask: dict[str, Tensor],
    ranked: dict[str, Tensor],
    scope: Literal["weight", "head_all", "reference"] = "weight",
    share: float | None = None,
) -> dict[str, Any]:
    """Set entries of a head's weight (1, D) and bias (1,) to 0 in place; return gamma and the share of reset weights.

    `partial` resets the entries whose mask is at least gamma, its mean over the weight (or, `head_all`, over weight and
    bias); `reference` those above the mean of their own tensor, which never takes the bias. With `share`, the
    round(share * D) weights with the largest `ranked` are taken, ties by position. A constant mask names no
    entry: nothing is reset.
    """
    import torch

    m, b = mask[WEIGHT], mask[BIAS]
    gamma = torch.cat([m.flatten(), b]).mean() if scope == "head_all" else m.mean()
    weight, bias = torch.zeros_like(m, dtype=torch.bool), torch.zeros_like(b, dtype=torch.bool)
    if kind == "full":
        weight[:], bias[:] = True, True
    elif kind == "partial" and share is not None:
        order = torch.argsort(ranked[WEIGHT].flatten(), descending=True, stable=True)
        weight.view(-1)[order[: round(share * len(order))]] = True
    elif kind == "partial" and m.max() != m.min():
        weight = m > gamma if scope == "reference" else m >= gamma
        if scope == "head_all":
            bias = b >= gamma
    with torch.no_grad():
        linear.weight.masked_fill_(weight, 0.0)
        linear.bias.masked_fill_(bias, 0.0)
    return {"gamma": float(gamma), "reset_share": float(weight.float().mean()), "reset_bias": bool(bias.any())}
