"""Which two groups each baseline chose, where the groups of a task are without an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cells.record import Record


@dataclass(frozen=True)
class Pair:
    """The groups with the lowest and the highest AUC of one baseline, None without a pair; those not eligible."""

    backbone: str
    fold: int
    seed: int
    worst: str | None
    best: str | None
    skipped: tuple[str, ...]


def pairs_of(cells: Sequence[Record]) -> tuple[Pair, ...]:
    """The pair of each baseline, once: all cells of a baseline hold the same."""
    pairs = set()
    for item in cells:
        if chosen := item.pair:
            cell, groups = item.cell, (chosen.worst, chosen.best, chosen.skipped)
            pairs.add(Pair(cell.backbone, cell.fold, cell.seed, *groups))
    return tuple(sorted(pairs, key=lambda pair: (pair.backbone, pair.fold, pair.seed)))
