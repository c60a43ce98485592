"""Compare methods over many tasks: all of them (Friedman), pairs (Nemenyi), and each with Baseline (Wilcoxon).

The procedure is that of Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006). A block
is a task, backbone and test set on which all methods were scored. The tests assume that blocks are independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.errors import UsageError
from bench.scoring.statistics import LEVEL


class Friedman(NamedTuple):
    """Mean rank of each method (1 is best), the tie-corrected chi-squared of the ranks, and p.

    p is NaN if nothing can be tested: with fewer than two blocks, or if all methods tie in all blocks.
    """

    ranks: list[float]
    statistic: float
    p: float


def friedman(values: ArrayLike, direction: Literal["up", "down"]) -> Friedman:
    """Rank the methods within each block and test whether their mean ranks differ by more than chance.

    `values` (B, K) must be finite, with B blocks and K methods; `direction` is the one that is better. Ties get their
    middle rank. p is that of the F distribution after Iman & Davenport (1980), because the chi-squared distribution is
    conservative with few blocks; it is at least the chance that all blocks rank alike, K! ^ (1 - B).

    Raises:
        UsageError: with fewer than three methods, no block, or a value that is not finite.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 3:
        raise UsageError(f"values of shape {table.shape}: blocks by three or more methods expected")
    if not np.isfinite(table).all():
        raise UsageError(f"{int((~np.isfinite(table)).sum())} values are not finite: leave out the method or the block")
    ranks = stats.rankdata(-table if direction == "up" else table, axis=1)
    blocks, k = ranks.shape
    mean = ranks.mean(axis=0)
    counts = [np.unique(block, return_counts=True)[1] for block in ranks]
    ties = sum(float((count**3 - count).sum()) for count in counts)
    spread = 1 - ties / (blocks * (k**3 - k))
    if blocks < 2 or spread <= 0:
        return Friedman(mean.tolist(), float("nan"), float("nan"))
    statistic = float(12 * blocks / (k * (k + 1)) * ((mean - (k + 1) / 2) ** 2).sum() / spread)
    left = blocks * (k - 1) - statistic
    ratio = (blocks - 1) * statistic / left if left > 1e-9 else np.inf
    p = float(stats.f.sf(ratio, k - 1, (k - 1) * (blocks - 1)))
    return Friedman(mean.tolist(), statistic, max(p, math.factorial(k) ** -(blocks - 1.0)))


def critical_difference(methods: int, blocks: int, level: float = LEVEL) -> float:
    """Return the difference of mean ranks from which on methods differ (Nemenyi).

    It is q sqrt(k (k + 1) / (6 B)), where q is the quantile of the studentised range divided by √2.
    """
    q = float(stats.studentized_range.isf(level, methods, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def cliques(ranks: Sequence[float], difference: float) -> list[tuple[float, float]]:
    """Return the best and worst rank of each maximal set of two or more methods within `difference` of each other."""
    order = sorted(ranks)
    runs = [(low, max(rank for rank in order if rank - low <= difference)) for low in order]
    found: list[tuple[float, float]] = []
    for low, high in runs:
        alone = sum(low <= rank <= high for rank in order) < 2
        if not alone and (not found or high > found[-1][1]):
            found.append((low, high))
    return found


def signed_rank(values: ArrayLike, reference: ArrayLike) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test of paired blocks, both (B,), exact also with ties.

    Differences of 0 are ranked but have no sign (Pratt 1959). p is 1 if all are 0, and NaN without blocks or if a value
    is not finite. Differences are rounded to 9 decimals, because equal decimal differences may differ in binary.
    """
    differences = np.round(np.asarray(values, dtype=float) - np.asarray(reference, dtype=float), 9)
    if not differences.size or not np.isfinite(differences).all():
        return float("nan")
    # Middle ranks are multiples of one half, so doubled ranks are whole numbers.
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)
    kept, signs = doubled[differences != 0], differences[differences != 0]
    ways = np.ones(1)
    for rank in kept:
        ways = np.concatenate([ways, np.zeros(rank)]) + np.concatenate([np.zeros(rank), ways])
    total, positive = int(kept.sum()), int(kept[signs > 0].sum())
    tail = min(positive, total - positive)
    return float(min(1.0, 2 * ways[: tail + 1].sum() / ways.sum()))
