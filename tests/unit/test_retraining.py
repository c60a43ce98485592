"""Folds that are drawn together with patients: hand values, and the variance of their mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.scoring.retraining import drawn_folds, over_folds, student_factor


def test_each_sample_is_the_mean_of_its_folds() -> None:
    values = np.arange(24, dtype=float).reshape(3, 2, 4)  # folds, quantities, samples
    chosen = np.array([[0, 1, 2, 2], [0, 2, 1, 2]])
    found = over_folds(values, chosen)
    assert found[:, 0].tolist() == values[0, :, 0].tolist()
    assert found[:, 1].tolist() == ((values[1, :, 1] + values[2, :, 1]) / 2).tolist()
    assert found[:, 3].tolist() == values[2, :, 3].tolist()


def test_one_fold_less_is_drawn_so_that_the_variance_of_the_mean_is_right() -> None:
    by_fold = np.array([0.1, 0.4, 0.2, 0.9, 0.3])
    chosen = drawn_folds(5, 200_000, 1)
    assert chosen.shape == (4, 200_000)
    means = over_folds(np.broadcast_to(by_fold[:, None, None], (5, 1, 200_000)), chosen)[0]
    assert means.var() == pytest.approx(by_fold.var(ddof=1) / 5, rel=0.02)


def test_the_factor_is_students_if_folds_alone_vary_and_1_if_patients_do() -> None:
    by_fold = np.broadcast_to(np.array([0.1, 0.4, 0.2, 0.9, 0.3])[:, None], (5, 100))
    spread = np.sqrt(by_fold[:, 0].var(ddof=1) / 5)
    normal = stats.norm.ppf(0.975)
    alone = spread * np.tile([1.0, -1.0], 50)
    assert student_factor(by_fold, alone) == pytest.approx(stats.t.ppf(0.975, 4) / normal)
    assert student_factor(by_fold, 2 * alone) == pytest.approx(stats.t.ppf(0.975, 4 * 16) / normal)
    assert student_factor(np.ones((5, 100)), alone) == 1.0
