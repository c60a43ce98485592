"""Importances and masks against hand-computed values. SWiFT, Eqs. 5-9 and 12."""

import math

import pytest
import torch

from bench.errors import NonFinite
from bench.learn import masks
from bench.methods.swift import BIAS, WEIGHT, reset

D = {"bias": torch.tensor([0.0, 1, 4, 3]), "prediction": torch.tensor([2.0, 1, 0, 4])}


def head(mask, bias=0.5, **choices):
    """Reset a head of ones under a mask; return weight and bias afterwards, and the facts."""
    layer = torch.nn.Linear(len(mask), 1)
    for parameter in layer.parameters():
        parameter.data.fill_(1.0)
    given = {WEIGHT: torch.as_tensor(mask)[None], BIAS: torch.tensor([bias])}
    facts = reset(layer, choices.pop("kind", "partial"), given, choices.pop("ranked", given), **choices)
    return layer.weight.data[0], float(layer.bias.data), facts


def ratio(bias=D["bias"], prediction=D["prediction"]):
    return masks.importance_ratio({"w": bias}, {"w": prediction})["w"]


def test_example_d():
    r = ratio()
    torch.testing.assert_close(r, torch.tensor([0, 1, 1e10, 0.75]), rtol=1e-6, atol=0)
    m = masks.soft_mask({"w": r})["w"]
    torch.testing.assert_close(m, torch.tensor([0, 0.761594, 1, 0.635149]), rtol=0, atol=5e-7)
    assert m.mean().item() == pytest.approx(0.599186, abs=5e-7)
    weight, _, facts = head(m)
    assert weight.tolist() == [1, 0, 0, 0]
    assert facts["reset_share"] == 0.75
    assert facts["gamma"] == pytest.approx(0.599186, abs=5e-7)


def test_example_d_with_z_scores_ranks_differently():
    scaling = masks.Scaling(normalise="zscore")
    zb, zl = (masks.scaled(D[kind], scaling) for kind in ("bias", "prediction"))
    torch.testing.assert_close(zb, torch.tensor([-1.0954, -0.5477, 1.0954, 0.5477]), rtol=0, atol=5e-5)
    torch.testing.assert_close(zl, torch.tensor([0.1464, -0.4392, -1.0247, 1.3175]), rtol=0, atol=5e-5)
    m = masks.soft_mask(masks.importance_ratio({"w": D["bias"]}, {"w": D["prediction"]}, scaling))["w"]
    torch.testing.assert_close(m, torch.tensor([0.9999993, 0.847502, 0.789101, 0.393335]), rtol=0, atol=5e-6)


def test_what_is_added_to_a_divisor_moves_it_away_from_0():
    """Added to -1e-10, 1e-10 would make it 0."""
    std = math.sqrt(2 / 3)  # of -1, 1, 0, 0, unbiased
    prediction = torch.tensor([-1.0, 1.0, -1e-10 * std, 1e-10 * std], dtype=torch.float64)
    bias = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    r = masks.importance_ratio({"w": bias}, {"w": prediction}, masks.Scaling(normalise="zscore"))["w"]
    # The z-scores of the bias are -+ sqrt(3/4).
    assert r.tolist() == pytest.approx([math.sqrt(3 / 4) * std] * 2 + [math.sqrt(3 / 4) / 2e-10] * 2, rel=1e-6)


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
    weight, bias, facts = head([0.5] * 4)
    assert (weight.tolist(), bias, facts["reset_share"]) == ([1.0] * 4, 1.0, 0)


@pytest.mark.parametrize("seed", range(10))
def test_reset_takes_between_one_and_all_but_one_entries(seed):
    m = torch.rand(30, generator=torch.Generator().manual_seed(seed))
    weight, bias, _ = head(m)
    chosen = m >= m.mean()
    assert 1 <= int(chosen.sum()) <= 29
    assert (weight[chosen] == 0).all()
    assert (weight[~chosen] == 1).all()
    assert bias == 1.0


def test_the_scope_of_the_reset_decides_about_the_bias_and_ties():
    """Means: 0.5 of the weight, (0.2 + 0.5 + 0.8 + 0.9) / 4 = 0.6 with the bias; the paper's `>=`, the code's `>`."""
    m = [0.2, 0.5, 0.8]
    assert head(m, 0.9, scope="weight")[:2] == (pytest.approx([1, 0, 0]), 1.0)
    weight, bias, facts = head(m, 0.9, scope="head_all")
    assert (weight.tolist(), bias, facts["gamma"]) == ([1, 1, 0], 0.0, pytest.approx(0.6))
    assert facts["reset_bias"] is True
    weight, bias, _ = head(m, 0.9, scope="reference")
    assert (weight.tolist(), bias) == ([1, 1, 0], 1.0)


