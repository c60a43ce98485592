"""The paper's claims that numbers can test (`claims.toml`), and whether ours, or its own, bear them out.

A test gives one value per fold for each comparison that a claim makes. A verdict follows from the interval of their
mean: it lies wholly inside what the claim allows, wholly outside, or neither. The interval is over patients where the
comparison is a weighted sum of scores and predictions are there, and otherwise over folds. Counts have no error; the
range over folds stands in place of their interval.
"""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite, nan
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from bench.reporting.numbers.claim_tests import Claim, Compared, Place, comparisons, mean_by_fold, ranked
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.paper_layout import runnable
from bench.reporting.numbers.published import published
from bench.reporting.numbers.ranking import Row
from bench.scoring.definitions import METRICS
from bench.scoring.statistics import LEVEL, interval_over_folds

Verdict = Literal["holds", "does not hold", "cannot be told", "not run"]
HOLDS, DOES_NOT, OPEN, NOT_RUN = VERDICTS = ("holds", "does not hold", "cannot be told", "not run")
FEWEST = 4
"""Places of which half are compared with the other half."""


@dataclass(frozen=True)
class Finding:
    """A claim at a place, which is "" for all together: the estimate over `n` folds with its interval, and the verdict.

    `over` says what is drawn for the interval: patients (or lesions, or images) or folds; empty for a range.
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
    over: str = ""
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
    found = {name: one for name, one in comparisons(claim, metric, usable).items() if one.values}
    return _decided(Finding(claim, metric, *where, OPEN, "no fold in common"), found, usable[0])


def _decided(item: Finding, compared: Mapping[str, Compared], place: Place) -> Finding:
    """Return a finding with the comparison that speaks least for the claim, and the verdict of all of them."""
    if not compared:
        return item
    low, high = item.claim.allows(item.metric)
    drawn = place.drawn if all(_drawn(place, item.metric, one) for one in compared.values()) else None

    def ends(one: Compared, level: float = LEVEL) -> tuple[float, float]:
        if isfinite(item.claim.limit):
            return min(one.values.values()), max(one.values.values())
        if drawn is not None and one.weights is not None:
            return drawn.interval(one.weights, item.metric, list(one.values), level)
        return interval_over_folds(list(one.values.values()), place.folds, level)

    usual = {name: ends(one) for name, one in compared.items()}
    strict = [ends(one, LEVEL / len(compared)) for one in compared.values()]
    inside = all(low < one[0] and one[1] < high for one in usual.values())
    outside = any(one[1] <= low or one[0] >= high for one in strict)
    means = {name: fmean(one.values.values()) for name, one in compared.items()}
    name = min(means, key=lambda name: min(means[name] - low, high - means[name]))
    none = "undefined in too many bootstrap samples" if drawn else "no spread over folds"
    return replace(
        item,
        verdict=HOLDS if inside else DOES_NOT if outside else OPEN,
        why=": ".join(filter(None, (name, "" if isfinite(usual[name][0]) else none))),
        estimate=means[name],
        low=usual[name][0],
        high=usual[name][1],
        n=len(compared[name].values),
        over="" if isfinite(item.claim.limit) else drawn.unit if drawn else "folds",
        reference=_reference(item.claim, item.metric, name, place),
    )


def _drawn(place: Place, metric: str, one: Compared) -> bool:
    return place.drawn is not None and one.weights is not None and place.drawn.has(one.weights, metric, one.values)


def _reference(claim: Claim, metric: str, name: str, place: Place) -> float:
    if claim.test not in ("contrast", "each"):
        return nan
    rows = [place.rows[metric, one] for one in claim.second]
    return fmean(mean_by_fold(row for row in rows if not name or name.endswith(f" {row.label}")).values())


def _unusable(claim: Claim, metric: str, place: Place) -> str:
    """Return why nothing can be said at a place; empty if something can."""
    if claim.test == "peak":
        return "" if any(kind == metric for kind, _ in place.rows) else NOT_RUN
    names = [*claim.first, *claim.second]
    if any((metric, name) not in place.rows for name in names):
        return NOT_RUN
    if claim.test == "each" and any(ranked(place.rows[metric, name]) for name in claim.second):
        names = list(claim.first)  # the others need not be ranked, but one
    rows = [place.rows[metric, name] for name in names]
    return next((f"{row.label}: {row.excluded or 'undefined'}" for row in rows if not ranked(row)), "")
