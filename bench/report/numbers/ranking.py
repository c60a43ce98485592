"""One column of the table: the best, the second best, and the rows that differ from Baseline over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, nan
from typing import Literal

from bench.score.definitions import METRICS
from bench.score.statistics import holm, paired, significant

DECIMALS = 3
"""Decimals that tables print, and on which rows are ranked: values that look equal are equal."""

BOOTSTRAPPED = ("ci_low", "ci_high", "p_patients", "error_patients", "draws")
"""Fields of a row that hold an `Interval` of `bench.score.bootstrap`, in its order."""

Mark = Literal["best", "second", ""]
Exclusion = Literal["degenerate", "incomplete", "undefined", "suppressed", ""]


@dataclass(frozen=True)
class Row:
    """One method on one set in one metric.

    `values` are by fold, NaN if undefined; `mean` and `std` (ddof 1) are over the `n` finite ones. `degenerate` counts
    the folds in which all images are predicted as one class. `excluded` is the reason why the row is not ranked:
    "undefined" if the method is not defined on the groups of the task, and "suppressed" if a stratum of the set has too
    few images. Against Baseline: the mean paired `difference`, its p, p adjusted by Holm, NaN if not compared, and
    `levelled_down` (see `levelling`). Over patients (see `patient_intervals`): the interval of the difference, p, p
    adjusted by Holm and the standard error, from `draws` defined bootstrap samples.
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
    excluded: Exclusion = ""
    mark: Mark = ""
    difference: float = nan
    p: float = nan
    p_holm: float = nan
    significant: bool = False
    levelled_down: bool = False
    ci_low: float = nan
    ci_high: float = nan
    p_patients: float = nan
    p_patients_holm: float = nan
    error_patients: float = nan
    draws: int = 0

    @property
    def direction(self) -> Literal["up", "down"] | None:
        """The direction that is better; None for the cost and for metrics without one."""
        return METRICS[self.metric].direction if self.metric in METRICS else None

    @property
    def compared(self) -> bool:
        """Whether the difference to Baseline was tested."""
        return not isnan(self.p_holm)

    @property
    def significant_patients(self) -> bool:
        """Whether the row differs from Baseline over patients."""
        return significant(self.p_patients_holm)


def excluding(column: Sequence[Row]) -> list[Row]:
    """Set `excluded` in a column of gaps or of calibration errors.

    Excluded are rows with a degenerate fold, because a model that predicts one class has no gap and no use, and rows
    with fewer finite folds than another row.
    """
    most = max((row.n for row in column), default=0)

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


def comparing(column: Sequence[Row], reference: str, folds: int) -> list[Row]:
    """Compare the rows of a column, one Holm family, with the row of the method `reference`, fold by fold.

    Rows that are not ranked are not compared. No row is compared if the reference is absent or not ranked.
    """
    base = reference_of(column, reference)
    if base is None or base.excluded or base.direction is None:
        return list(column)
    rows = [row for row in column if not row.excluded and row is not base]
    order = sorted({fold for row in column for fold in row.values})
    anchor = [base.values.get(fold, nan) for fold in order]
    tests = [paired([row.values.get(fold, nan) for fold in order], anchor, folds) for row in rows]
    adjusted = holm([test.p for test in tests])
    compared = {
        row.spec: replace(row, difference=test.difference, p=test.p, p_holm=p, significant=significant(p))
        for row, test, p in zip(rows, tests, adjusted, strict=True)
    }
    return [compared.get(row.spec, row) for row in column]


def leading(column: Sequence[Row]) -> tuple[Row, Row] | None:
    """Return the best and the second row of a column by their unrounded means; None if fewer than two are ranked."""
    ranked = [row for row in column if not row.excluded and row.direction and isfinite(row.mean)]
    ranked.sort(key=lambda row: row.mean if row.direction == "down" else -row.mean)
    return (ranked[0], ranked[1]) if len(ranked) > 1 else None


def reference_of(column: Sequence[Row], method: str) -> Row | None:
    """Return the row of the reference with default parameters, or else its first variant."""
    rows = [row for row in column if row.method == method]
    return next((row for row in rows if row.spec == method), rows[0] if rows else None)
