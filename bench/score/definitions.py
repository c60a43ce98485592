"""What the metrics are called, which way each is better, how it is defined. Without numpy: `bench ls` reads it.

SWiFT prints no formula of equalised odds. The one surviving routine of its authors (vios-s/BMFT) halves the absolute
signed sum, in which gaps of opposite sign cancel: `eodds_signed`. The headline `eodds` halves the sum of the absolute
gaps; where both gaps have one sign the two are equal. Both, the larger gap and the sum are stored in every cell (D22).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import UnknownName


@dataclass(frozen=True)
class Metric:
    """One entry of `METRICS`: `direction` says which way is better, None that neither is."""

    name: str
    title: str
    direction: Literal["up", "down"] | None
    says: str
    formula: str


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", "AUC", "up", "Area under the ROC curve of all images pooled.", "P(z+ > z-) + P(z+ = z-) / 2"),
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
        Metric("min_auc", "Min AUC", "up", "Lowest AUC within a group, of those with both classes.", "min_g AUC_g"),
        Metric(
            "gap_auc",
            "Gap AUC",
            "down",
            "Gap between AUCs within groups, of those with both classes; needs two of them.",
            "max_g AUC_g - min_g AUC_g",
        ),
    )
}


def metric(name: str) -> Metric:
    """The entry of `METRICS` called `name`; raises UnknownName."""
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]
