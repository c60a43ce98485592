"""Edges that no network of a test reaches by itself: a score of a half, an undefined step, a mask equal to its mean."""

import numpy as np
import pytest
import torch

from bench import learn
from bench.methods.fullft_rw import FullFTRW
from bench.methods.swift import BIAS, WEIGHT, reset
from bench.scoring.metrics import evaluate
from tests.unit import whole


def test_a_zeroed_head_has_the_calibration_error_of_one_bin():
    """Every score is 0.5, which belongs to (0.4, 0.5]; so does a score of 0.45."""
    y, a = np.array([1, 0, 1, 0, 0, 0, 0, 0]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    error = lambda z: evaluate(z, y, a, ["a", "b"])["groups"]["a"]["calibration_error"]  # noqa: E731
    assert error(np.zeros(8)) == 0
    assert error(np.where(y == 1, np.log(0.45 / 0.55), 0.0)) == pytest.approx(abs(2 - (2 * 0.45 + 2 * 0.5)) / 4)
    assert error(np.where(y == 1, np.log(0.55 / 0.45), 0.0)) == pytest.approx((abs(2 - 2 * 0.55) + 2 * 0.5) / 4)


@pytest.mark.parametrize("apply", ["gradient", "update"])
@pytest.mark.parametrize("recipe", [whole.SGD, whole.ADAM], ids=["sgd", "adam"])
def test_an_undefined_step_moves_nothing_under_a_mask_either(recipe, apply):
    """With momentum and decay, neither the last gradient nor the weights themselves are used again."""
    run, states = whole.run_of(FullFTRW(), recipe), []

    def loss(z, y, a):
        states.append(whole.weights(run.model))
        return None if len(states) % 2 == 0 else learn.prediction_loss(z, y)

    mask = {name: torch.full_like(p, 0.5) for name, p in run.model.named_parameters()}
    how = learn.Training(mask=mask, apply=apply)
    learn.finetune(run, run.model, loss=loss, split="external", epochs=3, lr=0.1, how=how)
    states.append(whole.weights(run.model))
    for number in range(1, len(states)):
        moved = any((states[number][name] != states[number - 1][name]).any() for name in mask)
        assert moved is (number % 2 == 1)


@pytest.mark.parametrize(
    ("scope", "weight", "bias"),
    [
        ("weight", [False, True, True], False),  # at the mean or above it
        ("reference", [False, False, True], False),  # above it
        ("head_all", [False, True, True], True),  # the mean of all four is that of the weight
    ],
)
def test_an_entry_whose_mask_is_the_mean_itself(scope, weight, bias):
    mask, linear = {WEIGHT: torch.tensor([[0.25, 0.5, 0.75]]), BIAS: torch.tensor([0.5])}, torch.nn.Linear(3, 1)
    torch.nn.init.ones_(linear.weight)
    torch.nn.init.ones_(linear.bias)
    reset(linear, "partial", mask, mask, scope)
    assert (linear.weight[0] == 0).tolist() == weight
    assert linear.bias.item() == (0 if bias else 1)
