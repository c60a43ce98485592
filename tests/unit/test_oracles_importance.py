"""Fisher terms against one backward pass per sample, masks against loops, and what follows from Eq. 9.

The networks are in float64, so that 1e-6 tells an error from rounding.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.checks.subject import RECIPE, random_run
from bench.data.image_split import ImageSplit
from bench.learn import importance, masks
from bench.methods.swift import SWiFT
from tests.unit import nets, slow


class Images(ImageSplit):
    """A split in float64 whose images x (N, 3, H, W) are given as they are."""

    def __init__(self, x, y, a):
        super().__init__("external", np.zeros((len(x), 1, 1, 1), np.uint8), range(len(x)), y, a, list(map(str, y)))
        self.x, self.y = x, self.y.double()

    def images(self, index, augmentation=None):
        return self.x[index]


def random_images(n, size, seed=0):
    """Images of both classes and groups, at random: small batches lack cells now and then."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, size, size, generator=g, dtype=torch.float64)
    return Images(x, (torch.arange(n) % 3 == 0).long(), torch.randint(0, 2, (n,), generator=g))


def fisher(net, data, batch):
    """Both importances of the suite, and the batches from which they come."""
    run = random_run(SWiFT(), "swift", recipe=dataclasses.replace(RECIPE, batch=batch))
    run._opened["external"] = data
    batches = list(data.batches(size=batch, shuffle=True, rng=run.rng("fisher", shared=True)))
    return importance.fisher_importances(run, net, "external"), batches


def close(fast, expected):
    """Within 1e-6, relative; sums over samples that cancel to nothing are held against their tensor's largest."""
    largest = float(abs(expected).max())
    torch.testing.assert_close(fast, torch.from_numpy(expected), rtol=1e-6, atol=1e-14 * largest)


@pytest.mark.parametrize("name", nets.NETS)
def test_fisher_terms(name):
    net = nets.settled(nets.NETS[name]).double()
    n, size, batch = (7, 32, 4) if name == "resnet18" else (22, 16, 5)
    buffers = {key: value.clone() for key, value in net.named_buffers()}
    found, batches = fisher(net.train(), random_images(n, size), batch)
    for fast, expected in zip(found, slow.fisher(net, batches), strict=True):
        assert list(fast) == list(expected)
        for parameter, value in fast.items():
            close(value, expected[parameter])
    assert all(torch.equal(value, buffers[key]) for key, value in net.named_buffers())


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_without_a_term_counts_in_the_divisor(seed):
    """Batches of two define the proxy rarely, batches of one never."""
    net = nets.settled(nets.NETS["two layers"], seed).double()
    for batch in (1, 2):
        (bias, prediction), batches = fisher(net, random_images(9, 16, seed), batch)
        for fast, expected in zip((bias, prediction), slow.fisher(net, batches), strict=True):
            for parameter, value in fast.items():
                close(value, expected[parameter])
        if batch == 1:
            assert not any(value.any() for value in (*bias.values(), *prediction.values()))


IMPORTANCE = st.one_of(st.floats(0, 1), st.floats(1e-12, 1e-6), st.sampled_from([0.0, 0.25, 1.0, 1e3]))
PAIRS = st.lists(st.tuples(IMPORTANCE, IMPORTANCE), min_size=1, max_size=30)


def columns(pairs):
    bias, prediction = zip(*pairs, strict=True)
    return torch.tensor(bias, dtype=torch.float64), torch.tensor(prediction, dtype=torch.float64)


def ratio_of(bias, prediction):
    return masks.importance_ratio({"w": bias}, {"w": prediction})["w"]


def mask_of(bias, prediction):
    return masks.soft_mask({"w": ratio_of(bias, prediction)})["w"]


@given(PAIRS)
def test_ratio_and_soft_mask(pairs):
    expected = slow.importance_ratio(*zip(*pairs, strict=True))
    ratio = ratio_of(*columns(pairs))
    assert ratio.tolist() == pytest.approx(expected, rel=1e-6, abs=0)
    assert masks.soft_mask({"w": ratio})["w"].tolist() == pytest.approx(slow.soft_mask(expected), rel=1e-6, abs=0)


