"""The paper's claims that numbers can test (`claims.toml`), and whether ours, or its own, bear them out.

A test gives one value per fold for each comparison that a claim makes. A verdict follows from the interval of their
mean: it lies wholly inside what the claim allows, wholly outside, or neither. Counts have no error; the range over
folds stands in place of their interval.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from math import inf, isfinite, nan
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from bench.report.numbers.grouping import grouped
from bench.report.numbers.paper_layout import runnable
from bench.report.numbers.published import published
from bench.report.numbers.ranking import Row
from bench.score.definitions import METRICS
from bench.score.statistics import LEVEL, interval_over_folds

Values = Mapping[int, float]
"""Finite values by fold."""
Expected = Literal["better", "higher", "lower", "same"]
Verdict = Literal["holds", "does not hold", "cannot be told", "not run"]
HOLDS, DOES_NOT, OPEN, NOT_RUN = VERDICTS = ("holds", "does not hold", "cannot be told", "not run")
FEWEST = 4
"""Places of which half are compared with the other half."""


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
    """The rows of a task on a backbone and a test set, or "" for costs and masks, by metric and name."""

    task: str
    backbone: str
    set: str
    rows: dict[tuple[str, str], Row]
    folds: int


@dataclass(frozen=True)
class Finding:
    """A claim at a place, which is "" for all together: the estimate over `n` folds with its interval, and the verdict.

    `reference` is the mean of what the estimate is a difference to, `paper` the paper's estimate there; NaN if there
    is none.
    """

    claim: Claim
    metric: str
    task: str
    backbone: str
    set: str
    verdict: Verdict
    why: str = ""
    estimate: float = nan
    low: float = nan
    high: float = nan
    n: int = 0
    reference: float = nan
    paper: float = nan

    @property
    def relative(self) -> float:
        """The estimate as a share of the reference, which is taken as it is."""
        return self.estimate / self.reference if self.reference else nan


def _claim(given: Mapping[str, Any]) -> Claim:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return Claim(**fields)


_FILE = tomllib.loads(Path(__file__).with_name("claims.toml").read_text(encoding="utf-8"))
CLAIMS = tuple(map(_claim, _FILE["claims"]))
RULES: Mapping[str, str] = _FILE["rules"]
"""How each test is decided."""
NOTES: Sequence[str] = _FILE["notes"]


def findings(claim: Claim, places: Sequence[Place]) -> list[Finding]:
    """Return what the rows say of a claim: of each metric and place, or of all places together."""
    found = []
    for metric in claim.metrics:
        kept = [place for place in places if bool(place.set) == (metric in METRICS)]
        together = [kept] if claim.test == "halves" else [[place] for place in kept]
        found += [_at(claim, metric, some) for some in together if some]
    return found


def theirs(claim: Claim, tasks: Iterable[tuple[str, str]]) -> list[Finding]:
    """Return the estimates of the paper's own numbers, which have no interval, on its tasks and backbones."""
    return [item for item in findings(claim, _published(tuple(dict.fromkeys(tasks)))) if isfinite(item.estimate)]


def as_claimed(item: Finding) -> bool:
    """Tell whether an estimate, whatever its interval, is what the claim expects."""
    low, high = item.claim.allows(item.metric)
    return low < round(item.estimate, 9) < high  # means of equal numbers may differ in the last digit


@cache
def _published(tasks: tuple[tuple[str, str], ...]) -> list[Place]:
    places = []
    for task, backbone in tasks:
        numbers = grouped((one["test_set"], one) for one in published(task, backbone).to_dict("records"))
        for name, found in numbers.items():
            # Where the paper leaves a parameter open, such as the rate of a hard mask, its number is that of all.
            rows = {(one["metric"], spec): _printed(one) for one in found for spec in runnable(one["key"])}
            places.append(Place(task, backbone, name, rows, 1))
    return places


def _printed(one: dict[Hashable, Any]) -> Row:
    """Return a printed mean as a row of one fold."""
    named = {name: one[name] for name in ("backbone", "method", "metric", "mean", "std")}
    return Row(label=one["method"], spec=one["key"], row=0, set=one["test_set"], values={0: one["mean"]}, n=1, **named)


def _at(claim: Claim, metric: str, places: Sequence[Place]) -> Finding:
    """Return the finding of one place, or of several together."""
    alone = claim.test != "halves"
    where = (places[0].task, places[0].backbone, places[0].set) if alone else ("", "", "")
    reasons = [_unusable(claim, metric, place) for place in places]
    usable = [place for place, reason in zip(places, reasons, strict=True) if not reason]
    if len(usable) < (1 if alone else FEWEST):
        why = next(filter(None, reasons), f"fewer than {FEWEST} places")
        missing = why == NOT_RUN
        return Finding(claim, metric, *where, NOT_RUN if missing else OPEN, "" if missing else why)
    compared = {name: values for name, values in TESTS[claim.test](claim, metric, usable).items() if values}
    return _decided(Finding(claim, metric, *where, OPEN, "no fold in common"), compared, usable)


def _decided(item: Finding, compared: Mapping[str, Values], places: Sequence[Place]) -> Finding:
    """Return a finding with the comparison that speaks least for the claim, and the verdict of all of them."""
    if not compared:
        return item
    low, high = item.claim.allows(item.metric)
    ends = {name: _interval(item.claim, values, places) for name, values in compared.items()}
    strict = [_interval(item.claim, values, places, LEVEL / len(compared)) for values in compared.values()]
    inside = all(low < one[0] and one[1] < high for one in ends.values())
    outside = any(one[1] <= low or one[0] >= high for one in strict)
    means = {name: fmean(values.values()) for name, values in compared.items()}
    name = min(means, key=lambda name: min(means[name] - low, high - means[name]))
    same = "" if isfinite(ends[name][0]) else "no spread over folds"
    return replace(
        item,
        verdict=HOLDS if inside else DOES_NOT if outside else OPEN,
        why=": ".join(filter(None, (name, same))),
        estimate=means[name],
        low=ends[name][0],
        high=ends[name][1],
        n=len(compared[name]),
        reference=_reference(item.claim, item.metric, name, places),
    )


