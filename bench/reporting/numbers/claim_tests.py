"""What the tests of claims compare: values by fold and, where these are weighted sums of rows, the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf, isfinite, nan
from statistics import fmean
from typing import Literal

import numpy as np

from bench.reporting.numbers.claim_intervals import Drawn, Weights
from bench.reporting.numbers.ranking import Row
from bench.scoring.definitions import METRICS

Expected = Literal["better", "higher", "lower", "same"]
Values = Mapping[int, float]
"""Finite values by fold."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper in our words, the section that makes it, and the numbers that it gives in `prose` alone.

    `needs` are the tables and figures whose cells it reads. `test` compares the rows named in `first` with those in
    `second`, in each of the `metrics`. What is expected of the result may have a `margin`; of counts, a `limit`.
    """

    key: str
    section: str
    says: str
    needs: tuple[str, ...]
    test: str
    metrics: tuple[str, ...]
    first: tuple[str, ...] = ()
    second: tuple[str, ...] = ()
    expects: Expected = "better"
    margin: float = 0.0
    limit: float = nan
    prose: str = ""

    def allows(self, metric: str) -> tuple[float, float]:
        """Return the open interval in which the claim holds."""
        if isfinite(self.limit):
            return -inf, self.limit
        if self.expects == "same":
            return -self.margin, self.margin
        up = METRICS[metric].direction == "up" if self.expects == "better" else self.expects == "higher"
        return (-self.margin, inf) if up else (-inf, self.margin)


@dataclass(frozen=True)
class Place:
    """The rows of a task on a backbone and a test set, or "" for costs and masks, by metric and name.

    `drawn` are the models on bootstrap samples of the patients, if there are predictions.
    """

    task: str
    backbone: str
    set: str
    rows: dict[tuple[str, str], Row]
    folds: int
    drawn: Drawn | None = None


@dataclass(frozen=True)
class Compared:
    """One comparison of a claim: its value in each fold and, if it is a weighted sum of rows, their weights."""

    values: Values
    weights: Weights | None = None


def comparisons(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Compared]:
    """Return what a claim compares, by name, which is empty if there is one comparison."""
    if claim.test in OTHERS:
        return {name: Compared(values) for name, values in OTHERS[claim.test](claim, metric, places).items()}
    rows = places[0].rows
    return {
        name: Compared(_summed({one: rows[metric, one] for one in weights}, weights), weights)
        for name, weights in WEIGHTED[claim.test](claim, metric, places[0]).items()
    }


def ranked(row: Row) -> bool:
    """Tell whether a row is ranked and defined in a fold."""
    return not row.excluded and any(map(isfinite, row.values.values()))


def mean_by_fold(rows: Iterable[Row]) -> dict[int, float]:
    """Return the mean of rows fold by fold, in the folds that all of them have."""
    values = [row.values for row in rows]
    shared = sorted(set.intersection(*(set(one) for one in values)))
    found = {fold: fmean(one[fold] for one in values) for fold in shared}
    return {fold: value for fold, value in found.items() if isfinite(value)}


def _summed(rows: Mapping[str, Row], weights: Weights) -> dict[int, float]:
    """Return the weighted sum of rows fold by fold, in the folds that all of them have."""
    shared = sorted(set.intersection(*(set(mean_by_fold([row])) for row in rows.values())))
    return {fold: sum(weight * rows[name].values[fold] for name, weight in weights.items()) for fold in shared}


def _contrast(claim: Claim, metric: str, place: Place) -> dict[str, Weights]:
    first, second = (dict.fromkeys(names, 1 / len(names)) for names in (claim.first, claim.second))
    return {"": {**first, **{name: -weight for name, weight in second.items()}}}


def _each(claim: Claim, metric: str, place: Place) -> dict[str, Weights]:
    pairs = product(claim.first, (name for name in claim.second if ranked(place.rows[metric, name])))
    label = {name: place.rows[metric, name].label for name in (*claim.first, *claim.second)}
    return {f"{label[one]} against {label[other]}": {one: 1.0, other: -1.0} for one, other in pairs}


def _trend(claim: Claim, metric: str, place: Place) -> dict[str, Weights]:
    """Return the weights that make the slope of the straight line over the factors."""
    x = np.array(list(map(_factor, claim.first)))
    away = x - x.mean()
    return {"": dict(zip(claim.first, (away / (away**2).sum()).tolist(), strict=True))}


def _spread(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    def deviations(name: str) -> Row:
        row = places[0].rows[metric, name]
        far = {fold: abs(value - row.mean) if row.n > 1 else row.std for fold, value in row.values.items()}
        return replace(row, values=far)

    first, second = (mean_by_fold(map(deviations, names)) for names in (claim.first, claim.second))
    return {"": {fold: first[fold] - second[fold] for fold in first if fold in second}}


def _line(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    def departure(curve: Mapping[float, float]) -> float:
        x, y = list(curve), list(curve.values())
        straight = np.interp(x, [x[0], x[-1]], [y[0], y[-1]])
        return float(np.abs(straight - y).max() / abs(y[-1] - y[0]))

    return {"": {fold: departure(curve) for fold, curve in _curves(claim, metric, places).items()}}


def _factor(name: str) -> float:
    """Return the factor in the name of a row: .2 of `external*0.2`, 1 of `swift`."""
    return float(name.partition("*")[2] or 1)


def _curves(claim: Claim, metric: str, places: Sequence[Place]) -> dict[int, dict[float, float]]:
    """Return the values of each fold by the factor of a row, sorted."""
    factors = {_factor(name): mean_by_fold([places[0].rows[metric, name]]) for name in claim.first}
    shared = sorted(set.intersection(*(set(values) for values in factors.values())))
    return {fold: {x: factors[x][fold] for x in sorted(factors)} for fold in shared}


def _share(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    return {"": mean_by_fold([places[0].rows[metric, name] for name in claim.first])}


def _peak(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    """Return the lead of the block that leads on the other folds, so that no fold chooses its own block."""
    blocks = {name: row.values for (kind, name), row in places[0].rows.items() if kind == metric}
    folds = sorted(set.intersection(*(set(values) for values in blocks.values())))
    found, chosen = {}, Counter[str]()
    for fold in folds:
        rest = [other for other in folds if other != fold] or folds
        block = max(blocks, key=lambda name: fmean(blocks[name][other] for other in rest))
        chosen[block] += 1
        found[fold] = blocks[block][fold] - fmean(values[fold] for values in blocks.values())
    return {", ".join(f"{name} in {n} of {len(folds)} folds" for name, n in chosen.most_common()): found}


def _halves(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    """Return how much more is removed where Baseline has more bias, as other folds tell: noise must not sort them."""
    pairs = [
        tuple(mean_by_fold([place.rows[metric, name]]) for name in (*claim.first, *claim.second)) for place in places
    ]
    folds = sorted(set.intersection(*(set(one) & set(base) for one, base in pairs)))
    half, found = len(pairs) // 2, {}
    for fold in folds:
        rest = [other for other in folds if other != fold] or folds
        ordered = sorted(pairs, key=lambda pair: fmean(pair[1][other] for other in rest))
        removed = [(base[fold] - one[fold]) / fmean(base.values()) for one, base in ordered]
        found[fold] = fmean(removed[-half:]) - fmean(removed[:half])
    return {f"{len(pairs)} places": found}


WEIGHTED: Mapping[str, Callable[[Claim, str, Place], dict[str, Weights]]] = {
    "contrast": _contrast,
    "each": _each,
    "trend": _trend,
}
"""Tests that compare weighted sums of rows: from a claim, a metric and a place to the weights of each comparison."""
OTHERS: Mapping[str, Callable[[Claim, str, Sequence[Place]], dict[str, Values]]] = {
    "spread": _spread,
    "line": _line,
    "share": _share,
    "peak": _peak,
    "halves": _halves,
}
"""All other tests: from a claim, a metric and places to the values of each comparison."""
