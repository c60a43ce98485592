"""Which rows are compared with Baseline on a part of their seeds, and which are Baseline's own numbers again."""

from __future__ import annotations

from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.ranking import reference_of, unchanged
from bench.reporting.render.text import listed


def unmatched(results: Results) -> list[str]:
    """Return which rows lack seeds of Baseline, or have others: they are compared on those that both have."""
    notes = []
    for backbone in results.backbones:
        costs = [row for row in results.costs(backbone) if row.excluded != "undefined"]
        base = reference_of(costs, BASELINE)
        if base is None:
            continue
        for row in costs:
            folds = {fold for fold, _ in row.by_seed} & {fold for fold, _ in base.by_seed}
            own, other = ({seed for fold, seed in one.by_seed if fold in folds} for one in (row, base))
            left_out = [
                f"seed{'s' * (len(seeds) > 1)} {listed(map(str, sorted(seeds)))} of {name}"
                for seeds, name in ((other - own, base.label), (own - other, "its own"))
                if seeds
            ]
            if left_out:
                notes.append(f"{results.named(row.label, backbone)} without {' and '.join(left_out)}")
    return [f"Compared with Baseline on the seeds that both have: {'; '.join(notes)}."] if notes else []


def same(results: Results) -> list[str]:
    """Return which rows changed neither the gap nor the AUC of any model."""
    found: dict[str, list[str]] = {}
    for backbone, name in results.places:
        columns = [results.column(backbone, name, metric) for metric in (results.info.gap, "auc")]
        bases = [reference_of(column, BASELINE) for column in columns]
        for rows in zip(*columns, strict=True):
            if all(base and row is not base and unchanged(row, base) for row, base in zip(rows, bases, strict=True)):
                found.setdefault(results.named(rows[0].label, backbone), []).append(name)
    names = [f"{label} ({listed(places)})" for label, places in found.items()]
    return [f"Changed nothing, the gap and AUC of every model are Baseline's: {listed(names)}."] if names else []
