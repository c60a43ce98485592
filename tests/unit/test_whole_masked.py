"""BMFT and SWiFT as wholes: importances, ratio, mask, both steps and the reset against the equations."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from bench.methods.bmft import BMFT
from bench.methods.swift import SWiFT
from tests.unit import whole

BOTH = pytest.mark.parametrize("recipe", [whole.SGD, whole.ADAM], ids=["sgd", "adam"])
ALL = whole.FEATURES + whole.LAST


def importances(run, data, p, kind, losses):
    """Return, for each loss, the importance of every weight (Eqs. 5-8): of batches, or of the images' shares."""
    x, (y, a), found = whole.pixels(data), whole.labels(data), []
    rng = run.rng("fisher", shared=True)
    batches = [rows.numpy() for rows, _ in data.index_batches(run.recipe.batch, shuffle=True, rng=rng)]
    for loss in losses:
        total = {name: np.zeros_like(p[name]) for name in ALL}
        if kind == "fisher_per_sample":
            z, n = whole.logits(p, x), len(x)
            by_logit = whole.slopes(lambda q, loss=loss: loss(q["z"], y, a), {"z": z}, ["z"])["z"]
            for row in range(n):
                g = whole.slopes(lambda q, row=row: whole.logits(q, x[row : row + 1])[0], p, ALL)
                for name in ALL:
                    total[name] += (n * by_logit[row] * g[name]) ** 2 / n
        else:
            for rows in batches:
                if loss(whole.logits(p, x[rows]), y[rows], a[rows]) is None:
                    continue
                g = whole.slopes(lambda q, at=rows, loss=loss: loss(whole.logits(q, x[at]), y[at], a[at]), p, ALL)
                for name in ALL:
                    one = {"fisher": g[name] ** 2, "gradient_sum": g[name], "gradient_absolute": abs(g[name])}[kind]
                    total[name] += one / len(batches)
        found.append(total)
    return found


def scaled(v, how):
    if v.min() == v.max():
        return v
    if how.normalise == "zscore":
        return (v - v.mean()) / v.std(ddof=1)
    low, high = v.min(), v.max()
    if how.normalise == "percentile":
        ordered = np.sort(v)
        low, high = (ordered[round((len(v) - 1) * q / 100)] for q in (how.low, how.high))
    return np.clip((v - low) / (high - low + 1e-10), 0, 1)


def ratios(bias, prediction, how, constant="raw"):
    """Return r of every weight; a unit is a tensor, a layer, or the network."""
    groups = {"tensor": [[name] for name in ALL], "module": [whole.FEATURES, whole.LAST], "global": [ALL]}[how.scope]
    found = {}
    for names in groups:
        flat = [np.concatenate([part[name].ravel() for name in names]) for part in (bias, prediction)]
        nb, nl = (scaled(v, how) for v in flat)
        r = nb / (nl + np.where(nl < 0, -1e-10, 1e-10))
        if constant != "raw" and any(v.min() == v.max() for v in flat):
            r = np.full_like(r, 1.0 if constant == "neutral" else 0.0)
        for name in names:
            found[name], r = r[: bias[name].size].reshape(bias[name].shape), r[bias[name].size :]
    return found


def hard(r, rate):
    """Return a mask of the largest ratios of the extractor, those that come first among equals."""
    flat = np.concatenate([r[name].ravel() for name in whole.FEATURES])
    chosen = np.zeros(len(flat))
    chosen[sorted(range(len(flat)), key=lambda at: -flat[at])[: round(rate * len(flat))]] = 1
    cut = r[whole.CONV].size
    return {whole.CONV: chosen[:cut].reshape(r[whole.CONV].shape), whole.BIAS: chosen[cut:]}


