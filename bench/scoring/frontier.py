"""What a score allows at equal fairness: thresholds that are chosen on one set under a bound on EOdds.

A rule has one threshold, or one for each of two groups; the second needs the group of every patient. Of all rules whose
EOdds on the images they are chosen on is at most a bound, the one with the highest balanced accuracy is taken or, with
a bound on the false alarms too, that with the highest sensitivity. Any score can be made fair in this way, so a
mitigated model has to beat Baseline with thresholds (Hardt et al. 2016; Cruz & Hardt, Unprocessing Seven Years of
Algorithmic Fairness, ICLR 2024). Thresholds are fixed: nothing is drawn by lot, as fairlearn and error-parity do where
the ROC curves of the groups do not meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST = 200
"""Thresholds of a group that are tried, at equal steps of its sorted images."""


def candidates(logit: np.ndarray, most: int = MOST) -> np.ndarray:
    """Return up to `most` thresholds between logits (N,), and two below and above all, ascending."""
    values = np.unique(logit.astype(float))
    middle = (values[:-1] + values[1:]) / 2
    middle = np.where(middle < values[1:], middle, values[:-1])  # rounding must not move an image across
    if len(middle) > most:
        middle = middle[np.linspace(0, len(middle) - 1, most).round().astype(int)]
    return np.array([-np.inf, *middle, np.inf])


def counts_above(logit: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return how many logits are above each threshold."""
    return len(logit) - np.searchsorted(np.sort(logit.astype(float)), thresholds, side="right")


def chosen(
    logit: np.ndarray,
    y: np.ndarray,
    a: np.ndarray,
    bounds: Sequence[float],
    *,
    each: bool,
    specificity: float = 0.0,
    most: int = MOST,
) -> np.ndarray:
    """Return the thresholds of the two groups under each bound on EOdds, (bounds, 2); NaN if a group lacks a class.

    Args:
        logit: finite, (N,).
        y: labels in {0, 1}, (N,).
        a: groups in {0, 1}, (N,); other images are left out.
        bounds: on (|dTPR| + |dFPR|) / 2.
        each: whether the groups have their own thresholds; otherwise both are equal.
        specificity: if positive, the least specificity, under which sensitivity takes the place of balanced accuracy.
        most: thresholds of a group that are tried, see `candidates`.
    """
    strata = {(group, label): logit[(a == group) & (y == label)] for group in (0, 1) for label in (0, 1)}
    if not all(len(one) for one in strata.values()):
        return np.full((len(bounds), 2), np.nan)
    if each:
        pair = [candidates(logit[a == group], most) for group in (0, 1)]
    else:
        pair = [candidates(logit[(a == 0) | (a == 1)], most * 5)] * 2
    above = {key: counts_above(one, pair[key[0]]).astype(float) for key, one in strata.items()}
    above = {key: value[:, None] if each and key[0] == 0 else value for key, value in above.items()}
    size = {key: len(one) for key, one in strata.items()}
    gaps = [abs(above[0, label] / size[0, label] - above[1, label] / size[1, label]) for label in (0, 1)]
    gap = ((gaps[0] + gaps[1]) / 2).round(12).ravel()
    fpr, tpr = ((above[0, label] + above[1, label]) / (size[0, label] + size[1, label]) for label in (0, 1))
    gain = np.where(1 - fpr >= specificity - 1e-12, tpr, -1.0) if specificity else (tpr + 1 - fpr) / 2
    gain = gain.round(12).ravel()
    order = np.argsort(gap, kind="stable")
    best = np.maximum.accumulate(gain[order])
    first = np.concatenate([[True], best[1:] > best[:-1]])
    leader = np.maximum.accumulate(np.where(first, np.arange(len(best)), 0))
    at = np.searchsorted(gap[order], np.asarray(bounds) + 1e-12, side="right") - 1  # a rule for none has no gap
    places = order[leader[at]]
    if not each:
        return np.column_stack([pair[0][places]] * 2)
    rows, columns = np.divmod(places, len(pair[1]))
    return np.column_stack([pair[0][rows], pair[1][columns]])


def decided(logit: np.ndarray, a: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return as booleans (bounds, N) which images rules (bounds, 2) predict positive; groups a (N,) in {0, 1}."""
    return logit.astype(float)[None] > thresholds[:, a]


def eodds(positive: np.ndarray, y: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return EOdds of decisions (bounds, N), (bounds,); NaN if a group lacks a class."""
    with np.errstate(invalid="ignore"):
        rates = [
            [
                positive[:, (a == group) & (y == label)].sum(axis=1) / ((a == group) & (y == label)).sum()
                for label in (0, 1)
            ]
            for group in (0, 1)
        ]
    return (abs(rates[0][0] - rates[1][0]) + abs(rates[0][1] - rates[1][1])) / 2
