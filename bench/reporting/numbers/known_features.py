"""What the features of each model know of the attribute, beside its gap: is a gap elsewhere tied to it?

The claim is that of Yang et al. (Nature Medicine 2024), on models that were trained anew. It is looked at over methods,
by Spearman's rank correlation of means over folds. Ten methods support hardly anything: without any relation, one
correlation of twenty is larger than `by_chance`. So the correlation is shown and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan, sqrt

import pandas as pd
from scipy.special import stdtrit

from bench.cells.record import Record
from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.frames import METHOD
from bench.reporting.numbers.grouping import grouped, over_seeds
from bench.scoring.statistics import LEVEL, summary

COLUMNS = [*METHOD, "comparator", "set", "probe", "probe_std", "folds", "gap", "auc"]
LEAST = 5
"""Methods without which no correlation is computed."""


def frame(results: Results, cells: Sequence[Record]) -> pd.DataFrame:
    """Return a row for each model and test set with the AUC of its probe, mean and std (ddof 1) over folds.

    Cells that were made before probes were stored have none; rows without any are left out, and suppressed sets.
    """
    models = grouped(((item.cell.backbone, item.cell.spec), item) for item in cells)
    records = []
    for backbone, name in results.places:
        scores = {
            metric: {row.spec: row for row in results.column(backbone, name, metric)}
            for metric in ("auc", results.info.gap)
        }
        for row in results.costs(backbone) if name not in results.suppressed else ():
            found = ((item.cell.fold, item.probe.get(name, nan)) for item in models.get((backbone, row.spec), ()))
            mean, std, folds = summary(list(over_seeds(found).values()))
            if folds and isfinite(mean):
                named = {key: getattr(row, key) for key in (*METHOD, "comparator")}
                gap = scores[results.info.gap][row.spec]
                numbers = {"probe": mean, "probe_std": std, "folds": folds, "auc": scores["auc"][row.spec].mean}
                # A gap that cannot be judged, as that of a model that predicts one class, is no gap.
                records.append({**named, "set": name, **numbers, "gap": nan if gap.excluded else gap.mean})
    return pd.DataFrame(records, columns=COLUMNS)


def correlation(here: pd.DataFrame) -> tuple[float, int]:
    """Return Spearman's rank correlation of probe and gap over the methods of one place, and their number."""
    both = here[["probe", "gap"]].dropna()
    if len(both) < LEAST or both.nunique().min() < 2:
        return nan, len(both)
    ranks = both.rank()
    return float(ranks["probe"].corr(ranks["gap"])), len(both)


def by_chance(methods: int) -> float:
    """Return the size that a correlation over n unrelated methods exceeds in one of twenty cases (t approximation)."""
    t = stdtrit(methods - 2, 1 - LEVEL / 2)
    return float(t / sqrt(methods - 2 + t * t))
