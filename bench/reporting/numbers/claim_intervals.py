"""Intervals of the paper's claims over patients: of sums of rows with weights, such as a difference of two means.

The estimand is that of every other table: these trained models, on patients like those of the test set. Weights above 0
are one side and those below 0 the other, so that gaps are compared as elsewhere (`bench.scoring.gaps`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.reporting.numbers.redraws import Redrawn, Samples, Spec
from bench.scoring.bootstrap import interval
from bench.scoring.definitions import METRICS
from bench.scoring.gaps import Behind, gap_difference, gap_of
from bench.scoring.statistics import LEVEL

Weights = Mapping[str, float]
"""The weight of each row, by its name; their sum is 0."""


@dataclass(frozen=True)
class Drawn:
    """Models of a test set by the names of their rows, on the same bootstrap samples of its patients.

    `unit` names what is drawn. `behind` are the patients and images behind the rates of a gap, by metric.
    """

    models: Mapping[str, Samples]
    behind: Mapping[str, Behind]
    unit: str

    def has(self, names: Iterable[str], metric: str, folds: Collection[int]) -> bool:
        """Tell whether all these models have samples of a metric in all these folds."""
        known = [{fold for fold, _ in self.models.get(name, {}).get(metric, {})} for name in names]
        return bool(known) and all(fold in one for one in known for fold in folds)

    def interval(
        self, weights: Weights, metric: str, folds: Collection[int], level: float = LEVEL
    ) -> tuple[float, float]:
        """Return the ends of the interval of a weighted sum of rows, the mean over folds; NaN as `interval`."""
        whole = sum(weight for weight in weights.values() if weight > 0)
        more, less = (self._side(weights, metric, folds, sign / whole) for sign in (1, -1))
        if METRICS[metric].ranges:
            behind = self.behind[metric]
            found = gap_difference(gap_of(more, metric, behind), gap_of(less, metric, behind), level)
        else:
            found = interval(more[0] - less[0], level=level)
        return whole * found.low, whole * found.high

    def _side(self, weights: Weights, metric: str, folds: Collection[int], sign: float) -> np.ndarray:
        """Return the sum of the rows whose weights have the sign of `sign`, times it, the mean over folds, (k, B)."""
        rows = [
            sign * weight * np.mean([_of_fold(self.models[name][metric], fold) for fold in folds], axis=0)
            for name, weight in weights.items()
            if sign * weight > 0
        ]
        return np.sum(rows, axis=0)


def _of_fold(models: Mapping[tuple[int, int], np.ndarray], fold: int) -> np.ndarray:
    """Return the mean over the seeds of a fold, (k, B)."""
    return np.mean([values for (own, _), values in models.items() if own == fold], axis=0)


def drawn(found: Redrawn, backbone: str, names: Mapping[Spec, str], unit: str) -> Drawn:
    """Return the models of a backbone on one test set; `names` of rows are by backbone and spec."""
    models = {names[spec]: samples for spec, samples in found.every.items() if spec in names and spec[0] == backbone}
    return Drawn(models, found.behind, unit)
