"""Masks in [0, 1] for each parameter from two importances (SWiFT, Eq. 9 and the paragraph before it)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from bench.errors import NonFinite
from bench.learn.importance import Importance

TINY = 1e-10


@dataclass(frozen=True)
class Scaling:
    """The scaling of importances before their ratio is taken."""

    normalise: Literal["minmax", "zscore", "percentile"] = "minmax"
    low: float = 5.0
    high: float = 95.0
    """The percentiles that become 0 and 1."""
    scope: Literal["tensor", "module", "global"] = "tensor"
    """The unit that is scaled together: a parameter tensor, the parameters of a module, or the whole network."""
    constant: Literal["raw", "zero", "neutral"] = "raw"
    """The ratio if all importances of a unit are equal: that of the raw values, 0, or 1."""


def min_max(values: Tensor) -> Tensor:
    """Scale a tensor to [0, 1]; return it unchanged if all its entries are equal, as in a bias with one entry.

    The public code of SWiFT does the same for each parameter tensor; that of BMFT divides 0 by 0 then.
    """
    low, high = values.min(), values.max()
    return values if low == high else (values - low) / (high - low + TINY)


def scaled(values: Tensor, scaling: Scaling) -> Tensor:
    """Scale the importances (n,) of one unit: to [0, 1], to z-scores (unbiased std), or between two percentiles.

    Values outside the percentiles become 0 or 1. Equal importances are returned unchanged.
    """
    if scaling.normalise == "minmax" or values.min() == values.max():
        return min_max(values)
    if scaling.normalise == "zscore":
        return (values - values.mean()) / values.std()
    ordered, last = values.flatten().sort().values, values.numel() - 1
    low, high = (ordered[round(last * q / 100)] for q in (scaling.low, scaling.high))
    return ((values - low) / (high - low + TINY)).clamp(0, 1)


def importance_ratio(bias: Importance, prediction: Importance, scaling: Scaling | None = None) -> dict[str, Tensor]:
    """Return r = scaled(bias) / (scaled(prediction) + 1e-10) for each parameter; 1e-10 has the sign of the divisor.

    Quantiles and hard masks rank r rather than tanh(r), which is exactly 1 in float32 from r = 9.02 on.

    Raises:
        NonFinite: with the name of the parameter, if an importance is NaN or infinite.
    """
    scaling = scaling or Scaling()
    ratio: dict[str, Tensor] = {}
    for names in _units(bias, scaling.scope):
        pair = [torch.cat([part[name].flatten() for name in names]) for part in (bias, prediction)]
        zb, zl = (scaled(values, scaling) for values in pair)
        r = zb / (zl + torch.copysign(torch.full_like(zl, TINY), zl))
        if scaling.constant != "raw" and any(values.min() == values.max() for values in pair):
            r = torch.full_like(r, float(scaling.constant == "neutral"))
        pieces = r.split([bias[name].numel() for name in names])
        ratio |= {name: piece.reshape(bias[name].shape) for name, piece in zip(names, pieces, strict=True)}
    for name, r in ratio.items():
        if not torch.isfinite(r).all():
            raise NonFinite(f"the importance ratio of {name} is not finite")
    return {name: ratio[name] for name in bias}


def _units(names: Iterable[str], scope: str) -> list[list[str]]:
    units: dict[str, list[str]] = {}
    for name in names:
        units.setdefault({"tensor": name, "module": name.rpartition(".")[0], "global": ""}[scope], []).append(name)
    return list(units.values())


def soft_mask(ratio: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return M = |tanh(r)| in [0, 1] (Eq. 9)."""
    return {name: torch.tanh(r).abs() for name, r in ratio.items()}


def hard_mask(ratio: dict[str, Tensor], rate: float, names: Iterable[str]) -> dict[str, Tensor]:
    """Return a mask that is 1 for the round(rate * n) largest r among the n entries of `names` together, else 0.

    Ties are broken by position, so that the count is exact.
    """
    chosen = list(names)
    flat = torch.cat([ratio[name].flatten() for name in chosen])
    ones = torch.zeros_like(flat)
    ones[torch.argsort(flat, descending=True, stable=True)[: round(rate * len(flat))]] = 1
    pieces = dict(zip(chosen, ones.split([ratio[name].numel() for name in chosen]), strict=True))
    return {name: pieces[name].reshape(r.shape) if name in pieces else torch.zeros_like(r) for name, r in ratio.items()}


def random_mask(
    net: nn.Module, rng: torch.Generator, kind: Literal["uniform", "reference"] = "uniform"
) -> dict[str, Tensor]:
    """Return a mask of U(0, 1) noise (SWiFT, Table 6), or tanh of the ratio of Gaussians, as in its code."""

    def noise(draw: Callable[..., Tensor]) -> dict[str, Tensor]:
        # The generator is of the CPU, so the noise does not depend on the device.
        return {name: draw(p.shape, generator=rng).to(p.device) for name, p in net.named_parameters()}

    if kind == "uniform":
        return noise(torch.rand)
    bias, prediction = (noise(torch.randn) for _ in range(2))
    return soft_mask(importance_ratio(bias, prediction))


def mask_displacement(
    mask: Mapping[str, Tensor], before: Mapping[str, Tensor], after: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return, for each tensor, the correlation of the mask with the distance that each entry moved.

    NaN if either is constant. The correlation is near 0 if Adam cancels the mask.
    """
    facts = {}
    for name, values in mask.items():
        pair = torch.stack([values.flatten().double(), (after[name] - before[name]).abs().flatten().double()])
        pair = pair - pair.mean(1, keepdim=True)
        norms = pair.norm(dim=1)
        facts[name] = float(pair[0] @ pair[1] / norms.prod()) if float(norms.min()) > 0 else float("nan")
    return facts


def mask_summary(mask: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Return mean, 5th, 50th and 95th percentile and share above 0.9 of each tensor, for the log."""
    facts = {}
    for name, values in mask.items():
        # On the CPU, because a GPU warns that this selection has no fixed order of equal values.
        flat, last = values.flatten().cpu(), values.numel() - 1
        facts[name] = {
            "mean": float(values.mean()),
            # Sorting millions of entries takes longer than three selections.
            **{f"q{q:02d}": float(flat.kthvalue(round(last * q / 100) + 1).values) for q in (5, 50, 95)},
            "share_above_0.9": float((values > 0.9).float().mean()),
        }
    return facts
