"""The two groups of the external set for an attribute of several groups: those with the lowest and the highest AUC.

Each baseline chooses them once, before any fine-tuning, by its AUC on the unbalanced validation part (SWiFT, Table 5
and Section 5.1.3). The worst group becomes 1 and the best 0, as in the public code.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any, NamedTuple

import pandas as pd

LEAST = 20
"""Least number of positives, and of negatives, of a group: with fewer its AUC is too uncertain to choose by."""
RULE = {"by": "auc of the baseline on val", "least": LEAST}
"""Part of the identity of a cell, because cells are planned before the baseline has chosen the pair."""


class Pair(NamedTuple):
    """The numbers of two groups: `best` becomes 0, `worst` becomes 1."""

    best: int
    worst: int


def choose(groups: Mapping[str, Mapping[str, Any]]) -> tuple[Pair | None, dict[str, float]]:
    """Return the pair and the AUC of each group; the AUC of a group that is too small to be chosen is NaN.

    Of groups with equal AUCs the first is chosen. The pair is None where fewer than two AUCs differ.

    Args:
        groups: name -> `positives`, `negatives` and `auc`, in the order of the groups, as `metrics.evaluate` returns.
    """
    aucs = {
        name: float(group["auc"]) if min(group["positives"], group["negatives"]) >= LEAST else nan
        for name, group in groups.items()
    }
    known = [(auc, number) for number, auc in enumerate(aucs.values()) if auc == auc]
    if len({auc for auc, _ in known}) < 2:
        return None, aucs
    best = max(known, key=lambda item: item[0])[1]
    worst = min(known, key=lambda item: item[0])[1]
    return Pair(best, worst), aucs


def of_pair(table: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """Return the rows of the two groups, with `a` = 1 for the worst and 0 for the best."""
    rows = table[table["a"].isin(pair)].reset_index(drop=True)
    return rows.assign(a=(rows["a"] == pair.worst).astype("int8"))
