"""What the options of DiffGda and DiffPrune mean: hand values, identities, slow references."""

import dataclasses

import pytest
import torch
from torch import nn

from bench import learn
from bench.checks.subject import RECIPE, logits, random_net, random_run
from bench.errors import EmptyGroup, UsageError
from bench.methods._masked_layers import MaskedLayer, layer_names, mask_layers, set_masks
from bench.methods._selection import comparable, measure, soft_gap
from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune
from bench.methods.fullft_rw import FullFTRW
from tests.unit.fits import example_b, fit

PROXIES = ("true_positive", "selection", "equalised_odds")
SITES = ("stem", "stem_activated", "convolutions")
ALWAYS = {"accuracy_drop": 1.0, "accuracy_least": 0.0, "accuracy_stop": 0.0}
"""Every state may be kept and the search never ends early."""


@pytest.fixture(scope="module")
def trained():
    """A network that tells the labels of the random splits apart, not perfectly."""
    run = random_run(FullFTRW(), "trained", recipe=dataclasses.replace(RECIPE, optimiser="adam"))
    return learn.finetune(run, run.model, loss=learn.blend(1.0), split="external", epochs=4, lr=2e-3)


def compared(proxy, y, a):
    return comparable(proxy, y.numpy(), a.numpy())


def test_soft_gaps_by_hand():
    z, y, a = example_b()
    for proxy, expected in (("true_positive", 0.25), ("selection", 0.5 - 0.8 / 3), ("equalised_odds", 0.125)):
        assert soft_gap(proxy, z, y, a).item() == pytest.approx(expected, abs=1e-12)
        assert soft_gap(proxy, z, y, 1 - a).item() == pytest.approx(-expected, abs=1e-12)
    keep = torch.tensor([True, True, False, True, True, True])  # group 1 has no positives left
    z, y, a = z[keep], y[keep], a[keep]
    assert not compared("true_positive", y, a)
    assert soft_gap("true_positive", z, y, a).item() == 0
    assert soft_gap("equalised_odds", z, y, a).item() == pytest.approx(0, abs=1e-12)
    assert soft_gap("selection", z, y, a).item() == pytest.approx(0.5 - 0.2, abs=1e-12)
    assert all(compared(proxy, y, a) for proxy in ("equalised_odds", "selection"))
    assert not any(compared(proxy, y[a == 0], a[a == 0]) for proxy in PROXIES)


def test_measured_gaps_by_hand():
    """TPR .6 and .4, FPR .1 and .2, 7 of 20 and 5 of 20 selected."""
    counts = {(1, 0): (6, 4), (0, 0): (1, 9), (1, 1): (2, 3), (0, 1): (3, 12)}  # (class, group): (selected, not)
    rows = [(score, y, a) for (y, a), (selected, rest) in counts.items() for score in [3.0] * selected + [-3.0] * rest]
    z, y, a = (torch.tensor(column) for column in zip(*rows, strict=True))
    y = y.float()
    for proxy, expected in (("true_positive", 0.2), ("selection", 0.1), ("equalised_odds", 0.05)):
        assert measure(z, y, a, proxy).gap == pytest.approx(expected, abs=1e-12)
    no_negatives = ~((y == 0) & (a == 1))
    z, y, a = z[no_negatives], y[no_negatives], a[no_negatives]
    assert measure(z, y, a, "true_positive").gap == pytest.approx(0.2, abs=1e-12)
    with pytest.raises(EmptyGroup, match="equalised_odds"):
        measure(z, y, a, "equalised_odds")


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    "cls",
    [
        lambda proxy: DiffGda(proxy=proxy, lr=1e-3, epochs=2, data="val"),
        lambda proxy: DiffPrune(proxy=proxy, step=0.05, max_steps=4, site="convolutions", saliency="taylor"),
    ],
    ids=["gda", "prune"],
)
def test_the_kept_gap_is_of_the_proxy_and_codes_of_groups_do_not_matter(cls, proxy, trained):
    results, method = [], cls(proxy)
    for flip in (False, True):
        run = random_run(method, "x", net=trained)
        for name in method.uses:
            data = run.split(name)
            data.a[(data.y == 1).nonzero().flatten()[::3]] = 0  # more positives in one group,
            data.y[(data.a == 0).nonzero().flatten()[::3]] = 1.0  # some of them hard
            data.a = 1 - data.a if flip else data.a
        val = run.split("val")
        start = measure(run.score(run.model, "val"), val.y, val.a, proxy)
        model = method.fit(run)
        end = measure(run.score(model, "val"), val.y, val.a, proxy)
        assert start.gap != 0
        assert abs(end.gap) <= abs(start.gap)
        results.append(logits(model))
    assert torch.equal(*results)


@pytest.mark.parametrize("method", [DiffGda(lr=1e-3, epochs=1, **ALWAYS), DiffPrune(step=0.05, **ALWAYS)])
def test_data_val_is_the_validation_set_in_the_place_of_the_external_one(method, trained):
    run = random_run(method, "x", net=trained)
    run._opened["external"] = run.split("val")
    here, (alone, there) = method.fit(run), fit(dataclasses.replace(method, data="val"), net=trained)
    assert torch.equal(logits(here), logits(there))
    assert run.facts == alone.facts
    assert set(alone._opened) == {"val"}
    assert alone.facts != fit(method, net=trained)[0].facts


def test_evaluating_in_training_mode_moves_the_statistics_and_in_evaluation_mode_nothing():
    net = random_net()
    for evaluation, moved in (("eval", set()), ("train", {"running_mean", "running_var", "num_batches_tracked"})):
        _, model = fit(DiffGda(evaluation=evaluation, epochs=0, **ALWAYS), net=net)
        before, after = net.state_dict(), model.state_dict()
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert {name.rpartition(".")[2] for name in changed} == moved
        # 96 images in batches of 16 pass once, for the candidate that is the baseline.
        assert int(after["features.1.num_batches_tracked"]) == (6 if moved else 0)


