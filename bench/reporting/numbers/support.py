"""What a table says about its claims as a whole: the primary family, and the gaps of Baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.cells.bounds import Count
from bench.scoring.gaps import Own


@dataclass(frozen=True)
class Family:
    """The primary family of a task: the number of its claims, and of the bootstrap samples that test them, by set."""

    size: Count
    draws: Mapping[str, Count]


@dataclass(frozen=True)
class Leaning:
    """The gap of a baseline over patients, and whether its folds lean to opposite sides in most of it."""

    own: Own
    opposed: bool
