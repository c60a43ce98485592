"""What could have been found, in words: by the size of the smallest groups, over folds and over patients."""

from __future__ import annotations

from math import isfinite, nan
from statistics import median

from bench.report.numbers.aggregate import BASELINE, Results
from bench.report.numbers.ranking import Row, reference_of
from bench.score.minimum_detectable import POWER, fold_difference, from_error, rate_gap
from bench.score.statistics import LEVEL, summary


def smallest(results: Results) -> list[str]:
    """One note per backbone and test set on the smallest differences that could have been found there."""
    places = [(backbone, name) for backbone in results.backbones for name in results.info.ood]
    found = [text for backbone, name in places if (text := _place(results, backbone, name))]
    if not found:
        return []
    how = (
        f"The smallest difference that could have been found, below, is one that a test at level {LEVEL} finds with "
        f"probability {POWER}, before Holm. Gaps between groups: normal approximation, images taken as independent, "
        "both groups at Baseline's rate. What is smaller can be there and stay unseen."
    )
    return [how, *found]


def _place(results: Results, backbone: str, name: str) -> str:
    said = [*_gaps(results, backbone, name), *_change(results, backbone, name)]
    where = f"{name}, {backbone}" if len(results.backbones) > 1 else name
    return f"Smallest on {where}: {'; '.join(said)}." if said else ""


def _gaps(results: Results, backbone: str, name: str) -> list[str]:
    """The gap of a rate between the smallest group and the largest, on either class."""
    size, rates = results.sizes.get(name), results.rates.get((backbone, name))
    if size is None or not size.cells or rates is None or results.info.gap == "gap_auc":
        return []
    said = []
    for label, title in ((1, "a TPR"), (0, "an FPR")):
        counts = {group: size.cells[group, label] for group in results.info.group_names}
        few, many = min(counts, key=lambda g: counts[g]), max(counts, key=lambda g: counts[g])
        least = rate_gap(rates[label], counts[few], counts[many])
        if isfinite(least):
            what = f"{counts[few]} images ({few}, {results.info.label_names[label]})"
            said.append(f"with {what}, {title} gap of {least:.3f} (at a rate of {rates[label]:.3f})")
    return said


def _change(results: Results, backbone: str, name: str) -> list[str]:
    """The difference to Baseline in the gap of the task, over folds and over patients: the median of the methods."""
    column = results.column(backbone, name, results.info.gap)
    base = reference_of(column, BASELINE)
    rows = [row for row in column if row.compared]
    over = {
        "folds": [_over_folds(row, base, results.folds) for row in rows if base],
        "patients": [from_error(row.error_patients) for row in rows],
    }
    found = {
        name: median(kept) for name, each in over.items() if (kept := [value for value in each if isfinite(value)])
    }
    words = " and ".join(f"{least:.3f} over {name}" for name, least in found.items())
    title = results.info.title(results.info.gap)
    return [f"a difference to Baseline in {title} of {words} (median of the methods)"] if words else []


def _over_folds(row: Row, base: Row, folds: int) -> float:
    _, std, n = summary([value - base.values.get(fold, nan) for fold, value in row.values.items()])
    return fold_difference(std, n, folds)
