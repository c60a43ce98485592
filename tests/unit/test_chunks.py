"""Batches that do not fit into memory: cut where the result is that of the whole batch, refused where it is not."""

import copy
import dataclasses
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from torch import nn

from bench import learn
from bench.checks.subject import RECIPE, random_net, random_run, trained_net
from bench.errors import BatchTooLarge
from bench.learn import frozen_features, importance
from bench.learn.frozen_features import FrozenFeatures
from bench.learn.predict import predict
from bench.methods._masked_layers import mask_layers
from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune
from bench.methods.group_dro import GroupDRO
from bench.methods.swift import SWiFT
from bench.net import Net
from bench.running.attempt import classify

IMAGES = 96  # of a random split


def limited(net, most, part="features"):
    """`net` with a part that has no memory for more than `most` images at once; and how often it had none."""
    refusals = []

    def check(module, inputs):
        x = inputs[0]
        while torch._C._functorch.is_functorch_wrapped_tensor(x):  # a pass of vmap hides how many images it has
            x = torch._C._functorch.get_unwrapped(x)
        if x.numel() > most * inputs[0][0].numel():
            refusals.append(x.shape)
            raise torch.OutOfMemoryError(f"{x.shape} where {most} images fit")

    net.get_submodule(part).register_forward_pre_hook(check)
    return net, refusals


def run_for(net, batch=16, method=None, **changes):
    recipe = dataclasses.replace(RECIPE, batch=batch, **changes)
    return random_run(method or SWiFT(mask_data="val"), "swift", recipe=recipe, net=net)


def test_a_loss_with_a_memory_takes_a_batch_that_comes_again_in_chunks_once():
    weights, refusals = [], []

    def refuse(gradient):
        if len(gradient) > 8:
            refusals.append(len(gradient))
            raise torch.OutOfMemoryError("the loss was computed, and its gradient has no room")
        return gradient

    for limit in (False, True):
        net = without_batchnorm(0.0)
        if limit:
            net.features.register_forward_hook(lambda _, __, h: h.register_hook(refuse) and None)
        run = run_for(net, method=GroupDRO(eta=1.0))
        GroupDRO(eta=1.0).fit(run)
        weights.append(run.facts["weights"])
    assert refusals
    assert weights[1] == pytest.approx(weights[0], abs=1e-4)
    assert max(weights[0]) > 0.3  # they moved


def without_batchnorm(dropout):
    """The small network with GroupNorm in the place of BatchNorm."""
    net = random_net(3)
    for at, layer in enumerate(net.features):
        if isinstance(layer, nn.BatchNorm2d):
            net.features[at] = nn.GroupNorm(4, layer.num_features)
    net.head[0].p = dropout
    return net


def close(one, other, rtol=1e-4, atol=1e-6):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=rtol, atol=atol)


def finetuned(net, *, batch=16, recipe=None, **given):
    run = run_for(net, batch, **(recipe or {}))
    given = {"loss": learn.blend(0.5), "split": "external", "epochs": 2, "lr": 1e-2, **given}
    how = learn.Training(**{name: given.pop(name) for name in ("cache", "mask", "extractor") if name in given})
    learn.finetune(run, run.model, **given, how=how)
    return run


@given(batch=st.integers(2, 40), most=st.integers(1, 39))
@settings(max_examples=8, deadline=None)
def test_importances_of_cut_batches_are_those_of_whole_ones(batch, most):
    kinds = ("fisher", "gradient_sum", "gradient_absolute")
    kind = kinds[(batch + most) % 3]
    (whole, _), (cut, refusals) = limited(random_net(), IMAGES), limited(random_net(), most)
    plain, run = run_for(whole, batch), run_for(cut, batch)
    pairs = [learn.fisher_importances(one, one.model, "external", kind) for one in (plain, run)]
    for one, other in zip(*pairs, strict=True):
        largest = max(float(value.abs().max()) for value in one.values())
        close(one, other, atol=1e-6 * largest)
    assert bool(refusals) == (batch > most)
    assert ("importances: images at once" in run.facts) == (batch > most)
    if batch > most:
        assert run.facts["importances: images at once"] <= most
        assert len(refusals) <= 6  # the size that fitted is kept: each halving meets one refusal


