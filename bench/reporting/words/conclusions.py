"""Which differences to Baseline are supported, in words, computed from the tests."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.patient_intervals import lost, sizes, units
from bench.reporting.numbers.ranking import DECIMALS, SUPPORTED, Row
from bench.reporting.render.text import listed, signed
from bench.reporting.words.notes import SIGNS
from bench.scoring.bootstrap import DRAWS
from bench.scoring.retraining import FEWEST
from bench.scoring.statistics import LEVEL

NO_GAIN = "No method's gain over Baseline is supported."
NOTHING_TESTED = "Nothing is tested: there are no predictions to draw patients from."


def findings(results: Results) -> list[str]:
    """Return what a difference means and how it is tested, then a paragraph per backbone and test set.

    A paragraph names the supported differences in the gap of the task and in AUC, and the rows without one. Of a table
    that shows a part of a task, which makes no claims, only the first is returned.
    """
    methods = {row.method for row in results.rows if row.excluded != "undefined"}
    if BASELINE not in methods:
        return ["There are no results of Baseline: nothing is compared."]
    if methods == {BASELINE}:
        return ["There are results of Baseline only: nothing is compared."]
    if results.family is None or not results.patients:
        return [_estimand(results), NOTHING_TESTED]
    if results.info.part:
        return [_estimand(results), _exploratory(results), _beside(results)]
    claims = [row for row in results.rows if row.supported]
    gain = any((row.difference < 0) == (row.direction == "down") for row in claims)
    return [
        _estimand(results),
        _tested(results),
        _beside(results),
        *([] if gain else [NO_GAIN]),
        *(_place(results, backbone, name) for backbone, name in results.places),
    ]


def not_supported(column: Sequence[Row]) -> list[str]:
    """Return the labels of the rows of a column that were tested against Baseline and are not supported."""
    return [row.label for row in column if not isnan(row.p_holm) and not row.supported]


def _estimand(results: Results) -> str:
    seeds = f" and {results.seeds} seeds" if results.seeds > 1 else ""
    folds = f", in the mean over {results.found} folds{seeds}," if results.found > 1 or seeds else ""
    return (
        f"A difference to Baseline is one between these trained models{folds} on {units(results)} like those of the "
        "test set. It says nothing on another hospital, and by itself nothing on models that are trained again."
    )


def _tested(results: Results) -> str:
    info, family = results.info, results.family
    assert family is not None
    several = len(set(family.draws.values())) > 1
    draws = ", ".join(f"{n} on {name}" for name, n in family.draws.items()) if several else max(family.draws.values())
    gap = info.title(info.gap)
    text = (
        f"{SUPPORTED} A difference is supported if a test over {units(results)} finds it at level {LEVEL}, adjusted by "
        f"Holm within one family of {family.size} differences that is fixed beforehand: every method of the table "
        f"against Baseline, on every test set, in {gap} and in {info.title('auc')}. All other differences are "
        f"exploratory. The test redraws the {units(results)} of a set with replacement, each with all images, {draws} "
        f"times ({sizes(results)}). Intervals have 95 % each and are not adjusted for their number. Gaps are compared "
        "by a lower bound of the larger one, because redrawing makes gaps too large."
    )
    return " ".join([text, *lost(results), *_opposed(results)])


def _exploratory(results: Results) -> str:
    return (
        f"This table is exploratory: its differences are in no family of claims, so that none is called supported. "
        f"Intervals over {units(results)} have 95 % each and are not adjusted for their number; they rest on {DRAWS} "
        f"bootstrap samples ({sizes(results)})."
    )


def _beside(results: Results) -> str:
    if results.found < FEWEST:
        return (
            f"With fewer than {FEWEST} folds nothing is said on whether models that are trained again differ as well."
        )
    return (
        "Would another training show it? Two numbers beside each difference speak to that: how many of the trained "
        f"models have its sign, and an interval over folds and {units(results)} together. Folds share training images, "
        "which makes the interval too narrow. Neither is a test."
    )


def _opposed(results: Results) -> list[str]:
    places = [
        f"{info.title(metric)} on {results.named(name, backbone)}"
        for info in [results.info]
        for (backbone, name, metric), one in results.leaning.items()
        if one.opposed and metric == info.gap
    ]
    says = "The folds of Baseline favour different groups, which makes smaller gaps hard to find"
    return [f"{says}: {listed(places)}."] if places else []


def _place(results: Results, backbone: str, name: str) -> str:
    info, sentences = results.info, []
    for metric in (info.gap, "auc"):
        column, title = results.column(backbone, name, metric), info.title(metric)
        sentences += [*own(results, backbone, name)] if metric == info.gap else []
        sentences += _supported(column, title)
        sentences += _untested(column, title)
    return f"{results.named(name, backbone)}: {' '.join(sentences)}"


def own(results: Results, backbone: str, name: str) -> list[str]:
    """Return the sentence on the gap of Baseline on a test set, and whether it can be told from 0."""
    info = results.info
    found = results.leaning.get((backbone, name, info.gap))
    base = next((row for row in results.column(backbone, name, info.gap) if row.method == BASELINE), None)
    if found is None or base is None or isnan(found.own.high):
        return []
    title = f"Baseline's {info.title(info.gap)}, {base.mean:.{DECIMALS}f}"
    if found.own.distinct:
        return [f"{title}, has the interval {found.own.low:.{DECIMALS}f} to {found.own.high:.{DECIMALS}f}."]
    return [f"{title}, is not distinguishable from 0; up to {found.own.high:.{DECIMALS}f} remains possible."]


def _supported(column: Sequence[Row], title: str) -> list[str]:
    rows = sorted((row for row in column if row.supported), key=lambda row: not row.difference < 0)
    sides = grouped(("lower" if row.difference < 0 else "higher", row) for row in rows)
    sentences = [
        f"Supported: {title} is {word} than Baseline's with {listed(map(change, rows))}."
        for word, rows in sides.items()
    ]
    rest = not_supported(column)
    if rest and not sides:
        return [f"No difference in {title} is supported."]
    return [*sentences, *([f"Not supported: {listed(rest)}."] if rest else [])]


def change(row: Row) -> str:
    """Return a difference with what the models that are trained anew say: `A (−0.084; 5 of 5 models)`."""
    models = f"{row.same_sign} of {row.pairs} models" if row.pairs > 1 else ""
    inside = isfinite(row.trained_low) and row.trained_low <= 0 <= row.trained_high
    doubt = "other trainings may not show it" if inside else ""
    return f"{row.label} ({'; '.join(filter(None, (signed(row.difference, DECIMALS), models, doubt)))})"


def _untested(column: Sequence[Row], title: str) -> list[str]:
    reason = next((row.excluded for row in column if row.method == BASELINE), "")
    rows = [row for row in column if row.method != BASELINE and isnan(row.p_holm) and row.excluded != "undefined"]
    if reason and rows:
        return [f"Baseline is {reason} there: nothing is compared on {title}."]
    names = ", ".join(f"{row.label} {SIGNS[row.excluded]}".strip() for row in rows)
    return [f"Not tested on {title}: {names}."] if rows else []