def test_absolute_bounds_are_a_drop_of_one(trained):
    run, _ = fit(DiffGda(epochs=0, **DiffGda.presets["reference"]), net=trained)
    assert run.facts["floor"] == 0.75
    run, _ = fit(DiffGda(epochs=0), net=trained)
    assert run.facts["floor"] == pytest.approx(run.facts["first"]["balanced_accuracy"] - 0.02)


@pytest.mark.parametrize("unit", ["position", "channel"])
@pytest.mark.parametrize("site", SITES)
def test_masks_of_ones_change_nothing_and_masks_of_zeros_silence_the_site(site, unit):
    net, plain = random_net(), random_net()
    for module in net.modules():  # a BatchNorm that does not map 0 to 0
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5, generator=torch.Generator().manual_seed(0))
    plain.load_state_dict(net.state_dict())
    layers = mask_layers(net, torch.zeros(1, 3, 32, 32), site, unit)
    units = sum(layer.mask.numel() for layer in layers)
    assert torch.equal(logits(net), logits(plain))
    assert (
        units
        == {
            ("stem", "position"): 16 * 256,
            ("stem_activated", "position"): 16 * 256,
            ("convolutions", "position"): 16 * 256 + 32 * 64 + 64 * 16 + 128 * 4,
            ("stem", "channel"): 16,
            ("stem_activated", "channel"): 16,
            ("convolutions", "channel"): 16 + 32 + 64 + 128,
        }[site, unit]
    )
    set_masks(layers, torch.zeros(units))
    # The same silence by weights: no convolution, or a BatchNorm that sends 0 to the activation.
    silent = {"stem": ["0.weight"], "stem_activated": ["1.weight", "1.bias"]}
    for name in silent.get(site, ["0.weight", "3.weight", "6.weight", "9.weight"]):
        nn.init.zeros_(plain.get_parameter(f"features.{name}"))
    assert not torch.equal(logits(plain), logits(random_net()))
    torch.testing.assert_close(logits(net), logits(plain), rtol=1e-6, atol=1e-6)


def test_a_site_that_is_not_there_is_named():
    assert layer_names(nn.Sequential(nn.Conv2d(1, 1, 1), nn.SiLU(), nn.ReLU()), "stem_activated") == ["1"]
    with pytest.raises(UsageError, match="site=stem_activated"):
        layer_names(nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1)), "stem_activated")
    with pytest.raises(UsageError, match="site=stem:"):
        layer_names(nn.Sequential(nn.Flatten()), "stem")


def influences(net, batch=96, **options):
    method = DiffPrune(**options)
    run = random_run(method, "x", net=net, recipe=dataclasses.replace(RECIPE, batch=batch))
    run.model.requires_grad_(False)
    layers = mask_layers(run.model, torch.zeros(1, 3, 32, 32), method.site, method.unit)
    return method.influence(run, run.model, layers), run, layers


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("site", SITES)
def test_saliencies_are_derivatives_by_shifts_and_by_masks(site, proxy, trained):
    """Of the gap: by what is added to a unit in all images (gradient), and by its mask (taylor), per image."""
    options = {"site": site, "proxy": proxy}
    by_gradient, run, layers = influences(trained, **options)
    data = run.split("external")
    x = data.images(torch.arange(96))

    def gap():
        return soft_gap(proxy, run.model(x), data.y, data.a)

    for layer in layers:
        layer.mask.requires_grad_(True)
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(gap(), [layer.mask for layer in layers])]) / 96
    by_taylor = influences(trained, saliency="taylor", **options)[0]
    torch.testing.assert_close(by_taylor, expected, rtol=1e-4, atol=1e-9)

    shifts = [torch.zeros_like(layer.mask).requires_grad_(True) for layer in layers]
    for layer, shift in zip(layers, shifts, strict=True):
        layer.register_forward_hook(lambda module, inputs, output, shift=shift: output + shift)
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(gap(), shifts)]) / 96
    torch.testing.assert_close(by_gradient, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("saliency", ["gradient", "taylor"])
def test_a_channels_saliency_is_the_sum_over_its_places(saliency, trained):
    place, channel = (
        influences(trained, batch=16, saliency=saliency, unit=unit)[0] for unit in ("position", "channel")
    )
    torch.testing.assert_close(channel, place.view(16, -1).sum(1), rtol=1e-4, atol=1e-8)


def test_channels_go_one_at_a_time_and_are_filters_without_weights(trained):
    run, model = fit(DiffPrune(unit="channel", max_steps=3, **ALWAYS), net=trained)
    path, layer = run.facts["path"], next(m for m in model.modules() if isinstance(m, MaskedLayer))
    assert [step.get("pruned", 0) for step in path] == [0, 1, 2, 3, 4]
    assert run.facts["units"] == 16
    set_masks([layer], torch.tensor([0.0, 1, 0] + [1] * 13))
    filters = random_net()
    filters.load_state_dict(trained.state_dict())
    with torch.no_grad():
        filters.get_parameter("features.0.weight")[[0, 2]] = 0
    torch.testing.assert_close(logits(model), logits(filters), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("site", SITES)
def test_diff_prune_adds_masks_and_changes_no_weight_or_statistic(site, trained):
    _, model = fit(DiffPrune(site=site, step=0.1, max_steps=2, **ALWAYS), net=trained)
    after = {name.replace(".layer", ""): tensor for name, tensor in model.state_dict().items()}
    before = trained.state_dict()
    assert all(torch.equal(tensor, after.pop(name)) for name, tensor in before.items())
    assert all(name.endswith(".mask") for name in after)
