"""The objectives of `bench tune`: which of several settings is best, given their scores on the holdout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `bench --help` reads this module, and records take longer to import
    from bench.cells.record import SetScores

AUC_DROP = 0.01
"""How far the AUC may be below the baseline's under `constrained`."""
BIAS_LIMIT = 0.05
"""The EOdds from which a setting is worthless under `threshold`."""


@dataclass(frozen=True)
class Scores:
    """Scores of a setting on the holdout, each in 0..1 or NaN: AUC, and EOdds and balanced accuracy at threshold 0.5.

    The balanced accuracy is that of images with a group. `degenerate`: all images get the same prediction.
    """

    auc: float
    eodds: float
    balanced_accuracy: float
    degenerate: bool

    @property
    def defined(self) -> bool:
        """Whether the setting can be chosen."""
        return not (isnan(self.auc) or isnan(self.eodds) or isnan(self.balanced_accuracy))


def scores_of(scores: SetScores) -> Scores:
    """Return the scores that the objectives need, from all scores on the holdout."""
    groups = scores.groups.values()
    positives, negatives, hits, alarms = (
        sum(getattr(group, name) for group in groups)
        for name in ("positives", "negatives", "true_positives", "false_positives")
    )
    balanced = (hits / positives + 1 - alarms / negatives) / 2 if positives and negatives else nan
    return Scores(scores.metric("auc"), scores.metric("eodds"), balanced, scores.degenerate)


def constrained(one: Scores, baseline: Scores) -> tuple[float, ...]:
    """Smallest EOdds among the settings whose AUC is at least the baseline's - 0.01; without any, the highest AUC.

    A setting that predicts the same class for all images has no gap but is useless: it counts as lacking AUC.
    """
    feasible = one.auc >= baseline.auc - AUC_DROP and not one.degenerate
    return (1.0, -one.eodds) if feasible else (0.0, one.auc)


def threshold(one: Scores, baseline: Scores) -> tuple[float, ...]:
    """Balanced accuracy if EOdds is below 0.05, else 0 (Marcinkevics et al. 2022, i6092467/diff-bias-proxies)."""
    return (one.balanced_accuracy if one.eodds < BIAS_LIMIT else 0.0,)


def linear(one: Scores, baseline: Scores) -> tuple[float, ...]:
    """AUC - EOdds."""
    return (one.auc - one.eodds,)


OBJECTIVES: dict[str, Callable[[Scores, Scores], tuple[float, ...]]] = {
    objective.__name__: objective for objective in (constrained, threshold, linear)
}


def choose(objective: str, settings: Sequence[Scores], baseline: Scores) -> int | None:
    """Return the index of the best setting. Ties go to the higher AUC, then to the first.

    A setting with an undefined (NaN) score is never chosen; if all have one, the result is None.
    """
    value = OBJECTIVES[objective]
    ranked = [(*value(one, baseline), one.auc, -at) for at, one in enumerate(settings) if one.defined]
    return -int(max(ranked)[-1]) if ranked else None