def _interval(claim: Claim, values: Values, places: Sequence[Place], level: float = LEVEL) -> tuple[float, float]:
    if isfinite(claim.limit):
        return min(values.values()), max(values.values())
    return interval_over_folds(list(values.values()), places[0].folds, level)


def _reference(claim: Claim, metric: str, name: str, places: Sequence[Place]) -> float:
    if claim.test not in ("contrast", "each"):
        return nan
    rows = [places[0].rows[metric, one] for one in claim.second]
    return fmean(_mean(row for row in rows if not name or name.endswith(f" {row.label}")).values())


def _unusable(claim: Claim, metric: str, place: Place) -> str:
    """Return why nothing can be said at a place; empty if something can."""
    if claim.test == "peak":
        return "" if any(kind == metric for kind, _ in place.rows) else NOT_RUN
    names = [*claim.first, *claim.second]
    if any((metric, name) not in place.rows for name in names):
        return NOT_RUN
    if claim.test == "each" and any(_ranked(place.rows[metric, name]) for name in claim.second):
        names = list(claim.first)  # the others need not be ranked, but one
    rows = [place.rows[metric, name] for name in names]
    return next((f"{row.label}: {row.excluded or 'undefined'}" for row in rows if not _ranked(row)), "")


def _ranked(row: Row) -> bool:
    return not row.excluded and any(map(isfinite, row.values.values()))


def _mean(rows: Iterable[Row]) -> dict[int, float]:
    """Return the mean of rows fold by fold, in the folds that all of them have."""
    values = [row.values for row in rows]
    shared = sorted(set.intersection(*(set(one) for one in values)))
    found = {fold: fmean(one[fold] for one in values) for fold in shared}
    return {fold: value for fold, value in found.items() if isfinite(value)}


def _minus(first: Values, second: Values) -> dict[int, float]:
    return {fold: first[fold] - second[fold] for fold in first if fold in second}


def _contrast(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    first, second = ([places[0].rows[metric, name] for name in names] for names in (claim.first, claim.second))
    return {"": _minus(_mean(first), _mean(second))}


def _each(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    first, second = ([places[0].rows[metric, name] for name in names] for names in (claim.first, claim.second))
    pairs = [(one, other) for one, other in product(first, second) if _ranked(other)]
    return {f"{one.label} against {other.label}": _minus(_mean([one]), _mean([other])) for one, other in pairs}


def _spread(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    def deviations(name: str) -> Row:
        row = places[0].rows[metric, name]
        far = {fold: abs(value - row.mean) if row.n > 1 else row.std for fold, value in row.values.items()}
        return replace(row, values=far)

    first, second = (_mean(map(deviations, names)) for names in (claim.first, claim.second))
    return {"": _minus(first, second)}


def _trend(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    curves = _curves(claim, metric, places)
    return {"": {fold: float(np.polyfit(list(curve), list(curve.values()), 1)[0]) for fold, curve in curves.items()}}


def _line(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    def departure(curve: Mapping[float, float]) -> float:
        x, y = list(curve), list(curve.values())
        straight = np.interp(x, [x[0], x[-1]], [y[0], y[-1]])
        return float(np.abs(straight - y).max() / abs(y[-1] - y[0]))

    return {"": {fold: departure(curve) for fold, curve in _curves(claim, metric, places).items()}}


def _curves(claim: Claim, metric: str, places: Sequence[Place]) -> dict[int, dict[float, float]]:
    """Return the values of each fold by the factor in the name of a row: .2 of `external*0.2`, 1 of `swift`; sorted."""
    factors = {float(name.partition("*")[2] or 1): _mean([places[0].rows[metric, name]]) for name in claim.first}
    shared = sorted(set.intersection(*(set(values) for values in factors.values())))
    return {fold: {x: factors[x][fold] for x in sorted(factors)} for fold in shared}


def _share(claim: Claim, metric: str, places: Sequence[Place]) -> dict[str, Values]:
    return {"": _mean([places[0].rows[metric, name] for name in claim.first])}


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
    pairs = [tuple(_mean([place.rows[metric, name]]) for name in (*claim.first, *claim.second)) for place in places]
    folds = sorted(set.intersection(*(set(one) & set(base) for one, base in pairs)))
    half, found = len(pairs) // 2, {}
    for fold in folds:
        rest = [other for other in folds if other != fold] or folds
        ordered = sorted(pairs, key=lambda pair: fmean(pair[1][other] for other in rest))
        removed = [(base[fold] - one[fold]) / fmean(base.values()) for one, base in ordered]
        found[fold] = fmean(removed[-half:]) - fmean(removed[:half])
    return {f"{len(pairs)} places": found}


Test = Callable[[Claim, str, Sequence[Place]], dict[str, Values]]
"""From a claim, a metric and places to the values of each comparison, by its name, which is empty if there is one."""
TESTS: Mapping[str, Test] = {
    "contrast": _contrast,
    "each": _each,
    "spread": _spread,
    "trend": _trend,
    "line": _line,
    "share": _share,
    "peak": _peak,
    "halves": _halves,
}
