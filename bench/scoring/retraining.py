"""Would another training show it? Folds and patients are drawn together.

Each bootstrap sample of patients goes with a sample of the folds: of K folds, K - 1 are drawn with replacement, by
which the variance of their mean has no bias (Rao & Wu, Resampling inference with complex survey data, JASA 83, 1988).
As the few folds show little of the tails, the interval is as wide as Student's t makes it, with degrees of freedom
after Satterthwaite (1946): K - 1 if folds alone vary, more if patients do.

Folds share most of their training images, so that such an interval is still too narrow for training on other images.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri, stdtrit

from bench.scoring.statistics import LEVEL

FEWEST = 5
"""Number of folds from which on there is an interval."""


def drawn_folds(folds: int, draws: int, seed: int) -> np.ndarray:
    """Return which folds each sample consists of, (folds - 1, draws)."""
    return np.random.default_rng(seed).integers(folds, size=(folds - 1, draws))


def over_folds(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the mean (k, B) of quantities (K, k, B) over the `chosen` folds (K - 1, B) of each sample."""
    samples = np.arange(values.shape[2])
    return np.mean([values[folds, :, samples] for folds in chosen], axis=0).T


def student_factor(by_fold: np.ndarray, drawn: np.ndarray) -> float:
    """Return by what factor an interval is wider because few folds tell how much folds vary.

    Differences on bootstrap samples: `by_fold` (K, B), each fold on its own, and `drawn` (B,), of drawn folds. At
    least 1; NaN samples are left out.
    """
    folds = len(by_fold)
    means = np.nanmean(by_fold, axis=1)
    of_folds, both = means.var(ddof=1) / folds, np.nanvar(drawn)
    if not of_folds > 0 or not both > 0:
        return 1.0
    freedom = (folds - 1) * max(1.0, both / of_folds) ** 2
    return float(stdtrit(min(freedom, 1e9), 1 - LEVEL / 2) / ndtri(1 - LEVEL / 2))
