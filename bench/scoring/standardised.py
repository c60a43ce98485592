"""Gaps at a common mix: rates of groups as they would be if all groups had the same mix of strata (views, sites, ...).

A gap may come from the mix: if one group is seen more often in a view in which all models do badly, groups differ
though within each view they do not. Direct standardisation takes that part away. Within each label, the rate of a group
is the mean of its rates in the strata, weighted by the mix of all groups together:

    TPR_g = sum_s m_1s TPR_gs,   FPR_g = sum_s m_0s FPR_gs,   m_ys = n_ys / sum_s n_ys,

n_ys the images of label y in stratum s. A stratum enters for a label if every group has at least `LEAST` images of it.
The images of the others are left out of the gap as it is, too, so that both gaps are of the same images. The mix is
that of the test set and is fixed: bootstrap samples move rates alone. Rates of few images make a mean uncertain, which
its interval shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.scoring.bootstrap import Resampled
from bench.scoring.gaps import Behind
from bench.scoring.threshold import predicted_positive

METRIC = "eodds"
LEAST = 10
"""Images of a label and stratum that every group must have."""


@dataclass(frozen=True)
class Mix:
    """The strata of a set: images by group, stratum and label (G, S, 2), and which strata enter for a label (S, 2)."""

    images: np.ndarray
    enters: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, a: np.ndarray, stratum: np.ndarray, groups: int, strata: int) -> Mix:
        """Count images with label y, group a and stratum (N,); -1: not known."""
        known = (a >= 0) & (stratum >= 0)
        code = (a[known] * strata + stratum[known]) * 2 + y[known]
        images = np.bincount(code, minlength=groups * strata * 2).reshape(groups, strata, 2)
        return cls(images, images.min(axis=0) >= LEAST)

    @property
    def defined(self) -> bool:
        """Whether a stratum enters for each label."""
        return bool(self.enters.any(axis=0).all())

    @property
    def shares(self) -> np.ndarray:
        """The common mix m, (S, 2); 0 for strata that do not enter."""
        kept = self.images.sum(axis=0) * self.enters
        return kept / kept.sum(axis=0)

    def cells(self, y: np.ndarray, a: np.ndarray, stratum: np.ndarray) -> np.ndarray:
        """Return group and stratum of each image as one number, (N,); -1 where it does not enter."""
        known = (a >= 0) & (stratum >= 0)
        enters = known & self.enters[np.where(known, stratum, 0), y]
        return np.where(enters, a * self.enters.shape[0] + stratum, -1)

    def values(self, positives: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gap as it is and at the common mix, each with its rates as `bench.scoring.gaps.gap_of` reads them.

        `positives` and `images` (G S, 2, B) count those that are predicted positive, and all, by cell and label.
        """
        shape = (*self.images.shape, positives.shape[2])
        positives, images = positives.reshape(shape), images.reshape(shape)
        with np.errstate(invalid="ignore", divide="ignore"):
            enters = self.enters[None, :, :, None]
            crude = (positives * enters).sum(axis=1) / (images * enters).sum(axis=1)
            of_strata = np.where(enters, positives / images, 0.0)
            common = (self.shares[None, :, :, None] * of_strata).sum(axis=1)
        return _with_gap(crude), _with_gap(common)

    def behind(self, y: np.ndarray, cell: np.ndarray, patient: np.ndarray, *, common: bool) -> Behind:
        """Return the effective numbers of patients and images behind each rate; `common`: weighted to the mix."""
        groups, strata, _ = self.images.shape
        kept = cell >= 0
        group, stratum, label, owner = cell[kept] // strata, cell[kept] % strata, y[kept], patient[kept]
        weight = np.ones(len(label))
        if common:
            own = self.images * self.enters / (self.images * self.enters).sum(axis=1, keepdims=True)
            weight = self.shares[stratum, label] / own[group, stratum, label]
        by_patient = np.zeros((2, groups, int(patient.max()) + 1))
        sums, squares = np.zeros((2, groups)), np.zeros((2, groups))
        np.add.at(by_patient, (1 - label, group, owner), weight)  # TPR first, as in the gap
        np.add.at(sums, (1 - label, group), weight)
        np.add.at(squares, (1 - label, group), weight**2)
        images, patients = sums**2 / squares, sums**2 / (by_patient**2).sum(axis=2)
        return Behind(patients, np.stack([images, 0 * images], axis=2))


def _with_gap(rates: np.ndarray) -> np.ndarray:
    """Return EOdds, then TPR and FPR of each group, (1 + 2 G, B), from rates (G, 2, B) of labels 0 and 1."""
    ordered = rates.transpose(1, 0, 2)[::-1]
    return np.concatenate([np.ptp(ordered, axis=1).mean(axis=0)[None], ordered.reshape(-1, rates.shape[2])])


def reader(mix: Mix) -> Callable[[Resampled], np.ndarray]:
    """Return a function for `redrawn`, on a sample whose groups are cells: both of `Mix.values`, (2 (1 + 2 G), B)."""

    def read(model: Resampled) -> np.ndarray:
        positives = model.model.positives(model.weights)[:-1]
        return np.concatenate(mix.values(positives, model.images[:-1]))

    return read


def point(mix: Mix, logit: np.ndarray, y: np.ndarray, cell: np.ndarray) -> tuple[float, float]:
    """Return the gap of a model as it is and at the common mix."""
    kept = cell >= 0
    size = mix.images.shape[0] * mix.images.shape[1]
    code = cell[kept] * 2 + y[kept]
    images = np.bincount(code, minlength=2 * size).reshape(size, 2, 1)
    positives = np.bincount(code, predicted_positive(logit[kept]), 2 * size).reshape(size, 2, 1)
    crude, common = mix.values(positives, images)
    return float(crude[0, 0]), float(common[0, 0])