def test_a_share_of_the_head_is_reset_by_rank_of_the_ratio_exactly_with_ties_by_position():
    m = torch.ones(10)  # tanh has saturated: only the ratio tells the entries apart
    ranked = {WEIGHT: torch.tensor([[5.0, 9, 1, 9, 9, 2, 3, 4, 6, 7]])}
    for share, zeros in ((0.1, [1]), (0.2, [1, 3]), (0.3, [1, 3, 4]), (0.9, [0, 1, 3, 4, 5, 6, 7, 8, 9]), (0.0, [])):
        weight, bias, facts = head(m, ranked=ranked, share=share)
        assert (weight == 0).nonzero().flatten().tolist() == zeros
        assert (bias, facts["reset_share"]) == (1.0, pytest.approx(share))


def test_full_and_no_reset():
    assert head([0.1, 0.9], kind="full")[:2] == (pytest.approx([0, 0]), 0.0)
    assert head([0.1, 0.9], kind="none")[:2] == (pytest.approx([1, 1]), 1.0)


def test_the_scope_of_the_scaling():
    """Alone, each tensor has an entry of 0 and one of 1; together only the extremes of all do."""
    bias = {"a.weight": torch.tensor([0.0, 2]), "a.bias": torch.tensor([4.0]), "b.weight": torch.tensor([8.0, 6])}
    ones = {name: torch.ones_like(v).cumsum(0) for name, v in bias.items()}  # 1, 2: min-max gives 0, 1
    for scope, expected in (
        ("tensor", {"a.weight": [0, 1], "a.bias": [4], "b.weight": [1, 0]}),
        ("module", {"a.weight": [0, 0.5], "a.bias": [1], "b.weight": [1, 0]}),
        ("global", {"a.weight": [0, 0.25], "a.bias": [0.5], "b.weight": [1, 0.75]}),
    ):
        ratio = masks.importance_ratio(bias, {k: 1 + 0 * v for k, v in ones.items()}, masks.Scaling(scope=scope))
        for name, values in expected.items():  # a constant divisor stays 1, so the ratio is the scaled numerator
            torch.testing.assert_close(ratio[name], torch.tensor(values).float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("constant", "r"), [("raw", 0.25), ("zero", 0.0), ("neutral", 1.0)])
def test_what_a_constant_tensor_becomes(constant, r):
    scaling = masks.Scaling(constant=constant)
    ratio = masks.importance_ratio({"b": torch.tensor([0.5])}, {"b": torch.tensor([2.0])}, scaling)
    assert ratio["b"].item() == pytest.approx(r)


def test_percentiles_clip_what_lies_outside():
    values = torch.arange(101.0)
    scaled = masks.scaled(values, masks.Scaling(normalise="percentile", low=10, high=60))
    torch.testing.assert_close(scaled, ((values - 10) / 50).clamp(0, 1))


def test_random_masks():
    net = torch.nn.Linear(50, 40)
    rng = lambda: torch.Generator().manual_seed(3)  # noqa: E731
    uniform, reference = (masks.random_mask(net, rng(), kind)["weight"] for kind in ("uniform", "reference"))
    assert abs(float(uniform.mean()) - 0.5) < 0.02
    assert float((uniform > 0.9).float().mean()) == pytest.approx(0.1, abs=0.02)
    # A ratio of two scaled Gaussians is about 1 and rarely near 0, so its tanh crowds about tanh(1) = 0.76.
    assert 0.65 < float(reference.median()) < 0.85
    assert float((reference < 0.1).float().mean()) < 0.02


def test_mask_displacement_is_the_correlation_of_mask_and_distance():
    before, mask = {"w": torch.zeros(5)}, {"w": torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])}
    for after, expected in ((mask["w"] * -3, 1.0), (0.6 - mask["w"], -1.0)):
        assert masks.mask_displacement(mask, before, {"w": after})["w"] == pytest.approx(expected)
    assert math.isnan(masks.mask_displacement(mask, before, {"w": torch.ones(5)})["w"])
