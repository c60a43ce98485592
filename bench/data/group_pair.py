"""The pair of groups that makes the external set of an attribute of more groups: the worst and the best served.

Chosen once per baseline, before anything is fine-tuned, by AUC on the unbalanced validation part. Paper: SWiFT, Table
5 and Section 5.1.3; the worst is recoded 1 and the best 0, as in its public code.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any, NamedTuple

import pandas as pd

LEAST = 20
"""Positives, and negatives, that a group must have: the AUC of fewer is too uncertain to choose by."""
RULE = {"by": "auc of the baseline on val", "least": LEAST}
"""Part of the identity of a cell, which is planned before its baseline and hence its pair are known."""


class Pair(NamedTuple):
    """Numbers of two groups: `best` becomes 0, `worst` becomes 1."""

    best: int
    worst: int


def choose(groups: Mapping[str, Mapping[str, Any]]) -> tuple[Pair | None, dict[str, float]]:
    """Return the pair and the AUC of each group that may be chosen, the others' as NaN.

    Of equal AUCs the first group counts. The pair is None where fewer than two groups may be chosen or all of those
    have one AUC.

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
    """Return the rows of two groups, `a` recoded: the worst 1, the best 0."""
    rows = table[table["a"].isin(pair)].reset_index(drop=True)
    return rows.assign(a=(rows["a"] == pair.worst).astype("int8"))
