"""Test sets of which the truth is known: clustered patients, and models with chosen rates in each group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from bench.scoring.bootstrap import Sample

PREVALENCE = 0.35
SIGNAL = 1.2257
"""Distance of positives from negatives in standard deviations: TPR .73 and FPR .27 halfway between them."""
_PATIENT, _IMAGE, _MODEL = 0.3, 0.4, 0.3
"""Shares of the variance of logits within a class: of the patient, of the image, of the trained model."""


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    `shift` moves its logits, `spread` those of the first group against those of the last, and `signals` are the
    distances of the classes in each group. With `lean`, folds differ: each is shifted by chance, as by a threshold
    that was tuned on few images, and `opposed` folds favour the one or the other group by turns.
    """

    shift: float = 0.0
    spread: float = 0.0
    signals: tuple[float, ...] = ()
    lean: float = 0.0
    opposed: bool = False

    def shifts(self, rng: np.random.Generator, folds: int, groups: int) -> np.ndarray:
        """Return the shift of the logits of each fold and group, (K, G)."""
        turn = (-1) ** np.arange(folds) if self.opposed else np.ones(folds)
        apart = np.outer(turn, np.linspace(1, -1, groups)) * self.spread
        return self.shift + apart + self.lean * rng.normal(size=(folds, 1))

    def signal(self, groups: int) -> np.ndarray:
        """Return the distance of the classes in each group, (G,)."""
        return np.array(self.signals or (SIGNAL,) * groups)


@dataclass(frozen=True)
class World:
    """A test set: number of patients, shares of the groups, and number of folds.

    A patient has 1 to `images` images or, with `heavy`, few or very many. Logits are multiples of `step`, if it is
    given, so that many scores are equal.
    """

    patients: int
    shares: tuple[float, ...] = (0.5, 0.5)
    folds: int = 5
    images: int = 6
    heavy: bool = False
    step: float = 0.0

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw patients with their images, whose labels are correlated."""
        images = rng.integers(1, self.images + 1, size=self.patients)
        if self.heavy:
            images = np.ceil(rng.lognormal(0.3, 1.3, size=self.patients)).astype(int).clip(1, 300)
        patient = np.repeat(np.arange(self.patients), images)
        group = rng.choice(len(self.shares), p=self.shares, size=self.patients)
        chance = rng.beta(2 * PREVALENCE, 2 * (1 - PREVALENCE), size=self.patients)
        y = (rng.random(len(patient)) < chance[patient]).astype(np.int8)
        return Sample(y, group[patient], patient, len(self.shares))

    def models(self, rng: np.random.Generator, sample: Sample, kinds: list[Kind]) -> tuple[np.ndarray, np.ndarray]:
        """Return logits (kinds, K, N) of all folds, and the shifts (kinds, K, G) of which they are made."""
        n = len(sample.y)
        shared = np.sqrt(_PATIENT) * rng.normal(size=sample.patients)[sample.patient]
        shared += np.sqrt(_IMAGE) * rng.normal(size=n)
        shifts = np.array([kind.shifts(rng, self.folds, sample.groups) for kind in kinds])
        own = np.sqrt(_MODEL) * rng.normal(size=(len(kinds), self.folds, n))
        signal = np.array([kind.signal(sample.groups) for kind in kinds])
        distance = signal[:, None, sample.a] * (sample.y - 0.5)
        logits = distance + shared + own + shifts[:, :, sample.a]
        if self.step:  # a rounded logit is above 0 if the logit is above half a step
            return (logits / self.step).round() * self.step, shifts - self.step / 2
        return logits, shifts


def true_gap(kind: Kind, shifts: np.ndarray, metric: str) -> float:
    """Return the gap of a kind among all patients, the mean over folds; `shifts` (K, G) are those of its models."""
    half = kind.signal(shifts.shape[1]) / 2
    tpr, fpr = ndtr(half + shifts), ndtr(-half + shifts)
    rates = {
        "spd": [PREVALENCE * tpr + (1 - PREVALENCE) * fpr],
        "eodds": [tpr, fpr],
        "gap_auc": [ndtr(2 * half / np.sqrt(2)) + 0 * shifts],
    }[metric]
    return float(np.mean([np.ptp(rate, axis=1) for rate in rates]))