def swift(method, recipe):
    """Return the weights of SWiFT's two steps."""
    run, p, external = whole.run_of(method, recipe), whole.weights(whole.net()), whole.split("external")
    epsilon = recipe.epsilon if method.epsilon is None else method.epsilon
    total = recipe.epochs if method.epochs is None else method.epochs
    first = total if recipe.epochs_mode == "per_stage" else total // 2
    if method.mask == "random":
        rng = run.rng("mask")
        draw = torch.rand if method.random == "uniform" else torch.randn
        noise = [{name: draw(p[name].shape, generator=rng).double().numpy() for name in ALL} for _ in range(2)]
        r = noise[0] if method.random == "uniform" else ratios(*noise, method)
        mask = r if method.random == "uniform" else {name: abs(np.tanh(v)) for name, v in r.items()}
    else:
        losses = (whole.proxy, whole.prediction)
        bias, prediction = importances(run, whole.split(method.mask_data), p, method.importance, losses)
        r = ratios(bias, prediction, method, method.constant)
        mask = {name: abs(np.tanh(v)) for name, v in r.items()}
    if method.steps != "second":
        moving = {"hard": lambda: hard(r, method.rate), "ones": lambda: None}.get(method.mask, lambda: mask)()
        batches, by = whole.orders(run, external, "step 1", first), whole.optimiser(recipe, recipe.lr_extractor)
        loss, update = whole.blended(epsilon), method.apply == "update"
        p = whole.descended(p, external, batches, loss, by, whole.FEATURES, moving, update)
    if method.steps == "first":
        return p
    reset = reset_entries(method, mask[whole.HEAD][0], mask[whole.HEAD_BIAS], r[whole.HEAD][0])
    p = {
        **p,
        whole.HEAD: np.where(reset[:-1], 0, p[whole.HEAD]),
        whole.HEAD_BIAS: np.where(reset[-1], 0, p[whole.HEAD_BIAS]),
    }
    batches = whole.orders(run, external, "step 2", total if recipe.epochs_mode == "per_stage" else total - first)
    by = whole.optimiser(recipe, recipe.lr_head)
    return whole.descended(p, external, batches, whole.blended(1 - epsilon), by, whole.LAST)


def reset_entries(method, m, b, r):
    """Return which entries of weight and bias become 0 (Eq. 12)."""
    kind = "full" if method.mask == "hard" and method.hard_head == "full" else method.reinit
    if kind != "partial":
        return np.full(len(m) + 1, kind == "full")
    if method.reset_share is not None:
        largest = sorted(range(len(m)), key=lambda at: -r[at])[: round(method.reset_share * len(m))]
        return np.array([at in largest for at in range(len(m) + 1)])
    if method.reinit_scope == "head_all":
        return np.append(m, b) >= np.append(m, b).mean()
    return np.append(m > m.mean() if method.reinit_scope == "reference" else m >= m.mean(), False)


SETTINGS = {
    "suite": {},
    "epsilon": {"epsilon": 0.4},
    "epochs": {"epochs": 7},
    "importances of validation": {"mask_data": "val"},
    "one step, the first": {"steps": "first"},
    "one step, the second": {"steps": "second"},
    "update": {"apply": "update"},
    "hard": {"mask": "hard", "rate": 0.3},
    "hard, whole head": {"mask": "hard", "rate": 0.6, "hard_head": "full"},
    "ones": {"mask": "ones"},
    "uniform": {"mask": "random"},
    "gaussian": {"mask": "random", "random": "reference"},
    "per sample": {"importance": "fisher_per_sample"},
    "sum": {"importance": "gradient_sum"},
    "absolute": {"importance": "gradient_absolute"},
    "zscore": {"normalise": "zscore"},
    "percentile": {"normalise": "percentile", "low": 20.0, "high": 70.0},
    "module": {"scope": "module"},
    "global": {"scope": "global"},
    "zero": {"constant": "zero", "reinit_scope": "head_all"},
    "neutral": {"constant": "neutral", "reinit_scope": "head_all"},
    "head_all": {"reinit_scope": "head_all"},
    "reference": {"reinit_scope": "reference"},
    "share": {"reset_share": 0.6},
    "full": {"reinit": "full"},
    "none": {"reinit": "none"},
}


