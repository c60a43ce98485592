"""Gaps of two models on bootstrap samples of the patients: is one smaller, and by how much?

A gap is a size without a sign. On bootstrap samples it is too large, and more so where it is near 0 and where rates are
not near 0 or 1. This bias differs between models and does not vanish in the mean over folds, so that the percentile
interval of a difference of gaps does not cover, and a model that hardly predicts a class seems to have a smaller gap
than another without any. A claim that gap A is smaller than gap B is therefore tested on two sides that err against it:

- A enters with its gap as defined, in each bootstrap sample. It is too large.
- B enters with a lower bound. Each rate stands for itself by the difference of one pair of groups, with its sign: of
  the pairs, that with the largest lower bound. It counts if the interval of the difference excludes 0 at the level of
  the claim, divided by the number of all pairs of all rates, and otherwise the rate counts as 0. The mean over rates is
  linear in the rates, so that it is not biased, and it is at most the mean gap of B.

The upper end of the interval of "A less B" is the quantile of the difference of the two; the lower end is the same with
A and B exchanged. The method is symmetric: "larger" is tested as "smaller" is. It is conservative where both gaps are
near 0, and where the models that are averaged lean in opposite directions. `docs/statistics.md` has the simulations.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from bench.errors import UsageError
from bench.scoring.bootstrap import Interval, Resampled, Sample
from bench.scoring.definitions import METRICS
from bench.scoring.statistics import LEVEL, NO_SPREAD

FEWEST = 10
"""Patients in a group of which a rate of 0 or 1 is no chance."""


class Gap(NamedTuple):
    """A gap on B bootstrap samples, the mean over models.

    `size` (B,) is the gap as defined. `parts` (R, C, B) are the signed differences between the C pairs of groups in
    each of its R rates, of whose ranges the gap is the mean. `patients` (R, C) counts those behind each: of the group
    that has fewer, up to those of both. `equal` (R, C) is by how much the standard error of a part is larger if both
    rates are equal.
    `few` tells that a rate is 0 or 1 in a group of fewer than `FEWEST` patients: nothing says how far it may vary.
    """

    size: np.ndarray
    parts: np.ndarray
    patients: np.ndarray
    equal: np.ndarray | float = 1.0
    few: bool = False


class Behind(NamedTuple):
    """What is behind each of R rates in each of G groups.

    `patients` (R, G) are effective numbers: so many patients with equally many images tell as much (Kish, Survey
    Sampling, 1965). `images` (R, G, 2) are those of both classes for an AUC; else all are in the first place.
    """

    patients: np.ndarray
    images: np.ndarray

    @property
    def pairs(self) -> int:
        """Number of all pairs of groups in all rates."""
        return len(self.patients) * len(_pairs(self.patients.shape[1]))


class Own(NamedTuple):
    """The gap of one model: the ends of its 95 % interval, and whether it can be told from 0."""

    low: float
    high: float
    distinct: bool


def gap_rates(metric: str) -> Callable[[Resampled], np.ndarray]:
    """Return a function that reads a gap and its rates of a resampled model, (1 + R G, B), for `redrawn`.

    Raises:
        UsageError: on a metric that is not the mean of ranges over groups.
    """
    names = _ranges(metric)

    def read(model: Resampled) -> np.ndarray:
        rates = [model.aucs if name == "auc" else getattr(model.rates, name) for name in names]
        if len(rates[0]) < 2:
            return np.full((1 + len(names) * 2, 1), np.nan)
        size = np.mean([np.ptp(rate, axis=0) for rate in rates], axis=0)
        return np.array([size, *(group for rate in rates for group in rate)])

    return read


def gap_of(values: np.ndarray, metric: str, behind: Behind) -> Gap:
    """Return the gap whose size and rates (1 + R G, B) were read by `gap_rates`, or are weighted means of such."""
    rates = values[1:].reshape(*behind.patients.shape, values.shape[1])
    one, other = np.array(_pairs(rates.shape[1])).T
    patients = _of_both(behind.patients[:, one], behind.patients[:, other])
    known = np.isfinite(rates)
    mean = (np.where(known, rates, 0.0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)).clip(0, 1)
    edge = known.any(axis=2) & (np.minimum(mean, 1 - mean) < NO_SPREAD) & (behind.patients < FEWEST)
    rare = behind.patients * np.minimum(mean, 1 - mean) < 1
    equal = np.where(rare[:, one] | rare[:, other], _equal(mean, behind.images, metric, one, other), 1.0)
    return Gap(values[0], rates[:, one] - rates[:, other], patients, equal, bool(edge.any()))


def _of_both(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the patients behind differences, from those of both groups, after Welch (Biometrika 29, 1938)."""
    n, m = np.maximum(one, 2), np.maximum(other, 2)
    return 1 + (1 / n + 1 / m) ** 2 / (1 / (n**2 * (n - 1)) + 1 / (m**2 * (m - 1)))


