"""Results of sites that ran one task, each on its own images, side by side.

Folds of different sites are never averaged. Each test set keeps the numbers and marks from the report of its site,
under the name of the site. The summary over sites is separate: the plain mean of the sites' differences to Baseline, in
which each site is one observation, whatever its number of images. Weights by inverse variance would need the variance
over patients and over training at each site; the spread over folds is neither. There is no test and no interval over
sites, because two or three sites do not support one.

If the predictions of all sites are available, their images are also scored as one set. Each image keeps the prediction
of its own site, by the model of fold k there, and no model of one site has seen an image of another. Which fold is
paired with which is arbitrary, and AUC compares logits of different models; decisions, and therefore gaps, do not
depend on that comparison.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any

import pandas as pd

from bench.cells.record import Record
from bench.errors import UsageError
from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.grouping import grouped, over_seeds
from bench.reporting.numbers.ranking import DECIMALS, Row
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.render import table
from bench.reporting.render.text import listed
from bench.reporting.tables import main_table
from bench.reporting.task_results import TaskResults
from bench.scoring.definitions import METRICS
from bench.scoring.metrics import evaluate
from bench.scoring.statistics import Summary, summary
from bench.share.sites import Sites, conflicts, remarks


@dataclass(frozen=True)
class Pooled:
    """One method in one metric on the test sets of one name: `differences` to Baseline by site, NaN where missing.

    `row` is the row of the first site that has one.
    """

    row: Row
    differences: Mapping[str, float]

    @property
    def known(self) -> list[float]:
        """The differences that are not missing."""
        return [value for value in self.differences.values() if isfinite(value)]

    @property
    def mean(self) -> float:
        """Their plain mean; NaN with fewer than two sites."""
        return sum(self.known) / len(self.known) if len(self.known) > 1 else nan

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest difference; NaN if all are missing."""
        return min(self.known, default=nan), max(self.known, default=nan)

    @property
    def better(self) -> int:
        """Number of sites where the method is better than Baseline, at the decimals that tables print."""
        sign = 1 if self.row.direction == "up" else -1
        return sum(sign * round(value, DECIMALS) > 0 for value in self.known)


@dataclass(frozen=True)
class Together:
    """One method on the images of all sites in the sets called `set`: number of images, and metrics over folds.

    `row` is a row of the method in some main table. `degenerate` is true if the model of a site predicts one class for
    its whole set in some fold.
    """

    row: Row
    set: str
    images: int
    degenerate: bool
    metrics: Mapping[str, Summary]


@dataclass(frozen=True)
class Merged:
    """The main table of each site, the summaries over sites, and remarks for the reader."""

    results: Mapping[str, Results]
    pooled: Sequence[Pooled]
    together: Sequence[Together]
    remarks: Sequence[str]

    @property
    def info(self) -> TaskInfo:
        """Facts about the task that tables print, with the test sets of the first site."""
        return next(iter(self.results.values())).info


def merge(sites: Sites, *, min_cell: int = 0) -> Merged:
    """Tabulate sites by name. The largest `min_cell`, here or of a site, applies to all sites.

    Raises:
        UsageError: with every reason why these sites cannot be merged.
        BenchError: if cells of a site cannot be compared in one table.
    """
    if found := conflicts(sites):
        reasons = "".join(f"\n  {reason}" for reason in found)
        raise UsageError(f"{listed(sites)} cannot be merged:{reasons}")
    least = max(min_cell, *(site.info.min_cell for site in sites.values()))
    sites = {name: replace(site, info=replace(site.info, min_cell=least)) for name, site in sites.items()}
    results = {name: site.tested(site.results) for name, site in sites.items()}
    try:
        scored = together(sites, results)
    except FileNotFoundError:  # a site did not export its predictions
        scored = []
    return Merged(results, pooled(results), scored, remarks(sites))


def csv(merged: Merged) -> str:
    """The columns of main.csv after the name of the site; sets are called `SITE/SET`."""
    frames = []
    for site, results in merged.results.items():
        # Read as text, so that every digit stays as in the report of the site.
        frame = pd.read_csv(io.StringIO(main_table.csv(results)), dtype=str, keep_default_na=False)
        frame.insert(0, "site", site)
        frames.append(frame.assign(set=[f"{site}/{name}" if name else "" for name in frame["set"]]))
    return table.csv(pd.concat(frames))


