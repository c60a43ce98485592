"""What a method should make of a tiny network, computed in float64 from the equations, with differences for gradients.

The network is a convolution of one pixel, a ReLU, the mean over places and one linear unit. Images of one pixel look
the same under every flip and transpose. From the suite come the pixels, the first weights and the order of the images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.api import Method, Recipe
from bench.cells.identity import Cell
from bench.checks.subject import RECIPE
from bench.data.image_split import ImageSplit
from bench.net import Net
from bench.running.context import CellRun, SharedCache

Parameters = dict[str, np.ndarray]
Loss = Callable[[np.ndarray, np.ndarray, np.ndarray], float | None]
"""(z, y, a) -> the loss, None where it is undefined."""
CONV, BIAS, HEAD, HEAD_BIAS = "features.0.weight", "features.0.bias", "head.1.weight", "head.1.bias"
FEATURES, LAST = (CONV, BIAS), (HEAD, HEAD_BIAS)
WIDTH, MEAN, STD = 4, np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SGD = replace(RECIPE, batch=4, epochs=5, lr_extractor=0.03, lr_head=0.1, momentum=0.9, weight_decay=0.02, epsilon=0.2)
ADAM = replace(SGD, optimiser="adam")
SEEDS = {"bmft": 11, "swift": 2}
"""Seeds for which the first batch of a zeroed head has at most two images of a label in a group; their mean is exact."""
IMAGES = {"train": 9, "val": 26, "external": 17}


def split(name: str, side: int = 1, swapped: bool = False) -> ImageSplit:
    """Images of random pixels; a positive is brighter, and less so in group 1, or in group 0 if they are swapped."""
    n, rng = IMAGES[name], np.random.default_rng([side, len(name)])
    a, y = np.arange(n) % 2, np.arange(n) % 5 < 2
    pixels = rng.integers(0, 200, (n, side, side, 3)) + (y * (50 - 20 * a))[:, None, None, None]
    a = 1 - a if swapped else a
    return ImageSplit(name, pixels.astype(np.uint8), np.arange(n), y.astype(int), a, [f"{name}:{i}" for i in range(n)])


def net(seed: int = 0, dropout: float = 0.0) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(3, WIDTH, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        made = Net(nn.Sequential(*layers), WIDTH)
    made.head[0].p = dropout
    return made.eval()


def run_of(
    method: Method,
    recipe: Recipe = SGD,
    start: Net | None = None,
    cache: SharedCache | None = None,
    splits: Mapping[str, Callable[[], ImageSplit]] | None = None,
    side: int = 1,
    swapped: bool = False,
) -> CellRun:
    """Return the run of a method on the tiny images."""
    splits = splits or {name: functools.partial(split, name, side, swapped) for name in IMAGES}
    name = type(method).__module__.rpartition(".")[2]
    cell = Cell("tiny", "small", name, 0, SEEDS.get(name, 0))
    return CellRun(start or net(), recipe, splits, method.uses, cell, shared_cache=cache)


def weights(model: nn.Module) -> Parameters:
    return {name: p.detach().double().numpy() for name, p in model.named_parameters()}


def pixels(data: ImageSplit) -> np.ndarray:
    x = np.asarray(data._array)[data.rows] / 255
    return ((x - MEAN) / STD).transpose(0, 3, 1, 2)


def labels(data: ImageSplit) -> tuple[np.ndarray, np.ndarray]:
    return data.y.numpy().astype(float), data.a.numpy()


def stem(p: Parameters, x: np.ndarray) -> np.ndarray:
    return np.einsum("dc,nchw->ndhw", p[CONV][:, :, 0, 0], x) + p[BIAS][:, None, None]


def features(p: Parameters, x: np.ndarray) -> np.ndarray:
    return np.maximum(stem(p, x) * p.get("mask", 1.0), 0).mean((2, 3))


def logits(p: Parameters, x: np.ndarray) -> np.ndarray:
    return features(p, x) @ p[HEAD][0] + p[HEAD_BIAS][0]


# --- losses, as the papers write them ------------------------------------------------------------


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def prediction(z: np.ndarray, y: np.ndarray, a: np.ndarray, share: float | None = None, total: bool = False) -> float:
    """Eq. 1: negatives weigh positives and positives negatives; a mean, or a sum."""
    share = y.mean() if share is None else share
    each = -(1 - share) * y * np.log(sigmoid(z)) - share * (1 - y) * np.log(1 - sigmoid(z))
    return each.sum() if total else each.mean()


def strata(y: np.ndarray, a: np.ndarray, label: int) -> list[np.ndarray]:
    return [(y == label) & (a == group) for group in (0, 1)]


def proxy(z: np.ndarray, y: np.ndarray, a: np.ndarray) -> float | None:
    """Eqs. 2-4; a label that lacks a group is left out, and nothing is defined where both do."""
    means = [
        abs(np.log(sigmoid(z[zero])).mean() - np.log(sigmoid(z[one])).mean())
        for zero, one in (strata(y, a, 1), strata(y, a, 0))
        if zero.any() and one.any()
    ]
    return sum(means) if means else None


def half_signed(z: np.ndarray, y: np.ndarray, a: np.ndarray, scores: bool, empty: str) -> float:
    v = sigmoid(z) if scores else z
    gaps = []
    for zero, one in (strata(y, a, 1), strata(y, a, 0)):
        if empty == "zero_mean" or (zero.any() and one.any()):
            gaps.append(sum(sign * v[rows].mean() for sign, rows in ((1, zero), (-1, one)) if rows.any()))
    return 0.5 * abs(sum(gaps))


def blended(beta: float, bias: Loss = proxy, first: Callable[..., float] = prediction) -> Loss:
    """Eq. 10; a bias term that is undefined counts as 0 beside a prediction loss."""

    def loss(z: np.ndarray, y: np.ndarray, a: np.ndarray) -> float | None:
        gap = bias(z, y, a)
        if beta == 0:
            return gap
        return beta * first(z, y, a) + (1 - beta) * (gap or 0.0)

    return loss


def soft_gap(kind: str, z: np.ndarray, y: np.ndarray, a: np.ndarray) -> float | None:
    """The mean of the gaps of mean scores, group 0 - group 1, within the sets that `compared` returns."""
    pairs = compared(kind, y, a)
    gaps = [sigmoid(z[zero]).mean() - sigmoid(z[one]).mean() for zero, one in pairs if zero.any() and one.any()]
    return sum(gaps) / len(pairs) if gaps else None


def compared(kind: str, y: np.ndarray, a: np.ndarray) -> list[list[np.ndarray]]:
    if kind == "selection":
        return [[a == 0, a == 1]]
    return [strata(y, a, label) for label in ((1, 0) if kind == "equalised_odds" else (1,))]


def measured(kind: str, z: np.ndarray, y: np.ndarray, a: np.ndarray) -> tuple[float, float, float]:
    """The first threshold with the largest balanced accuracy, in whole fractions; the gap there; that accuracy."""
    best, chosen = (Fraction(-1), 0.0), z > np.inf
    for step in range(101):
        score = step / 100
        above = z > (np.log(score / (1 - score)) if 0 < step < 100 else np.inf * (1 if step else -1))
        hits, alarms = (Fraction(int(above[y == label].sum()), int((y == label).sum())) for label in (1, 0))
        if (hits + 1 - alarms) / 2 > best[0]:
            best, chosen = ((hits + 1 - alarms) / 2, score), above
    gaps = [chosen[zero].mean() - chosen[one].mean() for zero, one in compared(kind, y, a)]
    return best[1], float(sum(gaps) / len(gaps)), float(best[0])


# --- training ------------------------------------------------------------------------------------


def slopes(f: Callable[[Parameters], float], p: Parameters, names: Iterable[str], step: float = 1e-6) -> Parameters:
    """Return df/dp of every entry of the named parameters, by central differences."""
    found = {}
    for name in names:
        found[name] = np.zeros_like(p[name])
        for at in np.ndindex(p[name].shape):
            ends = []
            for sign in (1, -1):
                moved = {**p, name: p[name].copy()}
                moved[name][at] += sign * step
                ends.append(f(moved))
            found[name][at] = (ends[0] - ends[1]) / (2 * step)
        found[name][abs(found[name]) < 1e-9] = 0  # what Adam would make much of
    return found


class Optimiser:
    """SGD with momentum and weight decay, or Adam."""

    def __init__(self, lr: float, adam: bool = False, momentum: float = 0.0, decay: float = 0.0) -> None:
        self.lr, self.adam, self.momentum, self.decay = lr, adam, momentum, decay
        self.first: Parameters = {}
        self.second: Parameters = {}
        self.steps = 0

    def step(self, p: Parameters, g: Parameters) -> None:
        self.steps += 1
        for name, gradient in g.items():
            if self.adam:
                m = self.first[name] = 0.9 * self.first.get(name, 0.0) + 0.1 * gradient
                v = self.second[name] = 0.999 * self.second.get(name, 0.0) + 0.001 * gradient**2
                m, v = m / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
                p[name] = p[name] - self.lr * m / (np.sqrt(v) + 1e-8)
            else:
                decayed = gradient + self.decay * p[name]
                self.first[name] = decayed if self.steps == 1 else self.momentum * self.first[name] + decayed
                p[name] = p[name] - self.lr * self.first[name]


def optimiser(recipe: Recipe, lr: float) -> Optimiser:
    if recipe.optimiser == "adam":
        return Optimiser(lr, adam=True)
    return Optimiser(lr, momentum=recipe.momentum, decay=recipe.weight_decay)


def orders(run: CellRun, data: ImageSplit, stage: str, epochs: int, augment: bool = True) -> list[list[np.ndarray]]:
    """The images of each batch of each epoch: the draws of the suite."""
    rng, size = run.rng(stage), run.recipe.batch
    batches = lambda: data.index_batches(size, shuffle=True, augment=augment, rng=rng)  # noqa: E731
    return [[index.numpy() for index, _ in batches()] for _ in range(epochs)]


def descended(
    p: Parameters,
    data: ImageSplit,
    batches: list[list[np.ndarray]],
    loss: Loss,
    by: Optimiser,
    names: Iterable[str],
    mask: Mapping[str, np.ndarray] | None = None,
    update: bool = False,
    cosine: bool = False,
) -> Parameters:
    """Train the named parameters; `mask` multiplies their gradients or, with `update`, what a step adds to them."""
    p, x, (y, a), rate = dict(p), pixels(data), labels(data), by.lr
    total = sum(map(len, batches))
    for index in (rows for epoch in batches for rows in epoch):
        at = y[index], a[index]
        if loss(logits(p, x[index]), *at) is None:
            continue
        g = slopes(lambda q, rows=index, ya=at: loss(logits(q, x[rows]), *ya), p, names)
        before = dict(p)
        if cosine:
            by.lr = rate * (1 + np.cos(np.pi * by.steps / total)) / 2
        by.step(p, {n: v * mask[n] if mask and not update else v for n, v in g.items()})
        if mask and update:
            p |= {n: before[n] + mask[n] * (p[n] - before[n]) for n in names}
    return p


def assert_equal(model: nn.Module, expected: Mapping[str, Any], start: Net | None = None, atol: float = 2e-5) -> None:
    """Compare all weights, and require that the comparison could fail: something moved a hundred times as far."""
    found, before = weights(model), weights(start or net())
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=atol, err_msg=name)
    moved = max(np.abs(value - before[name]).max() for name, value in found.items())
    assert moved > 100 * atol
