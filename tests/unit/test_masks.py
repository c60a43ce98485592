"""Importances and masks against hand-computed values. SWiFT, Eqs. 5-9 and 12."""

import math

import pytest
import torch

from bench.errors import NonFinite
from bench.learn import masks
from bench.methods.swift import reset_share

D = {"bias": torch.tensor([0.0, 1, 4, 3]), "prediction": torch.tensor([2.0, 1, 0, 4])}


def ratio(bias=D["bias"], prediction=D["prediction"]):
    return masks.importance_ratio({"w": bias}, {"w": prediction})["w"]


def test_example_d():
    r = ratio()
    torch.testing.assert_close(r, torch.tensor([0, 1, 1e10, 0.75]), rtol=1e-6, atol=0)
    m = masks.soft_mask({"w": r})["w"]
    torch.testing.assert_close(m, torch.tensor([0, 0.761594, 1, 0.635149]), rtol=0, atol=5e-7)
    assert m.mean().item() == pytest.approx(0.599186, abs=5e-7)
    weight = torch.tensor([1.0, 2, 3, 4])
    share = reset_share(weight, m)
    assert torch.equal(weight, torch.tensor([1.0, 0, 0, 0]))
    assert share == 0.75


@pytest.mark.parametrize("seed", range(20))
def test_extreme_entries_and_range(seed):
    g = torch.Generator().manual_seed(seed)
    bias, prediction = torch.rand(50, generator=g), torch.rand(50, generator=g)
    m = torch.tanh(ratio(bias, prediction))
    assert ((m >= 0) & (m <= 1)).all()
    assert m[bias.argmin()] == 0
    assert m[prediction.argmin()] == (0 if prediction.argmin() == bias.argmin() else 1)
    one = math.tanh(1)
    assert m[prediction.argmax()] <= one + 1e-6
    assert m[bias.argmax()] >= one - 1e-6


def test_affine_changes_of_an_importance_change_nothing():
    g = torch.Generator().manual_seed(0)
    bias, prediction = (
        torch.rand(50, generator=g, dtype=torch.float64),
        torch.rand(50, generator=g, dtype=torch.float64),
    )
    torch.testing.assert_close(ratio(3 * bias + 1, 0.5 * prediction + 2), ratio(bias, prediction), rtol=1e-6, atol=1e-8)


def test_a_constant_tensor_keeps_its_raw_values():
    m = masks.soft_mask({"b": ratio(torch.tensor([2.5e-7]), torch.tensor([1e-6]))})["b"]
    assert m.item() == pytest.approx(0.2449, abs=5e-5)
    assert ratio(torch.zeros(3), torch.tensor([1.0, 2, 3])).tolist() == [0, 0, 0]


def test_tanh_saturates_in_float32_so_hard_masks_rank_the_ratio():
    assert torch.tanh(torch.tensor(9.02)).item() == 1.0
    assert torch.tanh(torch.tensor(8.0)).item() < 1.0
    r = {"features.w": torch.tensor([1e3, 1e6, 1e9, 0.1]), "head.w": torch.tensor([1e12])}
    m = masks.hard_mask(r, 0.5, ["features.w"])
    assert m["features.w"].tolist() == [0, 1, 1, 0]
    assert m["head.w"].tolist() == [0]


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.9, 1])
def test_hard_masks_count_exactly_even_with_ties(rate):
    r = {"a": torch.zeros(7), "b": torch.ones(3, 3), "c": torch.zeros(4)}
    m = masks.hard_mask(r, rate, r)
    assert sum(int(v.sum()) for v in m.values()) == round(rate * 20)
    assert {v for t in m.values() for v in t.flatten().tolist()} <= {0.0, 1.0}


def test_a_ratio_that_is_not_finite_names_its_tensor():
    with pytest.raises(NonFinite, match="ratio of w"):
        ratio(torch.tensor([0.0, float("nan")]), torch.ones(2))


def test_a_constant_head_mask_resets_nothing():
    weight = torch.ones(4)
    assert reset_share(weight, torch.full((4,), 0.5)) == 0
    assert torch.equal(weight, torch.ones(4))


@pytest.mark.parametrize("seed", range(10))
def test_reset_takes_between_one_and_all_but_one_entries(seed):
    m = torch.rand(30, generator=torch.Generator().manual_seed(seed))
    weight = torch.randn(30)
    before = weight.clone()
    reset_share(weight, m)
    chosen = m >= m.mean()
    assert 1 <= int(chosen.sum()) <= 29
    assert (weight[chosen] == 0).all()
    assert torch.equal(weight[~chosen], before[~chosen])