@pytest.mark.parametrize("kind", ["rademacher", "batch", "exact"])
@pytest.mark.parametrize("most", [2, 7])
def test_curvature_of_cut_batches_is_that_of_whole_ones(kind, most):
    found = []
    for size in (IMAGES, most):
        net, refusals = limited(random_net(), size)
        run = run_for(net)
        data = run.split("external")
        found.append(importance.curvature(run, run.model, data, torch.Generator().manual_seed(1), kind, weighted=True))
    close(*found, atol=1e-6 * max(float(value.max()) for value in found[0].values()))
    assert refusals


def test_per_image_importances_are_cut_too():
    found = []
    for most in (IMAGES, 5):
        run = run_for(limited(random_net(), most)[0])
        found.append(learn.fisher_importances(run, run.model, "external", "fisher_per_sample"))
    for one, other in zip(*found, strict=True):
        close(one, other, atol=1e-6 * max(float(value.max()) for value in one.values()))
    assert run.facts["gradients by image: images at once"] == 4


def test_predictions_and_frozen_features_are_cut_where_normalisation_is_frozen():
    for most in (1, 7, 50):
        net, refusals = limited(trained_net(), most)
        run = run_for(net)
        data = run.split("external")
        torch.testing.assert_close(run.score(run.model, "external"), predict(trained_net(), data), rtol=1e-5, atol=1e-6)
        assert run.facts["predictions on external: images at once"] <= most
        features = FrozenFeatures(run.model.features, data, 60).upright()
        whole = trained_net().features(data.images(torch.arange(IMAGES)))
        torch.testing.assert_close(features, whole, rtol=1e-5, atol=1e-6)
        assert refusals
    assert run.passes.forward == 2 * IMAGES


@pytest.mark.parametrize("cache", [True, False], ids=["features kept", "live extractor"])
def test_a_head_on_a_frozen_extractor_is_trained_as_by_whole_batches(cache):
    """Dropout too is that of the whole batch, because the head sees it whole."""
    whole = finetuned(trained_net(), train=("head",), cache=cache)
    frozen_features._last.clear()  # the features of the first are not to be taken by the second
    cut = finetuned(limited(trained_net(), 5)[0], train=("head",), cache=cache)
    close(whole.model.state_dict(), cut.model.state_dict())
    assert whole.passes == cut.passes
    assert not torch.equal(whole.model.linear.weight, trained_net().linear.weight)
    assert [name for name in cut.facts if name.endswith("images at once")]
    assert not [name for name in whole.facts if name.endswith("images at once")]


@pytest.mark.parametrize("counts", ["batch", "dataset"])
@pytest.mark.parametrize("most", [1, 3, 11])
def test_without_batchnorm_a_cut_batch_makes_the_same_step(most, counts):
    how = {"epochs": 1, "recipe": {"weight_counts": counts}}
    whole = finetuned(without_batchnorm(0.0), **how)
    net, refusals = limited(without_batchnorm(0.0), most)
    cut = finetuned(net, **how)
    close(whole.model.state_dict(), cut.model.state_dict(), rtol=1e-4, atol=2e-5)
    assert cut.facts["finetune"]["loss"] == pytest.approx(whole.facts["finetune"]["loss"], rel=1e-4)
    assert len(refusals) <= 5
    # All logits first, then again with what the backward pass needs: what was passed is what is counted.
    assert (whole.passes.forward, whole.passes.backward) == (IMAGES, IMAGES)
    assert (cut.passes.forward, cut.passes.backward) == (2 * IMAGES, IMAGES)


def test_dropout_draws_one_mask_for_both_passes_of_a_part():
    net, _ = limited(without_batchnorm(0.5), 4)
    dropped = []
    net.head[0].register_forward_hook(lambda module, inputs, output: dropped.append((inputs[0], output == 0)))
    run = finetuned(net, epochs=1)
    batches = [dropped[at : at + 8] for at in range(0, len(dropped), 8)]  # four parts, each passed twice
    assert len(batches) == IMAGES // 16
    for batch in batches:
        first, again = batch[:4], batch[4:]
        for inputs, mask in first:
            same = [other for others, other in again if torch.equal(inputs, others)]
            assert len(same) == 1
            assert torch.equal(mask, same[0])
    assert len({str(mask.tolist()) for _, mask in batches[0]}) == 4
    assert run.facts["finetune: images at once"] == 4


