"""Ties of balanced accuracy are counted in whole numbers, once, for methods and for the tuned threshold."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.methods._selection import measure
from bench.scoring.threshold import logit_of, predicted_positive, tune_threshold
from tests.unit import whole


def test_a_tie_that_rounding_would_break():
    z = [-0.6, -2.7, -0.7, 0.9, -1.9, -1.8, 0.9, 1.8]
    y, a = [1, 1, 1, 1, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0]
    found = measure(torch.tensor(z), torch.tensor(y).float(), torch.tensor(a))
    assert found.threshold == tune_threshold(np.float32(z), np.array(y)) == 0.15
    assert found.gap == pytest.approx(0.8)
    assert found.balanced_accuracy == pytest.approx(7 / 12)


@given(st.lists(st.tuples(st.integers(-30, 30), st.integers(0, 1), st.integers(0, 1)), min_size=4, max_size=12))
def test_both_take_the_first_of_equal_accuracies(rows):
    z, y, a = np.array([row[0] for row in rows]) / 10, *(np.array([row[k] for row in rows]) for k in (1, 2))
    assume({(1, 0), (1, 1)} <= set(zip(y, a, strict=True)) and 0 in y)
    threshold, gap, accuracy = whole.measured("true_positive", z, y, a)
    found = measure(torch.tensor(z), torch.tensor(y).float(), torch.tensor(a))
    assert found.threshold == tune_threshold(z, y) == threshold
    assert (found.gap, found.balanced_accuracy) == pytest.approx((gap, accuracy))


def test_a_logit_of_single_precision_is_compared_with_the_threshold_itself():
    """The nearest float32 to a threshold lies above it or below it; it is not equal to it."""
    for step in range(1, 100):
        near = np.float32(logit_of(step / 100))
        assert predicted_positive(np.array([near]), step / 100)[0] == (float(near) > logit_of(step / 100))
        found = tune_threshold(np.array([near, np.float32(-40)]), np.array([1, 0]))
        assert predicted_positive(np.array([near]), found)[0]
