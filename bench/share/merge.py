"""`bench merge`: results of sites that ran one task, each on its own images, in one report.

Nothing is averaged over sites as if they were folds. Each test set keeps the numbers and marks that it has in the
report of its site, under the name of the site. What is said over sites stands apart: the plain mean of each site's own
difference to Baseline. A site is one observation there, whatever its number of images. Weights by inverse variance
would need the variance over patients and over training at each site; the spread over folds is neither. Two or three
sites carry no test and no interval, so there is none.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from operator import attrgetter

import pandas as pd

from bench.errors import UsageError
from bench.report.numbers.aggregate import BASELINE, Results
from bench.report.numbers.ranking import DECIMALS, Row
from bench.report.numbers.task_info import TaskInfo
from bench.report.render import table
from bench.report.render.text import listed
from bench.report.tables import main_table
from bench.score.definitions import METRICS
from bench.share.sites import Sites, conflicts, remarks
from bench.share.together import Together, together

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


@dataclass(frozen=True)
class Merged:
    """The main table of each site, what they say together, and what a reader has to know of the sites."""

    results: Mapping[str, Results]
    pooled: Sequence[Pooled]
    together: Sequence[Together]
    remarks: Sequence[str]

    @property
    def info(self) -> TaskInfo:
        """What tables say about the task, with the test sets of the first site."""
        return next(iter(self.results.values())).info


def merge(sites: Sites, *, min_cell: int = 0) -> Merged:
    """Tabulate sites by name. What one of them suppresses as small (`min_cell`), all suppress.

    Raises:
        UsageError: with every reason why these sites cannot be merged.
        BenchError: cells of a site that must not stand in one table.
    """
    if found := conflicts(sites):
        reasons = "".join(f"\n  {reason}" for reason in found)
        raise UsageError(f"{listed(sites)} cannot be merged:{reasons}")
    least = max(min_cell, *(site.info.min_cell for site in sites.values()))
    held = {name: replace(site, info=replace(site.info, min_cell=least)) for name, site in sites.items()}
    results = {name: site.tested(site.results) for name, site in held.items()}
    try:
        scored = together(sites, results)
    except FileNotFoundError:  # predictions stayed at home
        scored = []
    return Merged(results, pooled(results), scored, remarks(sites))


def csv(merged: Merged) -> str:
    """The columns of main.csv behind the name of the site; sets are called `SITE/SET`."""
    frames = []
    for site, results in merged.results.items():
        # As text: every digit stays as the report of the site has it.
        frame = pd.read_csv(io.StringIO(main_table.csv(results)), dtype=str, keep_default_na=False)
        frame.insert(0, "site", site)
        frames.append(frame.assign(set=[f"{site}/{name}" if name else "" for name in frame["set"]]))
    return table.csv(pd.concat(frames))


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
