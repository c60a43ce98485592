"""The metrics: one function each, with title, kind and direction. A new metric is one more function in this file.

`SR_g`, `TPR_g` and `FPR_g` are the selection, true positive and false positive rate of group g; dT = TPR_0 - TPR_1 and
dF = FPR_0 - FPR_1. With more than two groups, an absolute difference becomes the range, largest minus smallest. A rate
without images is NaN, and so is every metric that depends on it. fairlearn takes 0 for it, which turns a missing group
into a gap.

The threshold above which an image is predicted positive is part of a metric: a score of 0.5, or the threshold that was
tuned on validation images and is used on all sets (see `bench.scoring.threshold`). Calibration is measured on scores as
they are. A loss with class weights moves scores away from the frequency of the label, so compare calibration errors
between methods rather than with zero.

SWiFT prints no formula of equalised odds. The one surviving routine of its authors (vios-s/BMFT) halves the absolute
signed sum, in which gaps of opposite sign cancel: `eodds_signed`. The headline `eodds` halves the sum of the absolute
gaps; where both gaps have one sign the two are equal. Both, the larger gap and the sum are stored in every cell (D22).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from bench.errors import UnknownName, UsageError
from bench.scoring import of_scores
from bench.scoring.metric_plugins import load_metrics

Kind = Literal["score", "error", "gap", "calibration"]
Direction = Literal["up", "down"] | None
Threshold = Literal["none", "0.5", "tuned"]
POOLED: dict[str, Any] = {"needs_attribute": False, "tells_counts": True, "version": 4}  # of `bench.scoring.of_scores`
WIDE = (-1e9, 1e9)  # bounds of a metric that may have any value


class Rates(NamedTuple):
    """Rates of each group at one threshold, (G, ...), in 0..1; NaN if a group has no images for a rate."""

    selection: np.ndarray
    tpr: np.ndarray
    fpr: np.ndarray


@dataclass(frozen=True)
class Scored:
    """One model on one set, as the functions of metrics read it.

    In the bootstrap, `rates`, `auc` and `aucs` have a last axis for the draws, and the other fields are missing.
    """

    rates: Rates
    """The rates at the threshold of the metric."""
    auc: float
    """The AUC of all images together; NaN with one class."""
    aucs: np.ndarray
    """The AUC of each group that has both classes, (at most G,)."""
    calibration: np.ndarray
    """Expected calibration error of each group, (G,)."""
    logit: np.ndarray
    """The logit of each image, (N,), ascending; `y` and `a` (-1: not known) are in the same order."""
    y: np.ndarray
    a: np.ndarray


Function = TypeVar("Function", bound=Callable[[Scored], Any])


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One entry of `METRICS`: everything that the harness knows about a metric."""

    name: str
    title: str
    kind: Kind
    """Performance, error, difference between groups, or difference between scores and frequencies."""
    direction: Direction
    """The direction that is better; None: neither."""
    says: str
    formula: str
    function: Callable[[Scored], Any]
    """Returns its value, a number of Python or NumPy; NaN if it is undefined."""
    threshold: Threshold = "0.5"
    """The score above which an image is predicted positive; "none": the metric does not use predictions."""
    needs_attribute: bool = True
    """Whether it depends on groups; it is then suppressed together with their counts."""
    tells_counts: bool = False
    """Whether it tells how many images are of class 1; it is then suppressed together with counts, too."""
    bounds: tuple[float, float] | None = None
    """The values it may have; None: 0 to 1, of gaps -1 to 1, of a sum of two gaps to 2."""
    ranges: tuple[str, ...] = ()
    """If it is the mean of ranges over groups, what these are ranges of: fields of `Rates`, or "auc"."""
    version: int = 1
    """The `VERSION` in which it was added or its definition last changed."""


METRICS: dict[str, Metric] = {}
"""Every metric by name, for records, tables, `bench ls metrics` and `bench metrics --recompute`."""