def _equal(mean: np.ndarray, images: np.ndarray, metric: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return by what factor the standard errors of differences are larger if both rates are that of both groups."""
    n = images.prod(axis=2) if _ranges(metric) == ("auc",) else images[:, :, 0]
    both = (n[:, one] * mean[:, one] + n[:, other] * mean[:, other]) / np.maximum(n[:, one] + n[:, other], 1)

    def variance(rate: np.ndarray, group: np.ndarray) -> np.ndarray:
        return _variance(rate, images[:, group], metric)

    own = variance(mean[:, one], one) + variance(mean[:, other], other)
    equal = variance(both, one) + variance(both, other)
    # Rates of 0 in one group and 1 in the other never vary: nothing is told of them.
    return np.sqrt(np.maximum(1.0, np.divide(equal, own, where=own > 0, out=np.where(equal > 0, np.inf, 1.0))))


def _variance(rate: np.ndarray, images: np.ndarray, metric: str) -> np.ndarray:
    """Return the variance of rates, or of AUCs (Hanley & McNeil, Radiology 143, 1982), of independent images."""
    first, second = np.maximum(images, 1).transpose(2, 0, 1)
    if _ranges(metric) != ("auc",):
        return rate * (1 - rate) / first
    two_positives, two_negatives = rate / (2 - rate) - rate**2, 2 * rate**2 / (1 + rate) - rate**2
    return (rate * (1 - rate) + (second - 1) * two_positives + (first - 1) * two_negatives) / (first * second)


def behind_rates(sample: Sample, metric: str) -> Behind:
    """Return the images of a sample, and the effective numbers of its patients, behind each rate of a gap."""
    counts = np.zeros((sample.groups, 2, sample.patients))
    known = np.asarray(sample.a >= 0)
    np.add.at(counts, (sample.a[known], sample.y[known], sample.patient[known]), 1)
    counts = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
    images = counts.sum(axis=2)
    patients = images**2 / np.maximum((counts**2).sum(axis=2), 1)
    found = []
    for name in _ranges(metric):
        if name == "auc":
            both = images[:, :2].min(axis=1) > 0
            found.append((patients[both, :2].min(axis=1), images[both, :2]))
        else:
            at = {"fpr": 0, "tpr": 1, "selection": 2}[name]
            found.append((patients[:, at], np.column_stack([images[:, at], 0 * images[:, at]])))
    if len(found[0][0]) < 2:  # no gap, for which `gap_rates` has as many rows as for two groups
        found = [(np.zeros(2), np.zeros((2, 2)))] * len(found)
    return Behind(*map(np.array, zip(*found, strict=True)))


def _pairs(groups: int) -> list[tuple[int, int]]:
    return list(combinations(range(groups), 2))


def _ranges(metric: str) -> tuple[str, ...]:
    if found := METRICS[metric].ranges:
        return found
    known = ", ".join(name for name, one in METRICS.items() if one.ranges)
    raise UsageError(f"{metric} is not compared as a gap: possible are {known}")


def gap_difference(one: Gap, other: Gap, level: float = LEVEL, wider: float = 1.0) -> Interval:
    """Return interval, two-sided p and standard error of gap `one` less gap `other`, on the same bootstrap samples.

    p is the smallest level at which the interval excludes 0. Samples in which a rate is undefined are left out. All
    values are NaN if these are more than `LEVEL` of all, or if a gap has too `few` patients. The standard error is half
    of the interval's width, divided by the quantile of the normal distribution. `wider` spreads all distributions, see
    `bench.scoring.retraining`.
    """
    defined = np.isfinite(one.size) & np.isfinite(other.size)
    kept = int(defined.sum())
    if kept < (1 - LEVEL) * len(defined) or kept < 2 or one.few or other.few:
        return Interval(np.nan, np.nan, np.nan, np.nan, kept)
    one, other = _kept(one, defined), _kept(other, defined)
    high, smaller = _end(one, other, level, wider)
    low, larger = _end(other, one, level, wider)
    error = (high + low) / (-2 * ndtri(level / 2))
    return Interval(-low, high, min(smaller, larger), float(error), kept)


def own_gap(gap: Gap, level: float = LEVEL) -> Own:
    """Return the interval of a gap: from the quantile of its lower bound to that of the gap as defined.

    The lower end is 0 where the gap cannot be told from 0. All is NaN and false as for `gap_difference`.
    """
    defined = np.isfinite(gap.size)
    if gap.few or defined.sum() < max(2, (1 - LEVEL) * len(defined)):
        return Own(np.nan, np.nan, False)
    gap = _kept(gap, defined)
    lead = _leading(gap, 1.0)
    count = int((lead.enters <= level).sum())
    low = float(np.quantile(_wider(lead.bound(count), lead.wider[:count].max()), level / 2)) if count else 0.0
    return Own(max(low, 0.0), _largest(gap, level), count > 0)


class _Leading(NamedTuple):
    """The part that stands for each rate, turned to be positive, (R, B), in the order in which rates begin to count.

    A rate counts from a level on, `enters` (R,); these are Bonferroni's for all parts. `wider` (R,) is by how much its
    distribution is spread.
    """

    parts: np.ndarray
    enters: np.ndarray
    wider: np.ndarray

    def bound(self, count: int) -> np.ndarray:
        """Return the lower bound of the gap if the first `count` rates count, (B,)."""
        return self.parts[:count].sum(axis=0) / len(self.parts)


def _end(one: Gap, other: Gap, level: float, spread: float) -> tuple[float, float]:
    """Return the upper end of gap `one` less the lower bound of `other`, and the smallest level at which it is < 0."""
    lead = _leading(other, spread)
    high, p = _largest(one, level, spread), 1.0
    # With a rising level one rate after the other counts; the last of those that count at `level` decides on the end.
    leaves = [*lead.enters[1:], np.inf]
    for count, (first, last) in enumerate(zip(lead.enters, leaves, strict=True), start=1):
        difference = _wider(one.size - lead.bound(count), lead.wider[:count].max())
        tail = min(1.0, 2 * (np.count_nonzero(difference >= 0) + 1) / (len(difference) + 1))
        if tail < last:
            p = min(p, max(first, tail))
        if first <= level < last:
            high = float(np.quantile(difference, 1 - level / 2))
    return high, float(p)


def _largest(gap: Gap, level: float, spread: float = 1.0) -> float:
    """Return the upper end of the interval of a gap."""
    return float(np.quantile(_wider(gap.size, spread * _widening(gap.patients, level).min()), 1 - level / 2))


def _leading(gap: Gap, spread: float) -> _Leading:
    rates, pairs, draws = gap.parts.shape
    count = rates * pairs
    wider = spread * _widening(gap.patients, LEVEL / count)
    parts = _wider(gap.parts, np.minimum(wider * gap.equal, 1e6)[:, :, None])
    low, high = np.quantile(parts, [LEVEL / (2 * count), 1 - LEVEL / (2 * count)], axis=2)
    chosen = np.arange(rates), np.maximum(low, -high).argmax(axis=1)
    turn = np.where(low >= -high, 1, -1)[chosen][:, None]
    below = np.count_nonzero(turn * parts[chosen] <= 0, axis=1)
    enters = np.minimum(1.0, 2 * count * (below + 1) / (draws + 1))
    enters[np.isinf(np.broadcast_to(gap.equal, wider.shape)[chosen])] = 1.0
    order = np.argsort(enters, kind="stable")
    return _Leading((turn * gap.parts[chosen])[order], enters[order], wider[chosen][order])


def _widening(patients: np.ndarray, level: float) -> np.ndarray:
    """Return by what factor percentile intervals over few patients are too narrow.

    The bootstrap divides by n instead of n - 1 and takes the normal distribution for Student's t (Hesterberg, What
    teachers should know about the bootstrap, The American Statistician 69, 2015).
    """
    n = np.maximum(patients, 2)
    return np.sqrt(n / (n - 1)) * stdtrit(n - 1, 1 - level / 2) / ndtri(1 - level / 2)


def _wider(values: np.ndarray, factor: np.ndarray | float) -> np.ndarray:
    """Spread the distribution of values (..., B) about its mean; equal numbers must not differ by rounding."""
    mean = values.mean(axis=-1, keepdims=True)
    return (mean + factor * (values - mean)).round(12)


def _kept(gap: Gap, defined: np.ndarray) -> Gap:
    return gap._replace(size=gap.size[defined], parts=gap.parts[:, :, defined])
