"""What several sites say together of a method: the plain mean of each site's own difference to Baseline.

A site is one observation, whatever its number of images. Its difference is that of its own report: paired over its own
folds, on its own test set. Weights by inverse variance would need the variance over patients and over training at each
site; the spread over folds is neither. Two or three sites carry no test and no interval, so there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from operator import attrgetter

from bench.report.numbers.aggregate import BASELINE, Results
from bench.report.numbers.ranking import DECIMALS, Row
from bench.report.render import table
from bench.score.definitions import METRICS

OF_ROW = ("backbone", "method", "label", "spec", "set", "metric", "direction")
COLUMNS = ("task", "synthetic", *OF_ROW, "sites", "mean_difference", "lowest", "highest", "better")
"""Columns of pooled.csv, before one per site with its difference."""


@dataclass(frozen=True)
class Pooled:
    """One method on the test sets of one name in one metric: `differences` to Baseline by site, NaN where none is.

    `better` counts the sites where the difference, at the decimals that tables print, goes the better way.
    """

    backbone: str
    set: str
    metric: str
    direction: str
    method: str
    label: str
    spec: str
    row: int
    differences: Mapping[str, float]

    @property
    def known(self) -> list[float]:
        """The differences that there are."""
        return [value for value in self.differences.values() if isfinite(value)]

    @property
    def mean(self) -> float:
        """Their plain mean, NaN with fewer than two sites."""
        return sum(self.known) / len(self.known) if len(self.known) > 1 else nan

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest difference, NaN where there is none."""
        return min(self.known, default=nan), max(self.known, default=nan)

    @property
    def better(self) -> int:
        """Number of sites where the method is better than Baseline."""
        sign = 1 if self.direction == "up" else -1
        return sum(sign * round(value, DECIMALS) > 0 for value in self.known)


def pooled(results: Mapping[str, Results]) -> list[Pooled]:
    """Return the pooled rows of every test set that at least two sites have under one name, in the order of tables."""
    found: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for site, one in results.items():
        for row in one.rows:
            if row.set in one.info.ood and row.direction and row.spec != BASELINE and row.excluded != "undefined":
                found.setdefault((row.backbone, row.set, row.metric, row.spec), {})[site] = row
    shared = {
        (backbone, name, metric, spec): rows
        for (backbone, name, metric, spec), rows in found.items()
        if sum(name in one.info.ood for one in results.values()) > 1
    }
    sets = list(dict.fromkeys(name for one in results.values() for name in one.info.ood))
    rows = [
        Pooled(
            backbone=backbone,
            set=name,
            metric=metric,
            direction=str(first.direction),
            method=first.method,
            label=first.label,
            spec=spec,
            row=first.row,
            differences={site: rows[site].difference if site in rows else nan for site in results},
        )
        for (backbone, name, metric, spec), rows in shared.items()
        for first in [next(iter(rows.values()))]
    ]
    return sorted(
        rows, key=lambda row: (row.backbone, sets.index(row.set), list(METRICS).index(row.metric), row.row, row.spec)
    )


def pooled_csv(rows: Sequence[Pooled], results: Mapping[str, Results]) -> str:
    """One row per backbone, test set, metric and method, full precision; NaN is empty."""
    info = next(iter(results.values())).info
    told = attrgetter(*OF_ROW)
    records = [
        (
            info.name,
            info.synthetic,
            *told(row),
            len(row.known),
            row.mean,
            *row.range,
            row.better,
            *row.differences.values(),
        )
        for row in rows
    ]
    return table.csv(records, [*COLUMNS, *(f"difference at {site}" for site in results)])
