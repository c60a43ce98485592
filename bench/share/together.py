"""Images of several sites scored as one set, where their predictions are at hand.

Each image keeps the prediction of its own site: the model of fold k there. No model of one site has seen an image of
another. Which fold stands beside which is arbitrary, and the AUC compares logits of different models; decisions, and
with them the gaps, do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import pandas as pd

from bench.report.numbers.aggregate import Results
from bench.report.numbers.ranking import Row
from bench.report.numbers.task_info import TaskInfo
from bench.report.render import table
from bench.report.task_results import TaskResults
from bench.score.definitions import METRICS
from bench.score.metrics import evaluate
from bench.score.statistics import Summary, summary

COLUMNS = ("task", "synthetic", "backbone", "method", "label", "spec", "set", "metric", "mean", "std", "n", "images")


@dataclass(frozen=True)
class Together:
    """One method on the images of all sites in the sets of one name: every metric over folds, and how many images.

    `degenerate` where a site predicts one class for its whole set in some fold.
    """

    backbone: str
    set: str
    method: str
    label: str
    spec: str
    images: int
    degenerate: bool
    metrics: Mapping[str, Summary]


def together(sites: Mapping[str, TaskResults], results: Mapping[str, Results]) -> list[Together]:
    """Score the sets that all sites have under one name and of which none suppresses anything.

    A method counts in the folds and seeds that all sites have.

    Raises:
        FileNotFoundError: a site that keeps its predictions.
    """
    cells = {name: _cells(site) for name, site in sites.items()}
    shared = sorted(set.intersection(*(set(own) for own in cells.values())))
    info = next(iter(results.values())).info
    names = [
        name
        for name in info.ood
        if all(name in one.info.ood and name not in one.suppressed for one in results.values())
    ]
    rows = {(row.backbone, row.spec): row for one in results.values() for row in one.rows}
    found: dict[tuple[str, str, str], dict[int, list[dict[str, Any]]]] = {}
    for backbone, spec, fold, seed in shared:
        if (backbone, spec) not in rows:  # in no main table
            continue
        own = [site.predictions(site.cells[cells[name][backbone, spec, fold, seed]]) for name, site in sites.items()]
        for name in names:
            images = pd.concat([part[part["set"] == name] for part in own])
            logit, y, a = (images[column].to_numpy() for column in ("logit", "y", "a"))
            scores = evaluate(logit, y, a, info.group_names)
            found.setdefault((backbone, name, spec), {}).setdefault(fold, []).append(scores)
    order = sorted(found, key=lambda at: (at[0], names.index(at[1]), rows[at[0], at[2]].row, at[2]))
    degenerate = {(row.backbone, row.set, row.spec) for one in results.values() for row in one.rows if row.degenerate}
    return [_row(rows[at[0], at[2]], at[1], found[at], degenerate=at in degenerate) for at in order]


def together_csv(rows: Sequence[Together], info: TaskInfo) -> str:
    """One row per backbone, set, method and metric; mean and std over folds, full precision; NaN is empty."""
    records = [
        (info.name, info.synthetic, row.backbone, row.method, row.label, row.spec, row.set, metric, *value, row.images)
        for row in rows
        for metric, value in row.metrics.items()
    ]
    return table.csv(records, list(COLUMNS))


def _cells(site: TaskResults) -> dict[tuple[str, str, int, int], int]:
    """Where the cells of a site are among its cells, by backbone, spec, fold and seed."""
    cells = [item.cell for item in site.cells]
    return {(cell.backbone, cell.spec, cell.fold, cell.seed): at for at, cell in enumerate(cells)}


def _row(row: Row, name: str, folds: Mapping[int, list[dict[str, Any]]], *, degenerate: bool) -> Together:
    # Seeds of a fold are one observation, as in every table.
    metrics = {
        metric: summary([summary([one.get(metric, nan) for one in seeds]).mean for seeds in folds.values()])
        for metric in METRICS
    }
    images = next(iter(folds.values()))[0]["n"]
    return Together(row.backbone, name, row.method, row.label, row.spec, images, degenerate, metrics)
