"""The answer in at most three sentences: can it be judged, which methods help at what price, and what is not said."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from bench.cells.record import Record
from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.answer import Line, Place, answer
from bench.reporting.numbers.patient_intervals import units
from bench.reporting.render.text import listed
from bench.spec import name_of

FEW = 2
"""With so many trained models or fewer, the last sentence says how few there were."""


def answered(results: Results, cells: Sequence[Record]) -> dict[Place, list[str]]:
    """Return each backbone and test set of a tested table, with what may be concluded there."""
    return {place: [_baseline(place, results), *_methods(place), _limits(results)] for place in answer(results, cells)}


def _baseline(place: Place, results: Results) -> str:
    if not place.judged:
        if isnan(place.auc):
            return f"This classifier cannot be judged here: {place.unjudged}."
        return (
            f"This classifier cannot be judged here ({place.unjudged}): its AUC is {place.auc:.2f} "
            f"({place.auc_low:.2f} to {place.auc_high:.2f}). Gaps are shown and not ranked."
        )
    low, high = place.leaning
    groups = listed(results.info.group_names)
    if isnan(high):
        gap = f"{place.gap_title} between {groups} is {place.gap_value:.2f} at an AUC of {place.auc:.2f}."
        return f"{gap} Nothing is tested: there are no predictions to draw patients from."
    if low > 0:
        return (
            f"The classifier treats the groups {groups} differently here: {place.gap_title} {place.gap_value:.2f} "
            f"({low:.2f} to {high:.2f}) at an AUC of {place.auc:.2f}."
        )
    return (
        f"No difference between {groups} can be told from 0 here ({place.gap_title} {place.gap_value:.2f}; up to "
        f"{high:.2f} remains possible)."
    )


def _methods(place: Place) -> list[str]:
    if not place.judged or isnan(place.leaning[1]):
        return []
    smaller = [
        line for line in place.lines if line.gap_change and line.gap_change.supported and line.gap_change.value < 0
    ]
    if not smaller:
        return [f"No reduction of {place.gap_title} is supported."]
    plugins = {name_of(line.spec) for line in place.lines}
    kind = "methods" if len(plugins) == len(place.lines) else "rows"  # a method may have a row for each setting
    count = (
        f"{len(smaller)} of {len(place.lines)} {kind} {'reduces' if len(smaller) == 1 else 'reduce'} {place.gap_title}"
    )
    free = [line.label for line in smaller if not _price(line)]
    if not free:
        return [f"{count}, {'' if len(smaller) == 1 else 'all of them '}with a lower AUC or by levelling down."]
    price = "without a lower AUC and without levelling down"
    if len(free) == len(smaller):
        return [f"{count}, {price}."]
    return [f"{count}; of these {listed(free)} {'does' if len(free) == 1 else 'do'} so {price}."]


def _price(line: Line) -> bool:
    lower = line.auc_change is not None and line.auc_change.supported and line.auc_change.value < 0
    return lower or line.levelled_down


def _limits(results: Results) -> str:
    others = ["other hospitals", "other trainings"]
    if results.info.synthetic:
        others.append("real patients, because these images are generated")
    trainings = results.found * results.seeds
    few = f" {trainings} {'model was' if trainings == 1 else 'models were'} trained." if trainings <= FEW else ""
    return f"This speaks of {units(results)} like those of this test set. Nothing is said about {_or(others)}.{few}"


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
