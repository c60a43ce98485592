"""On which validation images DiffGda and DiffPrune compare states: how they are drawn, and that no other is read."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from bench.checks.subject import logits, random_net, random_run, trained_net
from bench.methods._selection import evaluated, measure, sampled
from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune

ALWAYS = {"accuracy_drop": 1.0, "accuracy_least": 0.0, "accuracy_stop": 0.0}
"""Every state may be kept and the search never ends early."""
BOTH = [
    pytest.param(DiffPrune(step=0.05, max_steps=1, **ALWAYS), id="prune"),
    pytest.param(DiffGda(lr=1e-3, epochs=1, evaluations=2, **ALWAYS), id="gda"),
    pytest.param(DiffGda(lr=1e-3, epochs=1, evaluations=2, evaluation="train", **ALWAYS), id="gda, training mode"),
]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def counts(y, a):
    """(label, group) -> images."""
    pairs = list(zip(y.int().tolist(), a.tolist(), strict=True))
    return {pair: pairs.count(pair) for pair in pairs}


def test_shares_by_hand():
    """A third of 6, 3, 2 and 1 images: 2, 1, and 2/3 and 1/3, which are rounded up."""
    y = torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1])
    a = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
    keep = sampled(y, a, 4, seeded(0))
    assert keep.dtype == torch.bool
    assert counts(y[keep], a[keep]) == {(0, 0): 2, (1, 0): 1, (0, 1): 1, (1, 1): 1}
    assert bool(keep[11]), "the only positive of group 1"
    assert torch.equal(keep, sampled(y, a, 4, seeded(0)))
    # Half of them: 3, 3/2, 1 and 1/2.
    keep = sampled(y, a, 6, seeded(0))
    assert counts(y[keep], a[keep]) == {(0, 0): 3, (1, 0): 2, (0, 1): 1, (1, 1): 1}


def test_every_label_of_every_group_has_its_share():
    rng = np.random.default_rng(0)
    for images, groups in ((5, 2), (37, 2), (400, 2), (400, 3)):
        for wanted in (1, 2, images // 3, images - 1):
            y, a = torch.tensor(rng.random(images) < 0.2).float(), torch.tensor(rng.integers(0, groups, images))
            keep = sampled(y, a, wanted, seeded(0))
            whole, part = counts(y, a), counts(y[keep], a[keep])
            assert part == {pair: math.ceil(Fraction(wanted * n, images)) for pair, n in whole.items()}
            assert wanted <= int(keep.sum()) <= wanted + len(whole) - 1


def test_within_a_label_of_a_group_every_image_is_as_likely():
    """Of 8 images 2, in 2,000 draws: each about 500 times, and within four standard deviations of it."""
    y, a = torch.tensor([0.0] * 8 + [1.0] * 8), torch.zeros(16, dtype=torch.int64)
    times = sum(sampled(y, a, 4, seeded(seed)).int() for seed in range(2000))
    assert (times - 500).abs().max() < 4 * (2000 * 0.25 * 0.75) ** 0.5
    assert len({tuple(sampled(y, a, 4, seeded(seed)).tolist()) for seed in range(50)}) > 30


def test_both_methods_and_all_settings_see_the_same_images_in_order_and_seeds_others():
    uids = lambda *args, **names: evaluated(random_run(*args, **names), 16).uids.tolist()  # noqa: E731
    one = uids(DiffGda(), "diff_gda:lr=1e-3")
    assert one == uids(DiffPrune(), "diff_prune")
    assert one != uids(DiffPrune(), "diff_prune", seed=1)
    whole = random_run(DiffGda(), "diff_gda").split("val").uids.tolist()
    assert [uid for uid in whole if uid in one] == one


def test_options_are_declared_alike_and_the_original_takes_all():
    one, other = (
        next(field for field in dataclasses.fields(cls) if field.name == "evaluation_images")
        for cls in (DiffGda, DiffPrune)
    )
    assert (one.default, one.metadata) == (other.default, other.metadata)
    for cls in (DiffGda, DiffPrune):
        assert cls.presets["reference"]["evaluation_images"] == 0
        assert cls().evaluation_images == 4096


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("images", [96, 97, 4096])
def test_a_set_that_is_no_larger_is_taken_whole_and_as_it_is(method, images):
    run = random_run(method, "x")
    assert evaluated(run, images) is run.split("val")
    net = random_net()
    runs = [random_run(dataclasses.replace(method, evaluation_images=n), "x", net=net) for n in (images, 0)]
    part, whole = (dataclasses.replace(method, evaluation_images=n) for n in (images, 0))
    assert torch.equal(logits(part.fit(runs[0])), logits(whole.fit(runs[1])))
    assert runs[0].facts == runs[1].facts
    assert runs[0].passes == runs[1].passes
    assert runs[0].facts["evaluated"] == {"images": 96, "of": 96}


@pytest.mark.parametrize("method", BOTH)
def test_what_is_not_drawn_is_not_passed(method):
    net, spent = random_net(), {}
    for images in (0, 16):
        run = random_run(dataclasses.replace(method, evaluation_images=images), "x", net=net)
        dataclasses.replace(method, evaluation_images=images).fit(run)
        # The path of DiffPrune begins with the baseline.
        evaluations = len(run.facts["path"]) + ("first" in run.facts)
        spent[images] = run.passes.forward, run.passes.backward, evaluations
        assert run.facts["evaluated"] == {"images": images or 96, "of": 96}
    assert spent[0][2] == spent[16][2] > 2
    assert spent[0][0] - spent[16][0] == spent[16][2] * (96 - 16)
    assert spent[0][1] == spent[16][1]


@pytest.mark.parametrize("method", BOTH[:2])
def test_the_baseline_and_the_kept_state_are_measured_on_what_is_drawn(method):
    method = dataclasses.replace(method, evaluation_images=16)
    run = random_run(method, "x", net=trained_net(), gap=True)
    val, z = run.split("val"), run.score(run.model, "val")
    keep = sampled(val.y, val.a, 16, run.rng("evaluation images", shared=True))
    part = val.where(keep)
    torch.testing.assert_close(run.score(run.model, part), z[keep], rtol=1e-5, atol=1e-6)
    on_part, on_all = measure(z[keep], part.y, part.a), measure(z, val.y, val.a)
    assert on_part != on_all
    model = method.fit(run)
    states = [run.facts["first"], *run.facts["path"]] if "first" in run.facts else run.facts["path"]
    assert states[0] == vars(on_part)
    kept = measure(run.score(model, part), part.y, part.a)
    assert abs(kept.gap) == min(abs(state["gap"]) for state in states)


def test_in_training_mode_the_statistics_move_by_the_images_that_are_evaluated_on():
    method = DiffGda(evaluation="train", epochs=0, evaluation_images=16, **ALWAYS)
    model = method.fit(random_run(method, "x", net=random_net()))
    # One batch of 16 images, for the candidate that is the baseline.
    assert int(model.state_dict()["features.1.num_batches_tracked"]) == 1


@pytest.mark.parametrize("method", BOTH)
def test_the_only_image_of_a_label_in_a_group_is_always_evaluated_on(method):
    method = dataclasses.replace(method, evaluation_images=8)
    for seed in range(3):
        run = random_run(method, "x", net=random_net(), seed=seed)
        val = run.split("val")
        val.y[((val.y == 1) & (val.a == 1)).nonzero().flatten()[1:]] = 0.0
        method.fit(run)  # which raises EmptyGroup where it is lost
        assert run.facts["evaluated"]["of"] == 96