def define(title: str, kind: Kind, direction: Direction, **facts: Any) -> Callable[[Function], Function]:
    """Enter a function into `METRICS` under its own name; its docstring holds the description, then the formula.

    `facts` are the fields of `Metric` that have defaults.
    """

    def enter(function: Function) -> Function:
        says, _, formula = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        if (known := METRICS.get(function.__name__)) and known.function.__module__ != function.__module__:
            raise UsageError(f"metric '{function.__name__}' already exists ({known.function.__module__}): rename it")
        named = {"name": function.__name__, "title": title, "says": says, "formula": formula, "function": function}
        METRICS[function.__name__] = Metric(kind=kind, direction=direction, **named, **facts)
        return function

    return enter


@define("AUC", "score", "up", threshold="none", needs_attribute=False)
def auc(of: Scored) -> Any:
    """Area under the ROC curve of all images pooled.

    P(z+ > z-) + P(z+ = z-) / 2
    """
    return of.auc


@define("SPD", "gap", "down", ranges=("selection",))
def spd(of: Scored) -> Any:
    """Statistical parity difference: gap between selection rates.

    |SR_0 - SR_1|
    """
    return _range(of.rates.selection)


@define("EOdds", "gap", "down", ranges=("tpr", "fpr"))
def eodds(of: Scored) -> Any:
    """Equalised odds: mean of the TPR and FPR gaps (D22).

    (|dT| + |dF|) / 2
    """
    return (_range(of.rates.tpr) + _range(of.rates.fpr)) / 2


@define("EOdds max", "gap", "down")
def eodds_max(of: Scored) -> Any:
    """Equalised odds: the larger of both gaps.

    max(|dT|, |dF|)
    """
    return np.maximum(_range(of.rates.tpr), _range(of.rates.fpr))


@define("EOdds sum", "gap", "down")
def eodds_sum(of: Scored) -> Any:
    """Equalised odds: the sum of both gaps.

    |dT| + |dF|
    """
    return _range(of.rates.tpr) + _range(of.rates.fpr)


@define("EOdds signed", "gap", "down")
def eodds_signed(of: Scored) -> Any:
    """The public code's equalised odds, in which gaps of opposite sign cancel; two groups only (D22).

    |dT + dF| / 2
    """
    return abs(_signed(of.rates.tpr) + _signed(of.rates.fpr)) / 2


@define("EOpp", "gap", "down", ranges=("tpr",))
def eopp(of: Scored) -> Any:
    """Equal opportunity: gap between true positive rates.

    |dT|
    """
    return _range(of.rates.tpr)


@define("TPR gap", "gap", None)
def tpr_gap(of: Scored) -> Any:
    """Signed gap between true positive rates; two groups.

    TPR_0 - TPR_1
    """
    return _signed(of.rates.tpr)


@define("FPR gap", "gap", None)
def fpr_gap(of: Scored) -> Any:
    """Signed gap between false positive rates; two groups.

    FPR_0 - FPR_1
    """
    return _signed(of.rates.fpr)


@define("Min AUC", "score", "up", threshold="none")
def min_auc(of: Scored) -> Any:
    """Lowest AUC within a group, of those with both classes.

    min_g AUC_g
    """
    return of.aucs.min(axis=0) if len(of.aucs) else np.nan


@define("Gap AUC", "gap", "down", threshold="none", ranges=("auc",))
def gap_auc(of: Scored) -> Any:
    """Gap between AUCs within groups, of those with both classes; needs two of them.

    max_g AUC_g - min_g AUC_g
    """
    return _range(of.aucs) if len(of.aucs) > 1 else np.nan


@define("Min TPR", "score", "up", version=2)
def min_tpr(of: Scored) -> Any:
    """Lowest true positive rate of a group.

    min_g TPR_g
    """
    return of.rates.tpr.min(axis=0)


@define("Max ECE", "calibration", "down", threshold="none", version=2)
def max_calibration_error(of: Scored) -> Any:
    """Largest expected calibration error of a group, in ten bins of equal width.

    max_g ECE_g, ECE_g = sum_b |sum_{i in g, b} (y_i - p_i)| / n_g
    """
    return of.calibration.max()


