"""One column of the table: the best, the second best, and the differences to Baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, nan
from typing import Literal

from bench.reporting.numbers.grouping import over_seeds
from bench.scoring.definitions import METRICS
from bench.scoring.statistics import summary

DECIMALS = 3
"""Decimals that tables print, and on which rows are ranked: values that look equal are equal."""

NEEDS = " ◆"
"""The mark of a method that needs the attribute of every future patient, after its name."""
SUPPORTED = "*"
"""The mark of a supported difference, in every table, figure and sentence."""
TESTED = ("ci_low", "ci_high", "p", "error", "draws")
"""Fields of a row that hold an `Interval` of `bench.scoring.bootstrap`, in its order."""

Mark = Literal["best", "second", ""]
Exclusion = Literal["degenerate", "chance", "incomplete", "undefined", "suppressed", ""]


@dataclass(frozen=True)
class Row:
    """One method on one set in one metric.

    `values` are by fold, `by_seed` by fold and seed, NaN if undefined; `mean` and `std` (ddof 1) are over the `n`
    finite folds. `degenerate` counts the folds in which nearly all images are predicted as one class. `excluded` is
    the reason why it is not ranked: "undefined" if the method is not defined on the groups of the task, and
    "suppressed" if a stratum of the set has too few images. Against Baseline: the mean `difference` over folds, NaN if
    not compared, and in how many of `pairs` of folds and seeds it has the same sign. Over patients (see
    `patient_intervals`): the 95 % interval of the difference, p and the standard error, from `draws` defined bootstrap
    samples; `levelled_down` (see `bench.scoring.levelling`); and the interval over folds and patients together,
    `trained_low` to `trained_high`. Only differences of the primary family have a p adjusted by Holm, and can be
    `supported`.
    """

    backbone: str
    method: str
    label: str
    spec: str
    row: int
    set: str
    metric: str
    values: Mapping[int, float] = field(default_factory=dict)
    mean: float = nan
    std: float = nan
    n: int = 0
    degenerate: int = 0
    needs_attribute: bool = False
    comparator: bool = False
    auc_says: str = ""
    excluded: Exclusion = ""
    mark: Mark = ""
    difference: float = nan
    same_sign: int = 0
    pairs: int = 0
    ci_low: float = nan
    ci_high: float = nan
    p: float = nan
    error: float = nan
    draws: int = 0
    p_holm: float = nan
    supported: bool = False
    trained_low: float = nan
    trained_high: float = nan
    levelled_down: bool = False
    by_seed: Mapping[tuple[int, int], float] = field(default_factory=dict)

    @property
    def direction(self) -> Literal["up", "down"] | None:
        """The direction that is better; None for the cost and for metrics without one."""
        return METRICS[self.metric].direction if self.metric in METRICS else None

    @property
    def compared(self) -> bool:
        """Whether there is a difference to Baseline."""
        return not isnan(self.difference)


def excluding(column: Sequence[Row], *, incomplete: bool = True) -> list[Row]:
    """Set `excluded` in a column of gaps or of calibration errors.

    Excluded are rows with a degenerate fold, because a model that predicts one class has no gap and no use, and, with
    `incomplete`, rows with fewer finite folds than another row.
    """
    most = max((row.n for row in column), default=0) if incomplete else 0

    def reason(row: Row) -> Exclusion:
        metric = METRICS.get(row.metric)
        if row.excluded or metric is None or metric.kind not in ("gap", "calibration") or not metric.direction:
            return row.excluded
        return "degenerate" if row.degenerate else "incomplete" if row.n < most else ""

    return [replace(row, excluded=reason(row)) for row in column]


def marking(column: Sequence[Row]) -> list[Row]:
    """Set `mark` in a column, ranked on means of three decimals.

    Ties share a mark, and the next distinct value is second. A single row gets no mark.
    """
    shown = [nan if row.excluded or row.direction is None else round(row.mean, DECIMALS) for row in column]
    ranked = [value for value in shown if not isnan(value)]
    places = sorted(set(ranked), reverse=any(row.direction == "up" for row in column))
    marks: dict[float, Mark] = dict(zip(places, ("best", "second"), strict=False)) if len(ranked) > 1 else {}
    return [replace(row, mark=marks.get(value, "")) for row, value in zip(column, shown, strict=True)]


def comparing(column: Sequence[Row], reference: str) -> list[Row]:
    """Set the differences of the rows of a column to the row of the method `reference`, fold by fold.

    Of a fold, the seeds count that both rows have.

    Rows that are not ranked are not compared. No row is compared if the reference is absent or not ranked.
    """
    base = reference_of(column, reference)
    if base is None or base.excluded or base.direction is None:
        return list(column)
    return [row if row.excluded or row is base else _compared(row, base) for row in column]


def _compared(row: Row, base: Row) -> Row:
    by_seed = matched(row, base)
    mean = summary(list(over_seeds((fold, value) for (fold, _), value in by_seed.items()).values())).mean
    differences = [round(value, 12) for value in by_seed.values()]
    same = sum(value * mean > 0 for value in differences)
    return replace(row, difference=mean, same_sign=same, pairs=len(differences))


def matched(row: Row, base: Row) -> dict[tuple[int, int], float]:
    """Return the differences of two rows, by the folds and seeds that both have."""
    every = {pair: value - base.by_seed.get(pair, nan) for pair, value in row.by_seed.items()}
    return {pair: value for pair, value in every.items() if isfinite(value)}


def unchanged(row: Row, base: Row) -> bool:
    """Return whether a row that may be compared has the value of another in every fold and seed that both have."""
    differences = matched(row, base).values()
    return not row.excluded and bool(differences) and not any(differences)


def reference_of(column: Sequence[Row], method: str) -> Row | None:
    """Return the row of the reference with default parameters, or else its first variant."""
    rows = [row for row in column if row.method == method]
    return next((row for row in rows if row.spec == method), rows[0] if rows else None)
