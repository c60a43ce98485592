"""The training loop: equivalences that hold bit for bit, what stays frozen, how a mask acts."""

import contextlib
import copy
import dataclasses
import functools

import pytest
import torch

from bench import learn
from bench.checks.subject import RECIPE, random_net, random_run, random_split
from bench.errors import NonFinite, UsageError
from bench.learn.network import build_net
from bench.learn.predict import BATCH, predict
from bench.learn.train import _check_sizes
from bench.methods.bmft import BMFT
from bench.methods.fullft_fdr import FullFTFDR
from bench.methods.fullft_reg import FullFTReg
from bench.methods.fullft_rw import FullFTRW
from bench.methods.swift import SWiFT

ADAM = dataclasses.replace(RECIPE, optimiser="adam")
NO_DECAY = dataclasses.replace(RECIPE, weight_decay=0.0)


def run_for(name="swift", *, recipe=RECIPE, net=None, **changes):
    """A run whose random draws are those of `name`, so that two methods can be compared bit for bit."""
    return random_run(SWiFT(), name, recipe=recipe, net=net or random_net(), **changes)


def tune(recipe=RECIPE, **arguments):
    run = run_for(recipe=recipe)
    before = copy.deepcopy(run.model.state_dict())
    given = {"loss": learn.blend(0.9), "split": "external", "epochs": 2, "lr": recipe.lr_extractor, **arguments}
    if given.get("mask") in ("ones", "zeros"):
        value = 1.0 if given["mask"] == "ones" else 0.0
        given["mask"] = {name: torch.full_like(p, value) for name, p in run.model.named_parameters()}
    elif given.get("mask") == "random":
        g = torch.Generator().manual_seed(7)
        given["mask"] = {name: torch.rand(p.shape, generator=g) for name, p in run.model.named_parameters()}
    how = learn.Training(**{name: given.pop(name) for name in ("mask", "apply", "cache", "extractor") if name in given})
    return before, learn.finetune(run, run.model, **given, how=how).state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def same_part(one, other, part):
    return all(torch.equal(one[name], other[name]) for name in one if name.startswith(part))


@pytest.mark.parametrize("recipe", [RECIPE, ADAM], ids=["sgd", "adam"])
def test_a_mask_of_ones_is_full_fine_tuning(recipe):
    _, masked = tune(recipe, loss=learn.blend(1.0), mask="ones", epochs=recipe.epochs)
    plain = FullFTRW().fit(run_for_method("swift", recipe, FullFTRW()))
    # Stage and method name seed the draws; both are the same here.
    assert same(masked, plain.state_dict())
    _, masked = tune(recipe, loss=learn.blend(0.9), mask="ones", epochs=recipe.epochs)
    assert same(masked, FullFTFDR().fit(run_for_method("swift", recipe, FullFTFDR())).state_dict())


def run_for_method(name, recipe, method):
    return random_run(method, name, recipe=recipe, net=random_net())


def test_a_penalty_of_weight_zero_is_no_penalty():
    one = FullFTFDR(beta=1.0).fit(run_for_method("same", RECIPE, FullFTFDR()))
    other = FullFTRW().fit(run_for_method("same", RECIPE, FullFTRW()))
    assert same(one.state_dict(), other.state_dict())


def test_reg_equals_fdr_where_validation_is_balanced():
    """The random splits of the checks are balanced; the two sets hold the same images here."""
    runs = []
    for method in (FullFTReg(), FullFTFDR()):
        run = run_for_method("same", RECIPE, method)
        run._splits = dict.fromkeys(run._splits, run._splits["val"])
        runs.append(method.fit(run).state_dict())
    assert same(*runs)


