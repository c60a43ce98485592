"""Levelling down: a gap that shrank because groups got worse, and none got better.

After Mittelstadt, Wachter & Russell, The unfairness of fair machine learning (2023). How well a model does in a group
is judged by two measures: its AUC, which no threshold moves, and its balanced accuracy at the threshold that is tuned
on validation images, which a shift of all logits does not move. Each group counts, and so do patients: a change is one
whose 95 % interval over patients excludes 0. A gap is levelled down if

    it is smaller than Baseline's,
    some group lost by both measures,
    and no group gained by either.
"""

from __future__ import annotations

import numpy as np

from bench.scoring.bootstrap import Resampled, interval


def performance(model: Resampled) -> np.ndarray:
    """Return AUC and balanced accuracy of each group on bootstrap samples, (2 G, B); NaN if a class is missing."""
    rates = model.rates
    aucs = np.full(rates.tpr.shape, np.nan)
    for (group, _), auc in zip(model.model.by_group, model.aucs, strict=True):
        aucs[group] = auc
    return np.concatenate([aucs, (rates.tpr + 1 - rates.fpr) / 2])


def levelled_down(smaller: bool, changes: np.ndarray) -> bool:
    """Tell whether a gap that is `smaller` was levelled down.

    `changes` (2 G, B) are the mean differences to Baseline in `performance` on bootstrap samples. Groups that lack a
    class altogether are no part of the gap and are left out. False if a change of another group is undefined in more
    samples than an interval allows, because the group may have gained.
    """
    kept = changes.reshape(2, -1, changes.shape[1])
    kept = kept[:, ~np.isnan(kept).all(axis=2).any(axis=0)]
    if not smaller or not kept.size:
        return False
    ends = np.array([[interval(change)[:2] for change in measure] for measure in kept])
    lost, gained = (ends[:, :, 1] < 0).all(axis=0), (ends[:, :, 0] > 0).any()
    return bool(np.isfinite(ends).all() and lost.any() and not gained)