@BOTH
@pytest.mark.parametrize("setting", SETTINGS)
def test_swift(setting, recipe):
    method = SWiFT(**SETTINGS[setting])
    whole.assert_equal(method.fit(whole.run_of(method, recipe)), swift(method, recipe))


def test_swift_with_all_epochs_in_each_step():
    recipe = replace(whole.SGD, epochs_mode="per_stage", epochs=3)
    whole.assert_equal(SWiFT().fit(whole.run_of(SWiFT(), recipe)), swift(SWiFT(), recipe))


def bmft(method, recipe):
    """Return the weights of BMFT's two steps."""
    split, p = "val" if method.data == "reference" else "external", whole.weights(whole.net())
    run, data, external = whole.run_of(method, recipe), whole.split(split), whole.split("external")
    bias = whole.proxy
    if method.proxy != "paper":
        bias = partial(whole.half_signed, scores=method.proxy == "signed_half_score", empty=method.empty_cell)
    r = ratios(*importances(run, data, p, method.importance, (bias, whole.prediction)), method)
    mask = hard(r, method.rate) | {name: np.zeros_like(p[name]) for name in whole.LAST}
    names = whole.FEATURES + (whole.LAST if method.head_decay else ())
    loss = lambda beta: weighted(method, beta, bias)  # noqa: E731
    batches = whole.orders(run, data, "step 1", recipe.epochs // 2, augment=method.data == "external")
    by = whole.optimiser(recipe, recipe.lr_extractor)
    p = whole.descended(p, data, batches, loss(method.beta1), by, names, mask)
    p = p | {name: np.zeros_like(p[name]) for name in whole.LAST}
    batches = whole.orders(run, external, "step 2", recipe.epochs - recipe.epochs // 2)
    by = whole.optimiser(recipe, recipe.lr_head)
    return whole.descended(p, external, batches, loss(method.beta2), by, whole.LAST)


def weighted(method, beta, bias):
    both, unit = whole.blended(beta, bias), beta if beta and method.weights == "penalty" else 1
    return lambda z, y, a: None if (value := both(z, y, a)) is None else value / unit


BMFT_SETTINGS = {
    "suite": {},
    "rate": {"rate": 0.2},
    "betas": {"beta1": 0.3, "beta2": 0.6},
    "data": {"data": "reference"},
    "decay": {"head_decay": True, "rate": 0.8},
    "logit": {"proxy": "signed_half_logit"},
    "score": {"proxy": "signed_half_score", "empty_cell": "zero_mean", "beta2": 0.6},
    "penalty": {"weights": "penalty", "beta1": 0.3, "beta2": 0.6},
    "module": {"scope": "module"},
    "per sample": {"importance": "fisher_per_sample"},
    "reference": BMFT.presets["reference"],
}


@BOTH
@pytest.mark.parametrize("setting", BMFT_SETTINGS)
def test_bmft(setting, recipe):
    method = BMFT(**BMFT_SETTINGS[setting])
    whole.assert_equal(method.fit(whole.run_of(method, recipe)), bmft(method, recipe))


@BOTH
def test_the_first_step_lowers_the_bias_and_the_second_the_prediction_loss(recipe):
    """Which way it works: on the external set, without chance in dropout."""
    recipe, data = replace(recipe, epochs=40, batch=32, weight_decay=0.0, lr_extractor=0.01), whole.split("external")

    def after(steps):
        method = SWiFT(steps=steps, mask="ones", epsilon=0.05, **({} if steps == "first" else {"reinit": "none"}))
        z = whole.logits(whole.weights(method.fit(whole.run_of(method, recipe))), whole.pixels(data))
        return whole.proxy(z, *whole.labels(data)), whole.prediction(z, *whole.labels(data))

    start = whole.logits(whole.weights(whole.net()), whole.pixels(data))
    assert after("first")[0] < 0.5 * whole.proxy(start, *whole.labels(data))
    assert after("second")[1] < whole.prediction(start, *whole.labels(data))
    assert after("both")[1] < after("first")[1]
