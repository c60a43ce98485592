"""From two importances to a mask in [0, 1] per parameter (SWiFT, Eq. 9 and the paragraph before it)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from bench.errors import NonFinite
from bench.learn.importance import Importance

TINY = 1e-10


def min_max(values: Tensor) -> Tensor:
    """Scale a tensor to [0, 1]; one whose entries are all equal (a scalar bias) is returned as it is.

    SWiFT's public code does so, per parameter tensor; BMFT's divides 0 by 0 there.
    """
    low, high = values.min(), values.max()
    return values if low == high else (values - low) / (high - low + TINY)


def importance_ratio(bias: Importance, prediction: Importance) -> dict[str, Tensor]:
    """Return r = min_max(bias) / (min_max(prediction) + 1e-10) for each parameter tensor.

    Quantiles and hard masks rank r: tanh(r) is exactly 1 in float32 from r = 9.02 on.

    Raises:
        NonFinite: naming the parameter, if an importance is NaN or infinite.
    """
    ratio = {name: min_max(bias[name]) / (min_max(prediction[name]) + TINY) for name in bias}
    for name, r in ratio.items():
        if not torch.isfinite(r).all():
            raise NonFinite(f"the importance ratio of {name} is not finite")
    return ratio


def soft_mask(ratio: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return M = |tanh(r)| in [0, 1] (Eq. 9)."""
    return {name: torch.tanh(r).abs() for name, r in ratio.items()}


def hard_mask(ratio: dict[str, Tensor], rate: float, names: Iterable[str]) -> dict[str, Tensor]:
    """Return a 0/1 mask: 1 for the round(rate * n) largest r over the n entries of `names` together, 0 elsewhere.

    Ties are broken by position, so that the count is exact.
    """
    chosen = list(names)
    flat = torch.cat([ratio[name].flatten() for name in chosen])
    ones = torch.zeros_like(flat)
    ones[torch.argsort(flat, descending=True, stable=True)[: round(rate * len(flat))]] = 1
    pieces = dict(zip(chosen, ones.split([ratio[name].numel() for name in chosen]), strict=True))
    return {name: pieces[name].reshape(r.shape) if name in pieces else torch.zeros_like(r) for name, r in ratio.items()}


def mask_summary(mask: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Return mean, 5th, 50th and 95th percentile and the share above 0.9 of each tensor, for the log."""
    facts = {}
    for name, values in mask.items():
        flat, last = values.flatten().sort().values, values.numel() - 1
        facts[name] = {
            "mean": float(values.mean()),
            **{f"q{q:02d}": float(flat[round(last * q / 100)]) for q in (5, 50, 95)},
            "share_above_0.9": float((values > 0.9).float().mean()),
        }
    return facts
