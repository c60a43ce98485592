"""What differs between the baseline and a fitted model, entry by entry of their `state_dict`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.net import Net


def changed_parts(before: Net, after: nn.Module) -> dict[str, str]:
    """Return the parts of a network that differ in a model, each with the first name in it.

    An entry under a new name with the same values is not changed; an entry that was added changes its part.
    """
    pairs, added = _pairs(before, after)
    statistics = {name for name, _ in before.named_buffers()}
    found: dict[str, str] = {}
    for name, old, new in pairs:
        if new is None or not torch.equal(old, new):
            head = name.startswith("head.")
            found.setdefault("head" if head else "statistics" if name in statistics else "extractor", name)
    for name in added:
        inside = "features." in name
        found.setdefault("extractor" if inside else "head", name)
    return found


def newly_zero(before: Net, after: nn.Module) -> int:
    """Count the parameters that became zero, and the zeros of 0/1 entries that were added (masks)."""
    pairs, added = _pairs(before, after)
    parameters = {name for name, _ in before.named_parameters()}
    count = sum(
        int(((old != 0) & (new == 0)).sum()) for name, old, new in pairs if name in parameters and new is not None
    )
    masks = [tensor for tensor in added.values() if ((tensor == 0) | (tensor == 1)).all()]
    return count + sum(int((mask == 0).sum()) for mask in masks)


def _pairs(before: Net, after: nn.Module) -> tuple[list[tuple[str, Tensor, Tensor | None]], dict[str, Tensor]]:
    """Return (name, old entry, new entry or None) for each entry of `before`, and what `after` has besides."""
    left = dict(after.state_dict())
    named = {name: left.pop(name) for name in before.state_dict() if name in left}
    pairs: list[tuple[str, Tensor, Tensor | None]] = []
    for name, old in before.state_dict().items():
        new = named.get(name)
        if new is None or new.shape != old.shape:
            same = (key for key, tensor in left.items() if torch.equal(tensor, old))
            new = left.pop(key) if (key := next(same, None)) is not None else None
        pairs.append((name, old, new))
    return pairs, left