TENSORS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=12), min_size=1, max_size=4)


@given(TENSORS, st.sampled_from([0.0, 0.04, 0.1, 0.35, 0.5, 0.77, 0.9, 1.0]))
def test_hard_mask_takes_the_first_of_the_largest(tensors, rate):
    ratio = {f"features.{k}": torch.tensor(values, dtype=torch.float64) for k, values in enumerate(tensors)}
    flat = [value for values in tensors for value in values]
    mask = masks.hard_mask({**ratio, "head.weight": torch.full((3,), 9.0)}, rate, ratio)
    assert torch.cat([mask[name] for name in ratio]).tolist() == slow.hard_mask(flat, round(rate * len(flat)))
    assert mask["head.weight"].tolist() == [0, 0, 0]


def spread(values):
    """Scale to [0, 1], where the range is far above the 1e-10 that the equations add to it."""
    low, high = values.min(), values.max()
    assume(high - low > 1e-3)
    return (values - low) / (high - low)


@given(PAIRS)
def test_extreme_entries(pairs):
    bias, prediction = columns(pairs)
    mask, one, scaled = mask_of(bias, prediction), math.tanh(1), (spread(bias), spread(prediction))
    assert ((mask >= 0) & (mask <= 1)).all()
    assert (mask[scaled[0] == 0] == 0).all()
    assert (mask[(scaled[0] > 1e-8) & (scaled[1] == 0)] == 1).all()
    assert (mask[prediction == prediction.max()] <= one + 1e-6).all()
    assert (mask[bias == bias.max()] >= one - 1e-6).all()


@given(PAIRS, st.floats(0.1, 1e3), st.floats(0, 10), st.booleans())
def test_affine_changes(pairs, factor, offset, of_bias):
    bias, prediction = columns(pairs)
    changed = (factor * bias + offset, prediction) if of_bias else (bias, factor * prediction + offset)
    scaled = spread(bias), spread(prediction)
    # Where both are next to 0 their quotient is made of rounding and of the 1e-10 in the denominator.
    steady = (scaled[1] > 1e-4) | (scaled[1] == 0) & ((scaled[0] == 0) | (scaled[0] > 1e-8))
    assert ((mask_of(*changed) - mask_of(bias, prediction)).abs()[steady] <= 1e-5).all()


@given(IMPORTANCE, IMPORTANCE, st.integers(1, 5))
def test_constant_tensors_keep_their_raw_values(bias, prediction, n):
    mask = mask_of(*(torch.full((n,), value, dtype=torch.float64) for value in (bias, prediction)))
    assert mask.tolist() == pytest.approx([math.tanh(bias / (prediction + 1e-10))] * n, rel=1e-9)


@given(st.permutations(range(5)), st.integers(0, 3))
def test_permuting_the_channels_of_a_layer_permutes_its_mask(order, seed):
    """Weight, bias and BatchNorm of the first layer in another order, the second layer reading them in that order."""
    net, data = nets.settled(nets.NETS["two layers"], seed).double(), random_images(12, 16, seed)
    permuted = nets.settled(nets.NETS["two layers"], seed).double()
    with torch.no_grad():
        for name, tensor in permuted.state_dict().items():
            if name.startswith(("features.0.", "features.1.")) and tensor.dim():
                tensor.copy_(tensor[list(order)])
        permuted.features[4].weight.copy_(permuted.features[4].weight[:, list(order)])
    first, second = (masks.soft_mask(masks.importance_ratio(*fisher(given, data, 6)[0])) for given in (net, permuted))
    for name, mask in first.items():
        expected = mask[list(order)] if name.startswith(("features.0.", "features.1.")) else mask
        expected = expected[:, list(order)] if name == "features.4.weight" else expected
        torch.testing.assert_close(second[name], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["efficientnet block", "densenet block"])
def test_swapping_the_codes_of_the_groups_changes_no_mask(name):
    results = []
    for flip in (False, True):
        data = random_images(20, 16)
        data.a = 1 - data.a if flip else data.a
        net = nets.settled(nets.NETS[name]).double()
        results.append(masks.soft_mask(masks.importance_ratio(*fisher(net, data, 10)[0])))
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])
