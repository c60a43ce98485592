"""What the metrics are called, which way each is better, how it is defined. Without numpy: `bench ls` reads it.

SWiFT prints no formula of equalised odds. The one surviving routine of its authors (vios-s/BMFT) halves the absolute
signed sum, in which gaps of opposite sign cancel: `eodds_signed`. The headline `eodds` halves the sum of the absolute
gaps; where both gaps have one sign the two are equal. Both, the larger gap and the sum are stored in every cell (D22).

What decides that an image is predicted positive is part of a metric: its score above 0.5, or above the threshold that
the model carries from validation (see `bench.score.threshold`). Calibration is that of the score as it is: a loss that
weighs the classes moves scores away from how often the finding is there, so compare methods, not the number itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import UnknownName

Threshold = Literal["none", "0.5", "carried"]


@dataclass(frozen=True)
class Metric:
    """One entry of `METRICS`.

    `direction` says which way is better, None that neither is; `threshold` what an image's score must exceed to be
    predicted positive, "none" where no image is. `version` is the `VERSION` in which the definition last changed.
    """

    name: str
    title: str
    direction: Literal["up", "down"] | None
    says: str
    formula: str
    threshold: Threshold = "0.5"
    version: int = 1


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "auc", "AUC", "up", "Area under the ROC curve of all images pooled.", "P(z+ > z-) + P(z+ = z-) / 2", "none"
        ),
        Metric("spd", "SPD", "down", "Statistical parity difference: gap between selection rates.", "|SR_0 - SR_1|"),
        Metric("eodds", "EOdds", "down", "Equalised odds: mean of the TPR and FPR gaps (D22).", "(|dT| + |dF|) / 2"),
        Metric("eodds_max", "EOdds max", "down", "Equalised odds: the larger of both gaps.", "max(|dT|, |dF|)"),
        Metric("eodds_sum", "EOdds sum", "down", "Equalised odds: the sum of both gaps.", "|dT| + |dF|"),
        Metric(
            "eodds_signed",
            "EOdds signed",
            "down",
            "The public code's equalised odds, in which gaps of opposite sign cancel; two groups only (D22).",
            "|dT + dF| / 2",
        ),
        Metric("eopp", "EOpp", "down", "Equal opportunity: gap between true positive rates.", "|dT|"),
        Metric("tpr_gap", "TPR gap", None, "Signed gap between true positive rates; two groups.", "TPR_0 - TPR_1"),
        Metric("fpr_gap", "FPR gap", None, "Signed gap between false positive rates; two groups.", "FPR_0 - FPR_1"),
        Metric(
            "min_auc", "Min AUC", "up", "Lowest AUC within a group, of those with both classes.", "min_g AUC_g", "none"
        ),
        Metric(
            "gap_auc",
            "Gap AUC",
            "down",
            "Gap between AUCs within groups, of those with both classes; needs two of them.",
            "max_g AUC_g - min_g AUC_g",
            "none",
        ),
        Metric("min_tpr", "Min TPR", "up", "Lowest true positive rate of a group.", "min_g TPR_g", version=2),
        Metric(
            "max_calibration_error",
            "Max ECE",
            "down",
            "Largest expected calibration error of a group, in ten bins of equal width.",
            "max_g ECE_g, ECE_g = sum_b |sum_{i in g, b} (y_i - p_i)| / n_g",
            "none",
            version=2,
        ),
        Metric(
            "gap_calibration_error",
            "Gap ECE",
            "down",
            "Gap between the expected calibration errors of groups.",
            "max_g ECE_g - min_g ECE_g",
            "none",
            version=2,
        ),
        Metric(
            "spd_carried",
            "SPD carried",
            "down",
            "Statistical parity difference at the threshold carried from validation.",
            "|SR_0 - SR_1|",
            "carried",
            version=2,
        ),
        Metric(
            "eodds_carried",
            "EOdds carried",
            "down",
            "Equalised odds at the threshold carried from validation: mean of the TPR and FPR gaps.",
            "(|dT| + |dF|) / 2",
            "carried",
            version=2,
        ),
        Metric(
            "min_tpr_carried",
            "Min TPR carried",
            "up",
            "Lowest true positive rate of a group at the threshold carried from validation.",
            "min_g TPR_g",
            "carried",
            version=2,
        ),
    )
}

VERSION = max(metric.version for metric in METRICS.values())
"""Stored with the scores of every cell. Who changes what a metric says gives it the next number."""


def metric(name: str) -> Metric:
    """The entry of `METRICS` called `name`; raises UnknownName."""
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def current(name: str, version: int) -> bool:
    """Tell whether scores of a version hold a metric as it is defined today."""
    return METRICS[name].version <= version <= VERSION