@define("Gap ECE", "gap", "down", threshold="none", version=2)
def gap_calibration_error(of: Scored) -> Any:
    """Gap between the expected calibration errors of groups.

    max_g ECE_g - min_g ECE_g
    """
    return _range(of.calibration)


@define("SPD, tuned threshold", "gap", "down", threshold="tuned", version=3)
def spd_tuned_threshold(of: Scored) -> Any:
    """Statistical parity difference at the threshold tuned on validation.

    |SR_0 - SR_1|
    """
    return spd(of)


@define("EOdds, tuned threshold", "gap", "down", threshold="tuned", version=3)
def eodds_tuned_threshold(of: Scored) -> Any:
    """Equalised odds at the threshold tuned on validation: mean of the TPR and FPR gaps.

    (|dT| + |dF|) / 2
    """
    return eodds(of)


@define("Min TPR, tuned threshold", "score", "up", threshold="tuned", version=3)
def min_tpr_tuned_threshold(of: Scored) -> Any:
    """Lowest true positive rate of a group at the threshold tuned on validation.

    min_g TPR_g
    """
    return min_tpr(of)


@define("AUPRC", "score", "up", threshold="none", **POOLED)
def auprc(of: Scored) -> Any:
    """Area under the precision-recall curve of all images; that of chance is the share of class 1.

    sum_k (R_k - R_k-1) P_k
    """
    return of_scores.average_precision(of.logit, of.y)


@define("Brier", "error", "down", threshold="none", **POOLED)
def brier(of: Scored) -> Any:
    """Brier score of all images: mean squared difference between score and label.

    mean (p_i - y_i)^2
    """
    return of_scores.brier(of.logit, of.y)


@define("Sensitivity at 90 % specificity", "score", "up", threshold="none", **POOLED)
def sensitivity_at_specificity(of: Scored) -> Any:
    """Highest true positive rate whose false positive rate is at most 0.1, read on the set itself.

    max TPR(t), FPR(t) <= 0.1
    """
    return of_scores.sensitivity_at(of.logit, of.y)


@define("Net benefit", "score", "up", threshold="none", **POOLED, bounds=(-1.0, 1.0))
def net_benefit(of: Scored) -> Any:
    """Net benefit at the threshold probability 0.1 (Vickers & Elkin 2006), of scores as they are.

    (TP - FP / 9) / n, p_i > 0.1
    """
    return of_scores.net_benefit(of.logit, of.y)


@define("Calibration in the large", "calibration", None, threshold="none", **{**POOLED, "version": 5}, bounds=WIDE)
def calibration_intercept(of: Scored) -> Any:
    """Shift of all logits after which the mean score is the frequency of class 1; 0 is calibrated.

    c, mean sigmoid(z_i + c) = mean y_i
    """
    return of_scores.calibration_intercept(of.logit, of.y)


@define("Calibration slope", "calibration", None, threshold="none", **POOLED, bounds=WIDE)
def calibration_slope(of: Scored) -> Any:
    """Slope of a logistic regression of the label on the logit; 1 is calibrated, below 1 scores are too extreme.

    b, P(y_i = 1) = sigmoid(c + b z_i)
    """
    return of_scores.calibration_slope(of.logit, of.y)


load_metrics()
VERSION = max(entry.version for entry in METRICS.values())
"""Stored with every cell as `metrics_version`. A metric that is added or redefined gets the next number."""


def metric(name: str) -> Metric:
    """Return the entry of `METRICS` called `name`; raise UnknownName if there is none."""
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def current(name: str, version: int) -> bool:
    """Return whether scores of a version contain a metric as it is defined today."""
    return METRICS[name].version <= version <= VERSION


def _range(values: np.ndarray) -> Any:
    return np.ptp(values, axis=0)


def _signed(rates: np.ndarray) -> Any:
    return rates[0] - rates[1] if len(rates) == 2 else np.nan  # defined for two groups only
