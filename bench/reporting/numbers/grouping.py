"""Values by key: how tables, notes and figures collect what belongs together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from bench.scoring.statistics import summary

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Return the values of each key, keys and values in the order in which they come."""
    found: dict[Key, list[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def over_seeds(values: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return the mean of the finite values of each fold.

    Seeds of a fold share its training images, so they are one observation.
    """
    return {fold: summary(seeds).mean for fold, seeds in grouped(values).items()}
