"""GroupDRO and SSD as a whole: all weights after `fit` against the equations."""

import numpy as np
import pytest

from bench.methods.group_dro import GroupDRO
from bench.methods.ssd import SSD
from tests.unit import whole
from tests.unit.test_whole_masked import ALL, importances


def cross_entropy(z, y):
    return -y * np.log(whole.sigmoid(z)) - (1 - y) * np.log(1 - whole.sigmoid(z))


def by_stratum(each, y, a):
    """Mean loss of each group and class; 0 where the batch has none."""
    rows = [(a == group) & (y == label) for group in (0, 1) for label in (0, 1)]
    return np.array([each[one].mean() if one.any() else 0.0 for one in rows])


@pytest.mark.parametrize("params", ["all", "head"])
@pytest.mark.parametrize(("eta", "adjustment"), [(0.01, 0.0), (1.0, 2.0)])
def test_group_dro_is_algorithm_1(params, eta, adjustment):
    method = GroupDRO(params=params, eta=eta, adjustment=adjustment)
    run, p, data = whole.run_of(method), whole.weights(whole.net()), whole.split("external")
    x, (y, a) = whole.pixels(data), whole.labels(data)
    names, lr = (ALL, whole.SGD.lr_extractor) if params == "all" else (whole.LAST, whole.SGD.lr_head)
    by, q = whole.optimiser(whole.SGD, lr), np.full(4, 0.25)
    counts = np.array([max(1, ((a == group) & (y == label)).sum()) for group in (0, 1) for label in (0, 1)])
    for index in (rows for epoch in whole.orders(run, data, "finetune", whole.SGD.epochs) for rows in epoch):
        at = y[index], a[index]
        losses = by_stratum(cross_entropy(whole.logits(p, x[index]), at[0]), *at)
        q = q * np.exp(eta * (losses + adjustment / np.sqrt(counts)))
        q = q / q.sum()
        loss = lambda w, rows=index, ya=at, q=q: q @ by_stratum(cross_entropy(whole.logits(w, x[rows]), ya[0]), *ya)  # noqa: E731
        g = whole.slopes(loss, p, names)
        p = dict(p)
        by.step(p, g)
    whole.assert_equal(method.fit(run), p)
    assert run.facts["weights"] == pytest.approx(q.tolist(), rel=1e-4)


@pytest.mark.parametrize("scale", ["mean", "none"])
@pytest.mark.parametrize(("alpha", "dampening"), [(1.0, 1.0), (0.5, 0.3)])
@pytest.mark.parametrize("params", ["all", "head"])
def test_ssd_is_equations_4_and_5(scale, alpha, dampening, params):
    method = SSD(alpha=alpha, dampening=dampening, scale=scale, params=params)
    run, p = whole.run_of(method), whole.weights(whole.net())
    bias, prediction = importances(run, whole.split("external"), p, "fisher", (whole.proxy, whole.prediction))
    if scale == "mean":
        for part in (bias, prediction):
            mean = np.concatenate([value.ravel() for value in part.values()]).mean()
            part.update({name: value / mean for name, value in part.items()})
    expected = dict(p)
    for name in ALL if params == "all" else whole.LAST:
        chosen = bias[name] > alpha * prediction[name]
        factor = np.minimum(dampening * prediction[name] / bias[name], 1)
        expected[name] = p[name] * np.where(chosen, factor, 1)
    whole.assert_equal(method.fit(run), expected)
    assert run.facts["dampened"] == sum((expected[name] != p[name]).sum() for name in p)


def test_ssd_leaves_what_matters_less_to_the_bias():
    model = SSD(alpha=1e9).fit(whole.run_of(SSD(alpha=1e9)))
    before = whole.weights(whole.net())
    assert all(np.array_equal(value, before[name]) for name, value in whole.weights(model).items())
