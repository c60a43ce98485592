"""Cells of a demo task whose numbers are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.reporting.numbers.aggregate import Results
from tests import factory
from tests.factory import Record, record, task_info

INFO = task_info(says="Finding on demo images.")
TITLES = ("Baseline", "A", "B", "C")


def scores(degenerate: bool = False, groups: Mapping[str, factory.Group] = factory.WIDE, **values: float) -> Record:
    return factory.scores(groups, **{"auc": 0.8, "spd": 0.2, "eodds": 0.2, "degenerate": degenerate} | values)


def cell(title: str, fold: int, seed: int = 0, **sets: Record) -> Record:
    """One cell; `sets` replaces the scores of `near`, `far` or `val`, `spec` and the like come from `title`."""
    name = title.partition(":")[0]
    row = 1 + TITLES.index(name) if name in TITLES else 100
    by_set = {"near": scores(), "far": scores(), "val": scores()} | sets
    return record(title.lower(), fold, seed=seed, title=name, row=row, scores=by_set)


def table(near: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Cells of some methods from the scores of each fold on `near`."""
    return [cell(title, fold, near=values) for title, folds in near.items() for fold, values in enumerate(folds)]


def constant(folds: int = 5, **values: float) -> list[dict[str, Any]]:
    return [scores(**values)] * folds


def failure(title: str, fold: int) -> Record:
    return factory.failure(cell(title, fold), message="features.layer_3 is NaN\nsecond line")


def marks(results: Results, metric: str, name: str = "near") -> dict[str, str]:
    return {row.label: row.mark for row in results.column("small", name, metric)}


def noise(seed: int, between: float = 0.0, **effects: tuple[float, float]) -> list[dict[str, Any]]:
    """Ten methods on two sets; `effects` are (EOdds, AUC) added to a method's score, `between` correlates folds."""
    rng = np.random.default_rng(seed)
    cells = []
    shared = {name: 0.02 * rng.normal(size=(5, 2)) for name in INFO.ood}
    for method in ("Baseline", *(f"M{number}" for number in range(9))):
        drawn = {}
        for name in INFO.ood:
            own = math.sqrt(between) * rng.normal(size=2) + math.sqrt(1 - between) * rng.normal(size=(5, 2))
            drawn[name] = np.array([0.3, 0.8]) + shared[name] + 0.02 * own + np.array(effects.get(method, (0, 0)))
        for fold in range(5):
            sets = {name: scores(eodds=values[fold, 0], auc=values[fold, 1]) for name, values in drawn.items()}
            cells.append(cell(method, fold, **sets))
    return cells
