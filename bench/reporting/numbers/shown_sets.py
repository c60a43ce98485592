"""The numbers of some test sets alone, under the names that a table prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from bench.reporting.numbers.aggregate import IN_DOMAIN, Results
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.suppression import TRAINED_ON

T = TypeVar("T")


def of_sets(results: Results, names: Mapping[str, str]) -> Results:
    """Return what belongs to some test sets; `names` maps each of them to the name under which it is shown.

    What belongs to no test set stays: costs, pairs of groups, failures and the training set. The validation set stays
    if `names` has it.
    """
    kept = {**names, "": "", TRAINED_ON: TRAINED_ON}

    def of(found: Mapping[str, T]) -> dict[str, T]:
        return {kept[name]: value for name, value in found.items() if name in kept}

    info = results.info
    return replace(
        results,
        info=replace(
            info,
            ood=tuple(kept[name] for name in info.ood if name in kept),
            inside=tuple(kept[name] for name in info.inside if name in kept),
        ),
        rows=tuple(replace(row, set=kept[row.set]) for row in results.rows if row.set in kept),
        sizes=of(results.sizes),
        left_out=of(results.left_out),
        without_group=of(results.without_group),
        facts=tuple((kept[name], facts) for name, facts in results.facts if name in kept),
        suppressed=of(results.suppressed),
        rates={(backbone, kept[name]): rate for (backbone, name), rate in results.rates.items() if name in kept},
        patients=of(results.patients),
        family=results.family and replace(results.family, draws=of(results.family.draws)),
        leaning={
            (backbone, kept[name], metric): one
            for (backbone, name, metric), one in results.leaning.items()
            if name in kept
        },
        auc_intervals={
            (backbone, kept[name], spec): ends
            for (backbone, name, spec), ends in results.auc_intervals.items()
            if name in kept
        },
    )


def with_display_names(results: Results) -> Results:
    """Return the same numbers with the test sets under their display names."""
    return of_sets(results, {**{name: display_name(name) for name in results.info.ood}, IN_DOMAIN: IN_DOMAIN})