def test_a_step_that_is_made_again_draws_as_if_it_were_the_first():
    """Otherwise a training that finds the size again, from a checkpoint, would end with other weights."""
    ends = []
    for known in (False, True):
        net = without_batchnorm(0.5)
        net.features[2] = nn.Sequential(nn.ReLU(), nn.Dropout(0.5))  # draws before the memory is short
        run = run_for(limited(net, 4, "features.9")[0])
        if known:
            learn.run_in_chunks(
                run.model, 16, partial(learn.in_chunks, run.model, torch.zeros(16, 3, 32, 32)), what="look"
            )
        learn.finetune(run, run.model, loss=learn.blend(0.5), split="external", epochs=1, lr=1e-2)
        ends.append(run.model.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize(
    "given",
    [{}, {"train": ("features",)}, {"train": ("head",), "extractor": "train"}],
    ids=["all", "extractor", "head, statistics move"],
)
def test_where_batchnorm_takes_its_statistics_over_the_batch_nothing_is_cut(given):
    with pytest.raises(BatchTooLarge) as caught:
        finetuned(limited(random_net(), 15)[0], **given)
    assert classify(caught.value) == "oom"
    for part in (
        "finetune: a batch of 16 images does not fit in memory",
        "features.1 computes statistics over the whole batch",
        "`batch` in the recipe",
        "smaller images",
        "backbone",
        "more memory",
        "--per-gpu",
    ):
        assert part in str(caught.value)


def test_gradients_and_evaluations_of_diff_gda_in_training_mode_are_refused():
    for method in (DiffGda(), DiffGda(evaluation="train")):
        with pytest.raises(BatchTooLarge) as error:
            method.fit(run_for(limited(trained_net(), 15)[0], method=method))
        stage, _, said = str(error.value).partition(": ")
        assert stage == ("predictions on val" if method.evaluation == "train" else "gradients")
        assert said == snapshot(
            "a batch of 16 images does not fit in memory, and it cannot be split, because features.1 computes statistics over the whole batch. Use a smaller `batch` in the recipe, smaller images, a smaller backbone, a GPU with more memory, or fewer cells per GPU (--per-gpu)"
        )


def test_a_normalisation_without_kept_statistics_takes_the_batch_even_in_evaluation():
    net = random_net()
    net.features[1] = nn.BatchNorm2d(16, track_running_stats=False)
    with pytest.raises(BatchTooLarge, match=r"features\.1"):
        predict(limited(net, 5)[0], run_for(random_net()).split("external"))


def test_an_image_that_does_not_fit_alone_is_too_large():
    with pytest.raises(BatchTooLarge) as caught:
        predict(limited(random_net(), 0)[0], run_for(random_net()).split("external"))
    assert str(caught.value) == snapshot(
        "predictions on external: a batch of 96 images does not fit in memory, and a single image does not fit either. Use a smaller `batch` in the recipe, smaller images, a smaller backbone, a GPU with more memory, or fewer cells per GPU (--per-gpu)"
    )
    assert classify(caught.value) == "oom"


@pytest.mark.parametrize("saliency", ["gradient", "taylor"])
@pytest.mark.parametrize("site", ["stem", "convolutions"])
def test_saliencies_of_cut_batches_are_those_of_whole_ones(site, saliency):
    method, found = DiffPrune(site=site, saliency=saliency, data="external"), []
    for most in (IMAGES, 5):
        run = run_for(limited(trained_net(), IMAGES)[0], 40, method=method)
        net = run.model.eval().requires_grad_(False)
        layers = mask_layers(net, run.split("external").images(torch.arange(1)), site)
        limited(net, most)
        found.append(method.influence(run, net, layers))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6 * float(found[0].abs().max()))
    assert run.facts["saliencies: images at once"] == 5


def test_a_batch_that_fits_is_passed_once_and_leaves_no_trace():
    """The weights are those of a loop that knows nothing of memory, bit for bit."""
    run = finetuned(without_batchnorm(0.5), epochs=1)
    other = run_for(without_batchnorm(0.5))
    net, data = other.model.train(), other.split("external")
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-2, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay)
    with learn.seeded(other.rng("finetune/dropout")):
        for x, y, a in data.batches(size=16, shuffle=True, augment=True, rng=other.rng("finetune")):
            optimiser.zero_grad()
            learn.blend(0.5)(net(x), y, a).backward()
            optimiser.step()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in run.model.state_dict().items())
    assert run.passes == other.passes
    assert list(run.facts) == ["finetune"]


def test_a_network_and_its_copy_have_sizes_of_their_own():
    net, refusals = limited(random_net(), 5)
    data = run_for(random_net()).split("external")
    predict(net, data)
    first = len(refusals)
    predict(net, data)
    assert len(refusals) == first
    predict(copy.deepcopy(net), data)
    assert len(refusals) == 2 * first
    assert isinstance(net, Net)