def pooled(results: Mapping[str, Results]) -> list[Pooled]:
    """Return the pooled rows of every test set whose name at least two sites have, in the order of tables."""
    sites_with = Counter(name for one in results.values() for name in one.info.ood)
    found: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for site, one in results.items():
        for row in one.rows:
            shared = row.set in one.info.ood and sites_with[row.set] > 1
            if shared and row.direction and row.spec != BASELINE and row.excluded != "undefined":
                found.setdefault((row.backbone, row.set, row.metric, row.spec), {})[site] = row
    every = [
        Pooled(next(iter(rows.values())), {site: rows[site].difference if site in rows else nan for site in results})
        for rows in found.values()
    ]
    sets, metrics = list(sites_with), list(METRICS)

    def place(one: Pooled) -> tuple[str, int, int, int, str]:
        row = one.row
        return row.backbone, sets.index(row.set), metrics.index(row.metric), row.row, row.spec

    return sorted(every, key=place)


def pooled_csv(merged: Merged) -> str:
    """One row per backbone, test set, metric and method, in full precision; NaN is empty."""
    records = [
        (
            *_key(merged.info, one.row, one.row.set, one.row.metric),
            *(one.row.direction, len(one.known), one.mean, *one.range, one.better),
            *one.differences.values(),
        )
        for one in merged.pooled
    ]
    own = ("direction", "sites", "mean_difference", "lowest", "highest", "better")
    return table.csv(records, [*KEY, *own, *(f"difference at {site}" for site in merged.results)])


def together(sites: Sites, results: Mapping[str, Results]) -> list[Together]:
    """Score the images of all sites in each set that all sites have under one name and none suppresses.

    A method is scored in the folds and seeds that all sites have.

    Raises:
        FileNotFoundError: if the predictions of a site are not available.
    """
    cells = {name: _by_cell(site) for name, site in sites.items()}
    every = list(results.values())
    info = every[0].info
    names = [name for name in info.ood if all(name in one.info.ood and name not in one.suppressed for one in every)]
    rows = {(row.backbone, row.spec): row for one in every for row in one.rows}
    found: list[tuple[tuple[str, str, str], tuple[int, dict[str, Any]]]] = []
    for backbone, spec, fold, seed in sorted(set.intersection(*map(set, cells.values()))):
        if (backbone, spec) not in rows:  # in no main table
            continue
        own = [site.predictions(cells[name][backbone, spec, fold, seed]) for name, site in sites.items()]
        for name in names:
            images = pd.concat([part[part["set"] == name] for part in own])
            logit, y, a = (images[column].to_numpy() for column in ("logit", "y", "a"))
            found.append(((backbone, name, spec), (fold, evaluate(logit, y, a, info.group_names))))
    by_set = grouped(found)
    order = sorted(by_set, key=lambda at: (at[0], names.index(at[1]), rows[at[0], at[2]].row, at[2]))
    degenerate = {(row.backbone, row.set, row.spec) for one in every for row in one.rows if row.degenerate}
    scored = []
    for backbone, name, spec in order:
        folds, one_class = by_set[backbone, name, spec], (backbone, name, spec) in degenerate
        means = {metric: over_seeds((fold, one[metric]) for fold, one in folds) for metric in METRICS}
        metrics = {metric: summary(list(values.values())) for metric, values in means.items()}
        scored.append(Together(rows[backbone, spec], name, folds[0][1]["n"], one_class, metrics))
    return scored


def together_csv(merged: Merged) -> str:
    """One row per backbone, set, method and metric; mean and std over folds, in full precision; NaN is empty."""
    records = [
        (*_key(merged.info, one.row, one.set, metric), *value, one.images)
        for one in merged.together
        for metric, value in one.metrics.items()
    ]
    return table.csv(records, [*KEY, *Summary._fields, "images"])


KEY = ("task", "synthetic", "backbone", "method", "label", "spec", "set", "metric")
"""Columns with which both tables over sites begin."""


def _key(info: TaskInfo, row: Row, name: str, metric: str) -> tuple[Any, ...]:
    return info.name, info.synthetic, row.backbone, row.method, row.label, row.spec, name, metric


def _by_cell(site: TaskResults) -> dict[tuple[str, str, int, int], Record]:
    return {(one.backbone, one.spec, one.fold, one.seed): record for record in site.cells for one in [record.cell]}
