"""DiffGda and DiffPrune as wholes: every state on the way, the one that is kept, and the direction of the gap."""

from dataclasses import replace

import numpy as np
import pytest

from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune
from tests.unit import whole

PROXIES = ("true_positive", "selection", "equalised_odds")
FREE = {"accuracy_drop": 1.0, "accuracy_least": 0.0, "accuracy_stop": 0.0}
"""Every state may be kept and nothing ends early."""
NETS = ((1, False), (4, True), (5, False))
"""The seed of the network and whether the codes of the groups are swapped; gaps are of both signs."""
MORE = [(seed, swapped) for seed in range(6) for swapped in (False, True)]


def floor_of(method, first):
    return max(method.accuracy_least, first[2] - method.accuracy_drop)


def gda(method, recipe, start, swapped):
    """Return the kept weights and the measurements of DiffGda: the first, and one at each evaluation."""
    run, p = whole.run_of(method, recipe, start), whole.weights(start)
    data, val = whole.split(method.data, swapped=swapped), whole.split("val", swapped=swapped)
    original = method.budget == "original"
    epochs = method.epochs if original else recipe.epochs
    by = whole.Optimiser(method.lr, adam=True) if original else whole.optimiser(recipe, recipe.lr_extractor)
    measure = lambda p: whole.measured(method.proxy, whole.logits(p, whole.pixels(val)), *whole.labels(val))  # noqa: E731
    first = measure(p)
    sign, floor, path = (-1 if first[1] < 0 else 1), floor_of(method, first), [first]
    smallest, best = (abs(first[1]), p) if first[2] >= floor else (np.inf, p)
    every = max(1, -(-len(data) // recipe.batch) // method.evaluations)
    loss = lambda z, y, a: None if (gap := whole.soft_gap(method.proxy, z, y, a)) is None else sign * gap  # noqa: E731
    for batches in whole.orders(run, data, "batches", epochs):
        for number, rows in enumerate(batches):
            p = whole.descended(p, data, [[rows]], loss, by, whole.FEATURES + whole.LAST)
            if number % every:
                continue
            path.append(measure(p))
            if abs(path[-1][1]) < smallest and path[-1][2] >= floor:
                smallest, best = abs(path[-1][1]), p
            if path[-1][2] <= method.accuracy_stop:
                return best, path
    return best, path


def states(run):
    path = [run.facts["first"], *run.facts["path"]]
    return [(state["threshold"], state["gap"], state["balanced_accuracy"]) for state in path]


GDA = {
    "suite": {},
    "selection": {"proxy": "selection"},
    "equalised odds": {"proxy": "equalised_odds"},
    "validation images": {"data": "val"},
    "bounds": {"accuracy_drop": 0.3, "accuracy_least": 0.2},
    "free": FREE,
    "stop": {"accuracy_stop": 0.6},
    "often": {"evaluations": 50},
    "recipe": {"budget": "recipe"},
}


@pytest.mark.parametrize("setting", GDA)
def test_diff_gda(setting):
    """For networks whose gap is positive and negative, and with states that are too inaccurate to be kept."""
    given = GDA[setting] if "budget" in GDA[setting] else {"lr": 0.05, "epochs": 3} | GDA[setting]
    method, seen = DiffGda(**given), set()
    for seed, swapped in NETS:
        start = whole.net(seed)
        expected, path = gda(method, whole.SGD, start, swapped)
        run = whole.run_of(method, whole.SGD, start, swapped=swapped)
        found = whole.weights(method.fit(run))
        assert states(run) == [pytest.approx(state) for state in path]
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=2e-5, err_msg=name)
        seen |= {"moved"} if run.facts["kept_step"] else {"stayed"}
        seen.add("descended" if path[0][1] >= 0 else "ascended")
        kept = abs(run.facts["kept_gap"])
        seen |= {"refused" for gap in path if abs(gap[1]) < kept and gap[2] < floor_of(method, path[0])}
    assert {"moved", "descended", "ascended"} <= seen
    assert setting != "suite" or {"refused", "stayed"} <= seen


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_step_makes_the_soft_gap_smaller_whatever_its_sign(proxy):
    method, seen = DiffGda(**FREE, proxy=proxy, data="val", lr=1e-3, epochs=2), set()
    for seed, swapped in MORE:
        run = whole.run_of(method, replace(whole.SGD, batch=64), whole.net(seed), swapped=swapped)
        method.fit(run)
        before, after = (state["soft_gap"] for state in run.facts["path"])
        if run.facts["first"]["gap"] * before > 0:  # by scores and by predictions the same group is ahead
            assert abs(after) < abs(before)
            seen.add(before > 0)
    assert seen == {False, True}


# --- DiffPrune -----------------------------------------------------------------------------------


def influence(method, recipe, p, mask, data):
    """Return the sum over batches of the mean derivative of the soft gap by each output of the layer."""
    x, (y, a), total = whole.pixels(data), whole.labels(data), np.zeros(mask.shape)
    for start in range(0, len(x), recipe.batch):
        rows = slice(start, start + recipe.batch)
        if whole.soft_gap(method.proxy, np.zeros(len(y[rows])), y[rows], a[rows]) is None:
            continue
        out = whole.stem(p, x[rows]) * mask
        if method.site == "stem_activated":
            out = np.maximum(out, 0)

        def gap(q, rows=rows):
            h = q["out"] if method.site == "stem_activated" else np.maximum(q["out"], 0)
            z = h.mean((2, 3)) @ p[whole.HEAD][0] + p[whole.HEAD_BIAS][0]
            return whole.soft_gap(method.proxy, z, y[rows], a[rows])

        g = whole.slopes(gap, {"out": out}, ["out"])["out"]
        total += (g * out if method.saliency == "taylor" else g).mean(0)
    # Units of a channel may be equal, so that the first of them is taken; differences would break such a tie.
    return np.round(total.sum((1, 2)) if method.unit == "channel" else total.ravel(), 9)


def prune(method, recipe, start, swapped, side=2):
    """Return the kept mask and the measurements of DiffPrune: the first, and one after each step."""
    p, data, val = whole.weights(start), whole.split(method.data, side, swapped), whole.split("val", side, swapped)
    shape = (whole.WIDTH, side, side)
    units = whole.WIDTH if method.unit == "channel" else int(np.prod(shape))
    whole_mask = lambda kept: np.broadcast_to(kept.reshape((-1, 1, 1) if method.unit == "channel" else shape), shape)  # noqa: E731

    def measure(kept):
        z = whole.logits({**p, "mask": whole_mask(kept)}, whole.pixels(val))
        return whole.measured(method.proxy, z, *whole.labels(val))

    kept, order = np.ones(units), []
    first = measure(kept)
    path, floor, best, smallest = [first], floor_of(method, first), kept, np.inf
    if first[2] >= floor:
        smallest = abs(first[1])
    for step in range(method.max_steps + 1):
        if step == 0 or method.dynamic:
            s = influence(method, recipe, p, whole_mask(kept), data)
            order = sorted(range(units), key=lambda at: s[at] if first[1] < 0 else -s[at])
        taken = [at for at in order if kept[at]][: max(1, round(method.step * units))]
        kept = np.where(np.isin(np.arange(units), taken), 0.0, kept)
        path.append(measure(kept))
        if abs(path[-1][1]) < smallest and path[-1][2] >= floor:
            smallest, best = abs(path[-1][1]), kept
        if path[-1][2] <= method.accuracy_stop:
            break
    return best, path


PRUNE = {
    "suite": {},
    "selection": {"proxy": "selection"},
    "equalised odds": {"proxy": "equalised_odds"},
    "validation images": {"data": "val"},
    "free": FREE,
    "stop": {"accuracy_stop": 0.7},
    "step": {"step": 0.2, "max_steps": 3},
    "ranked once": {"dynamic": False},
    "taylor": {"saliency": "taylor", **FREE},
    "channel": {"unit": "channel", **FREE, "max_steps": 2},
    "activated": {"site": "stem_activated", **FREE},
    "all convolutions": {"site": "convolutions"},
    "channel, activated, taylor": {
        "unit": "channel",
        "site": "stem_activated",
        "saliency": "taylor",
        **FREE,
        "max_steps": 2,
    },
}


@pytest.mark.parametrize("setting", PRUNE)
def test_diff_prune(setting):
    method, seen = DiffPrune(**({} if setting == "suite" else {"max_steps": 4}) | PRUNE[setting]), set()
    for seed, swapped in NETS:
        start = whole.net(seed)
        expected, path = prune(method, whole.SGD, start, swapped)
        run = whole.run_of(method, whole.SGD, start, side=2, swapped=swapped)
        net = method.fit(run)
        found = [(state["threshold"], state["gap"], state["balanced_accuracy"]) for state in run.facts["path"]]
        assert found == [pytest.approx(state) for state in path]
        (mask,) = (buffer for name, buffer in net.named_buffers() if name.endswith("mask"))
        assert mask.flatten().tolist() == expected.tolist()
        assert run.facts["pruned"] == (expected == 0).sum()
        assert run.facts["path"][run.facts["kept_step"]].get("pruned", 0) == (expected == 0).sum()
        assert {p.replace(".layer", "") for p, _ in net.named_parameters()} == set(whole.weights(start))
        seen.add("pruned" if run.facts["pruned"] else "whole")
        seen.add("descending" if path[0][1] >= 0 else "ascending")
    assert {"pruned", "descending", "ascending"} <= seen


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_first_unit_that_is_pruned_makes_the_soft_gap_smaller_whatever_its_sign(proxy):
    """At a site whose outputs are not negative, with gradient times activation: the effect to first order."""
    given = {
        "site": "stem_activated",
        "saliency": "taylor",
        "proxy": proxy,
        "data": "val",
        "step": 0.0625,
        "max_steps": 0,
    }
    method, seen = DiffPrune(**FREE, **given), set()
    for seed, swapped in MORE:
        p, kept, val = whole.weights(whole.net(seed)), np.ones((whole.WIDTH, 2, 2)), whole.split("val", 2, swapped)
        run = whole.run_of(method, replace(whole.SGD, batch=64), whole.net(seed), side=2, swapped=swapped)
        method.fit(run)
        before = whole.soft_gap(proxy, whole.logits(p, whole.pixels(val)), *whole.labels(val))
        s = influence(method, replace(whole.SGD, batch=64), p, kept, val)
        first = run.facts["path"][0]["gap"]
        unit = int(np.argmin(s) if first < 0 else np.argmax(s))
        kept.ravel()[unit] = 0
        after = whole.soft_gap(proxy, whole.logits({**p, "mask": kept}, whole.pixels(val)), *whole.labels(val))
        assert run.facts["path"][1]["saliency"] == pytest.approx(s[unit], rel=1e-3)
        if first * before > 0 and 0 < s[unit] * len(val) / before < 1:
            assert abs(after) < abs(before)
            assert before - after == pytest.approx(s[unit] * len(val), rel=0.5)
            seen.add(before > 0)
    assert seen == {False, True}