def test_gradient_and_update_masks_agree_for_sgd_without_decay():
    _, gradient = tune(NO_DECAY, mask="random", apply="gradient")
    _, update = tune(NO_DECAY, mask="random", apply="update")
    for name in gradient:
        torch.testing.assert_close(gradient[name], update[name], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("recipe", [ADAM, dataclasses.replace(RECIPE, weight_decay=0.5)], ids=["adam", "decay"])
def test_gradient_and_update_masks_differ_for_adam_and_for_decay(recipe):
    _, gradient = tune(recipe, mask="random", apply="gradient")
    _, update = tune(recipe, mask="random", apply="update")
    largest = max(float((gradient[n] - update[n]).abs().max()) for n in gradient if gradient[n].is_floating_point())
    assert largest > 1e-4


def travelled(optimiser, gradients, factor):
    """How far each entry of a weight moves when its gradients (steps, entries) are scaled by `factor`."""
    w = torch.zeros(gradients.shape[1], dtype=torch.float64, requires_grad=True)
    stepper = optimiser([w], lr=1e-3)
    for gradient in gradients:
        w.grad = factor * gradient
        stepper.step()
    return w.detach()


@pytest.mark.parametrize(("size", "expected"), [(1.0, 1.000), (1e-7, 0.42), (1e-9, 0.106)])
def test_adam_cancels_a_mask_on_gradients(size, expected):
    """Example I: with gradients in [0, size] the 20-step displacement under the mask 0.1 is 0.42 of that without."""
    g = torch.Generator().manual_seed(0)
    gradients = size * torch.rand(20, 1000, generator=g, dtype=torch.float64)
    ratio = travelled(torch.optim.Adam, gradients, 0.1).norm() / travelled(torch.optim.Adam, gradients, 1.0).norm()
    assert ratio.item() == pytest.approx(expected, rel=0.02)
    # With one gradient throughout, the step is g / (|g| + 1e-8), which gives the ratio in closed form.
    constant = torch.full((20, 1), size, dtype=torch.float64)
    ratio = travelled(torch.optim.Adam, constant, 0.1) / travelled(torch.optim.Adam, constant, 1.0)
    assert ratio.item() == pytest.approx(0.1 * (size + 1e-8) / (0.1 * size + 1e-8), rel=1e-6)


def test_sgd_does_not_cancel_a_mask_on_gradients():
    gradients = torch.rand(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sgd = functools.partial(torch.optim.SGD, momentum=0.9)
    torch.testing.assert_close(travelled(sgd, gradients, 0.1), 0.1 * travelled(sgd, gradients, 1.0))


def test_a_mask_of_zeros_is_the_identity_only_without_decay():
    """The extractor alone: its BatchNorm statistics move in training, its weights must not."""
    for recipe, stays in ((NO_DECAY, True), (RECIPE, False)):
        before, after = tune(recipe, mask="zeros", train=("features",))
        weights = [name for name in before if "running" not in name and "num_batches" not in name]
        assert all(torch.equal(before[name], after[name]) for name in weights) == stays


def test_a_frozen_extractor_stays_with_its_buffers():
    before, after = tune(train=("head",), lr=1e-2)
    assert same_part(before, after, "features.")
    assert not same_part(before, after, "head.")


def test_negative_control_training_mode_moves_the_buffers():
    run = run_for()
    before = copy.deepcopy(run.model.state_dict())
    run.model.train()
    run.model(next(iter(run.split("external").batches(size=16))).x)
    assert not same_part(before, run.model.state_dict(), "features.")


def test_a_frozen_head_stays_and_its_dropout_acts():
    before, after = tune(train=("features",))
    assert same_part(before, after, "head.")
    assert not same_part(before, after, "features.")


def test_cached_features_give_the_same_head():
    for epochs in (1, 10):
        _, cached = tune(train=("head",), lr=1e-2, epochs=epochs)
        _, live = tune(train=("head",), lr=1e-2, epochs=epochs, cache=False)
        for name in cached:
            torch.testing.assert_close(cached[name], live[name], rtol=1e-5, atol=1e-6)


def test_cached_features_are_those_of_the_extractor_in_every_pose():
    run = run_for()
    net, data = run.model.eval(), run.split("external")
    frozen = learn.FrozenFeatures(net.features, data, 16)
    g = torch.Generator().manual_seed(0)
    for _ in range(4):
        index, variant = torch.randperm(96, generator=g)[:30], torch.randint(0, 8, (30,), generator=g)
        with torch.no_grad():
            torch.testing.assert_close(frozen(index, variant), net.features(data.images(index, variant)))
    assert run.passes.forward < 2 * 120 + 1
    drawn = run.passes.forward
    frozen(index, variant)
    assert run.passes.forward == drawn, "what is cached is not computed again"


def test_costs_count_images_not_declarations():
    run = run_for()
    learn.finetune(run, run.model, loss=learn.blend(1.0), split="external", epochs=2, lr=1e-3)
    assert (run.passes.forward, run.passes.backward) == (192, 192)
    run = run_for()
    learn.fisher_importances(run, run.model, "external")
    assert (run.passes.forward, run.passes.backward) == (96, 192)
    run = run_for()
    learn.finetune(run, run.model, train=("head",), loss=learn.blend(1.0), split="external", epochs=30, lr=1e-3)
    assert run.passes.backward == 0
    assert run.passes.forward <= 8 * 96


def test_an_undefined_step_moves_nothing():
    """All images in one group: the proxy has no term, momentum and decay must not act either."""
    run = run_for()
    data = run.split("external")
    run._opened["external"] = data.where(data.a == 0)
    before = copy.deepcopy(run.model.state_dict())
    learn.finetune(run, run.model, loss=learn.blend(0.0), split="external", epochs=1, lr=1.0)
    weights = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(before[name], run.model.state_dict()[name]) for name in weights)
    assert run.facts["finetune"]["skipped_steps"] == 3
    assert run.facts["finetune"]["steps"] == 0


def test_a_diverging_model_is_named():
    run = run_for()
    with pytest.raises(NonFinite, match=r"features\.|head\."):
        learn.finetune(run, run.model, loss=learn.blend(0.5), split="external", epochs=3, lr=1e30)


class Films:
    """A split of so many films."""

    name = "train"

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n


@pytest.mark.parametrize(
    ("backbone", "n", "side", "says"),
    [
        (
            "small",
            65,
            16,
            "pre-training: the last batch of the 65 images of 'train' holds one image, .*: set batch=65, say",
        ),
        ("small", 1, 16, "the last batch of the 1 images of 'train' holds one image"),
        ("small", 64, 16, None),
        ("small", 66, 16, None),
        ("small", 65, 32, None),  # a map of 2 x 2 has a variance
        ("densenet121", 64, 16, "images of 16 x 16 pixels are too small for this network: raise image_size"),
        ("resnet18", 64, 16, None),
    ],
)
def test_sizes_that_the_network_cannot_train_on_are_said_before_the_first_step(backbone, n, side, says):
    net = build_net(backbone).train()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(UsageError, match=says) if says else contextlib.nullcontext():
        _check_sizes(net, (3, side, side), Films(n), 64, "pre-training")
    assert same(before, net.state_dict())


def test_the_two_steps_of_swift_and_bmft_leave_the_other_part_alone():
    for method, head_before_step_2 in ((SWiFT(), None), (BMFT(), 0.0)):
        states = {}
        run = random_run(method, "x", recipe=NO_DECAY, net=random_net())
        original = learn.finetune

        def spy(run, net, *, original=original, states=states, **given):
            states[given["stage"], "before"] = copy.deepcopy(net.state_dict())
            result = original(run, net, **given)
            states[given["stage"], "after"] = copy.deepcopy(net.state_dict())
            return result

        learn.finetune = spy
        try:
            method.fit(run)
        finally:
            del learn.finetune
        start = random_net().state_dict()
        assert same_part(start, states["step 1", "after"], "head.")
        assert same_part(states["step 1", "after"], states["step 2", "after"], "features.")
        if head_before_step_2 is not None:
            assert all((states["step 2", "before"][n] == 0).all() for n in ("head.1.weight", "head.1.bias"))
            moved = [
                (states["step 1", "after"][n] != start[n]).float().mean()
                for n in start
                if n.endswith("0.weight") or n.endswith("3.weight")
            ]
            assert all(m < 1 for m in moved)
        else:
            zeros = (states["step 2", "before"]["head.1.weight"] == 0).float().mean().item()
            assert zeros == pytest.approx(run.facts["reset_share"])
            assert 0 < zeros < 1
            kept = states["step 2", "before"]["head.1.weight"] != 0
            assert torch.equal(states["step 2", "before"]["head.1.weight"][kept], start["head.1.weight"][kept])


def test_bmft_moves_the_share_of_weights_that_it_says():
    run = random_run(BMFT(), "bmft", recipe=NO_DECAY, net=random_net())
    ratio = learn.importance_ratio(*learn.fisher_importances(run, run.model, "external"))
    names = [name for name in ratio if name.startswith("features.")]
    mask = learn.hard_mask(ratio, 0.5, names)
    n = sum(mask[name].numel() for name in names)
    assert sum(float(mask[name].sum()) for name in names) == round(0.5 * n)
    before = copy.deepcopy(run.model.state_dict())
    learn.finetune(
        run,
        run.model,
        train=("features",),
        loss=learn.blend(0.0),
        split="external",
        epochs=1,
        lr=1e-3,
        how=learn.Training(mask=mask),
    )
    for name in names:
        still = mask[name] == 0
        assert torch.equal(before[name][still], run.model.state_dict()[name][still]), name


def test_importances_do_not_depend_on_the_code_of_the_groups():
    results = []
    for flip in (False, True):
        run = run_for()
        data = run.split("external")
        if flip:
            data.a = 1 - data.a
        results.append(learn.soft_mask(learn.importance_ratio(*learn.fisher_importances(run, run.model, "external"))))
    for name in results[0]:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=0, atol=0)


