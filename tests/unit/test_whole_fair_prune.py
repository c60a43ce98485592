"""FairPrune as a whole: what is set to zero against the equations, and whom its removal costs."""

import numpy as np
import pytest
import torch
from torch import nn

from bench.data.image_split import ImageSplit
from bench.methods.fair_prune import FairPrune
from bench.net import Net
from tests.unit import whole

PRUNABLE = (whole.CONV, whole.HEAD)


def curvatures(method, recipe, p, data, signs):
    """Return the diagonal curvature of the cross-entropy over `data`."""
    x, (y, _), n = whole.pixels(data), whole.labels(data), len(data)
    s = whole.sigmoid(whole.logits(p, x))
    weight = np.where(y == 1, 1 - y.mean(), y.mean()) if method.prediction == "weighted" else np.ones(n)
    each = [whole.slopes(lambda q, i=i: whole.logits(q, x[i : i + 1])[0], p, PRUNABLE) for i in range(n)]
    batches = [range(start, min(start + recipe.batch, n)) for start in range(0, n, recipe.batch)]
    found = {}
    for name in PRUNABLE:
        g = [one[name] for one in each]
        if method.curvature == "exact":
            found[name] = sum(weight[i] * s[i] * (1 - s[i]) * g[i] ** 2 for i in range(n)) / n
        elif method.curvature == "batch":
            means = [sum(weight[i] * (s[i] - y[i]) * g[i] for i in rows) / len(rows) for rows in batches]
            found[name] = sum(mean**2 for mean in means) / len(batches)
        else:
            sums = [sum(signs[i] * np.sqrt(weight[i] * s[i] * (1 - s[i])) * g[i] for i in rows) for rows in batches]
            found[name] = sum(total**2 for total in sums) / n
    return found


def ranked_pairs(score, y):
    """Return the share of pairs of a positive and a negative that are in order; ties count half."""
    pairs = [(p > n) + 0.5 * (p == n) for p in score[y == 1] for n in score[y == 0]]
    return np.mean(pairs)


def pruned(method, recipe, start):
    run, p, data, val = (
        whole.run_of(method, recipe, start),
        whole.weights(start),
        whole.split("external"),
        whole.split("val"),
    )
    rng, h = run.rng("signs"), []
    for group in (0, 1):
        part = data.where(data.a == group)
        drawn = [
            torch.randint(0, 2, (len(rows),), generator=rng) for rows in torch.arange(len(part)).split(recipe.batch)
        ]
        h.append(curvatures(method, recipe, p, part, (2 * torch.cat(drawn) - 1).numpy()))
    y, a = whole.labels(val)
    z = whole.logits(p, whole.pixels(val))
    areas = [ranked_pairs(z[a == group], y[a == group]) for group in (0, 1)]
    best = int(areas[1] > areas[0]) if method.privileged == "auto" else int(method.privileged)
    s = {n: 0.5 * p[n] ** 2 * (h[1 - best][n] - method.beta * h[best][n]) for n in PRUNABLE}
    flat = np.concatenate([s[name].ravel() for name in PRUNABLE])
    order = sorted(range(len(flat)), key=lambda at: flat[at] if method.direction == "smallest" else -flat[at])
    chosen = np.isin(np.arange(len(flat)), order[: int(method.ratio * len(flat))])
    cut, head = p[whole.CONV].size, p[whole.HEAD]
    conv = np.where(chosen[:cut].reshape(p[whole.CONV].shape), 0, p[whole.CONV])
    return {**p, whole.CONV: conv, whole.HEAD: np.where(chosen[cut:], 0, head)}, best, areas


SETTINGS = {
    "suite": {},
    "exact": {"curvature": "exact"},
    "batch": {"curvature": "batch"},
    "weighted": {"prediction": "weighted"},
    "exact and weighted": {"curvature": "exact", "prediction": "weighted"},
    "batch and weighted": {"curvature": "batch", "prediction": "weighted"},
    "largest": {"direction": "largest"},
    "group 0": {"privileged": "0"},
    "group 1": {"privileged": "1"},
    "ratio and beta": {"ratio": 0.7, "beta": 1.2, "curvature": "exact"},
    "reference": FairPrune.presets["reference"],
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_fair_prune(setting):
    method, groups = FairPrune(**SETTINGS[setting]), set()
    for seed in range(3):
        start = whole.net(seed)
        expected, best, areas = pruned(method, whole.SGD, start)
        run = whole.run_of(method, whole.SGD, start)
        whole.assert_equal(method.fit(run), expected, start)
        assert run.facts["privileged"] == best
        assert method.privileged != "auto" or run.facts["baseline_auc"] == pytest.approx(areas)
        groups.add(best)
    assert method.privileged != "auto" or groups == {0, 1}


@pytest.mark.parametrize("privileged", [0, 1])
def test_what_goes_is_the_weight_that_the_privileged_group_alone_needs(privileged):
    """Red tells the labels apart in group 0, green in group 1; the other of the two is grey there."""
    y, a = np.arange(12) % 3 == 0, np.arange(12) % 2
    pixels = np.tile(np.uint8([124, 116, 104]), (12, 1, 1, 1))  # the means of the three colours
    pixels[np.arange(12), 0, 0, a] = np.where(y, 255, 0)
    images = lambda: ImageSplit("colours", pixels, np.arange(12), y.astype(int), a, [*range(12)])  # noqa: E731
    start = Net(nn.Flatten(), 3).eval()
    with torch.no_grad():
        start.linear.weight.copy_(torch.tensor([[0.9, 1.0, 0.8]]))
    method = FairPrune(privileged=str(privileged), ratio=0.4)
    net = method.fit(whole.run_of(method, whole.SGD, start, splits={"external": images}))
    assert [value == 0 for value in net.linear.weight[0].tolist()] == [privileged == 0, privileged == 1, False]
    x = images().images(torch.arange(12))
    moved = (net(x) - start(x)).abs().detach().numpy()
    assert moved[a == privileged].min() > 0.5 > 0.05 > moved[a != privileged].max()