def test_features_are_not_kept_where_the_poses_are_too_many():
    runs = {}
    for augmentation in ("dihedral", "chest_reference"):
        run = runs[augmentation] = run_for()
        run.split("external").augmentation = augmentation
        learn.finetune(run, run.model, train=("head",), loss=learn.blend(1.0), split="external", epochs=30, lr=1e-3)
        assert run.passes.backward == 0
    assert runs["dihedral"].passes.forward <= 8 * 96
    assert runs["chest_reference"].passes.forward == 30 * 96
    frozen = learn.FrozenFeatures(run.model.features, run.split("external"), 16)
    upright = run.split("external").images(torch.arange(96))
    torch.testing.assert_close(frozen.upright(), run.model.features(upright).detach())


def test_a_listener_hears_the_loss_of_every_epoch():
    run, heard = run_for(), []
    how = learn.Training(after_epoch=heard.append)
    learn.finetune(run, run.model, loss=learn.blend(1.0), split="external", epochs=3, lr=1e-3, how=how)
    assert heard == run.facts["finetune"]["loss"]
    assert len(heard) == 3


def test_predictions_are_those_of_each_image_in_order():
    """More images than one batch, and a last batch that is smaller."""
    split, net = random_split("test", images=2 * BATCH + 7), random_net()
    with torch.no_grad():
        alone = [net(split.images(torch.tensor([i]))) for i in range(len(split))]
    torch.testing.assert_close(predict(net, split), torch.cat(alone), rtol=1e-4, atol=1e-6)
