"""What the options of LLFT, DiffGda, DiffPrune and FairPrune mean: hand values, identities, slow references."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from bench import learn, registry
from bench.checks.subject import RECIPE, logits, random_net, random_run, random_split
from bench.data.image_split import ImageSplit
from bench.errors import EmptyGroup, UsageError
from bench.learn import importance
from bench.methods._masked_layers import MaskedLayer, layer_names, mask_layers, set_masks
from bench.methods._selection import measure, soft_gap
from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune
from bench.methods.fair_prune import FairPrune, smallest
from bench.methods.fullft_rw import FullFTRW
from bench.methods.llft import LLFT
from bench.net import Net
from bench.register import deciding
from bench.run.context import SharedCache
from bench.spec import describe

FOUR = {"llft": LLFT, "diff_gda": DiffGda, "diff_prune": DiffPrune, "fair_prune": FairPrune}
PROXIES = ("true_positive", "selection", "equalised_odds")
SITES = ("stem", "stem_activated", "convolutions")
ALWAYS = {"accuracy_drop": 1.0, "accuracy_least": 0.0, "accuracy_stop": 0.0}
"""Every state may be kept and the search never ends early."""


@pytest.fixture(scope="module")
def trained():
    """A network that tells the labels of the random splits apart, not perfectly."""
    run = random_run(FullFTRW(), "trained", recipe=dataclasses.replace(RECIPE, optimiser="adam"))
    return learn.finetune(run, run.model, loss=learn.blend(1.0), split="external", epochs=4, lr=2e-3)


def fit(method, **changes):
    run = random_run(method, "x", **changes)
    return run, method.fit(run)


def example_b():
    """z, y, a of the cells (0, 1) twice, (1, 1), (0, 0), (1, 0) twice, with the scores of the hand example."""
    p = torch.tensor([0.8, 0.5, 0.4, 0.2, 0.1, 0.3], dtype=torch.float64)
    return torch.log(p / (1 - p)), torch.tensor([1.0, 1, 1, 0, 0, 0]).double(), torch.tensor([0, 0, 1, 0, 1, 1])


# --- all four ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOUR)
def test_presets_and_grids_are_settings_that_read_what_they_declare(name):
    cls = FOUR[name]
    assert set(cls.presets) == {"suite", "paper", "reference"}
    assert cls(**cls.presets["suite"]) == cls()
    for values in cls.presets.values():
        run, model = fit(cls(**values))
        assert torch.isfinite(logits(model)).all()
        assert set(run._opened) == cls(**values).uses
    for values in itertools.product(*cls.search.values()):
        method = cls(**dict(zip(cls.search, values, strict=True)))
        assert registry.METHODS.build(describe(name, method)) == method


@pytest.mark.parametrize(
    ("cls", "rows"),
    [
        (LLFT, {"D37", "D76", "D77", "D78", "D79"}),
        (DiffGda, {"D32", "D33", "D43", "D44", "D80", "D81"}),
        (DiffPrune, {"D34", "D43", "D80", "D81", "D82", "D83", "D84"}),
        (FairPrune, {"D36", "D85", "D87", "D88", "D89"}),
    ],
)
def test_options_name_the_rows_of_the_register_that_they_decide(cls, rows):
    name = cls.__module__.rpartition(".")[2]
    assert {row for field in dataclasses.fields(cls) for row in deciding(name, field.name)} == rows


@pytest.mark.parametrize(
    ("cls", "given", "says"),
    [
        (LLFT, {"constraint": "eq10", "alpha": 5.0}, ["LLFT.alpha=5.0", "constraint=joint_rates"]),
        (LLFT, {"beta": 0.5}, ["LLFT.beta=0.5", "constraint=eq10"]),
        (LLFT, {"budget": "recipe", "lr": 0.1}, ["LLFT.lr=0.1", "budget=converge"]),
        (LLFT, {"budget": "recipe", "batch": 32}, ["LLFT.batch=32", "budget=converge"]),
        (LLFT, {"initial": "zeros"}, ["LLFT.initial", "zeros", "did you mean zero"]),
        (DiffGda, {"budget": "recipe", "lr": 0.1}, ["DiffGda.lr=0.1", "budget=original"]),
        (DiffGda, {"budget": "recipe", "epochs": 3}, ["DiffGda.epochs=3", "budget=original"]),
        (DiffGda, {"data": "train"}, ["DiffGda.data", "train", "external, val"]),
        (DiffPrune, {"site": "stem_active"}, ["DiffPrune.site", "did you mean stem_activated"]),
        (FairPrune, {"ratio": 1.5}, ["FairPrune.ratio=1.5", "0 to 1"]),
    ],
)
def test_what_cannot_be_is_refused_by_name_with_what_is_allowed(cls, given, says):
    with pytest.raises(UsageError) as caught:
        cls(**given)
    assert all(words in str(caught.value) for words in says)


# --- LLFT --------------------------------------------------------------------------------------


def test_llft_losses_by_hand():
    z, y, a = example_b()
    # Joint rates: |.2 - .4| / 3 of false positives and |.7 - .6| / 3 of false negatives, .1 in all.
    base = learn.prediction_loss(z, y).item()
    assert LLFT(alpha=2).loss(z, y, a).item() == pytest.approx(base + 0.2, abs=1e-12)
    assert LLFT(constraint="eq10", beta=0).loss(z, y, a).item() == pytest.approx(0.601986, abs=5e-7)
    half = LLFT(constraint="eq10", beta=0.5).loss(z, y, a).item()
    assert half == pytest.approx(0.5 * base + 0.5 * 0.601986, abs=5e-7)
    p, y = torch.tensor([0.8, 0.4, 0.2, 0.1]), torch.tensor([1.0, 0, 0, 0])
    z, a = torch.log(p / (1 - p)), torch.tensor([0, 1, 0, 1])
    assert LLFT(alpha=0).loss(z, y, a).item() == pytest.approx(0.0942975, abs=5e-7)
    assert LLFT(alpha=0, prediction="plain").loss(z, y, a).item() == pytest.approx(1.062475 / 4, abs=5e-7)


def test_llft_starts_where_it_says():
    net = random_net()
    heads = {start: fit(LLFT(initial=start, max_epochs=0), net=net)[1].linear for start in ("default", "zero", "keep")}
    assert torch.equal(heads["keep"].weight, net.linear.weight)
    assert torch.equal(heads["keep"].bias, net.linear.bias)
    assert not heads["zero"].weight.any()
    assert not heads["zero"].bias.any()
    weight = heads["default"].weight
    assert 0.8 * 128**-0.5 < weight.abs().max() <= 128**-0.5
    assert not torch.equal(weight, net.linear.weight)


def test_llft_without_dropout_and_from_zero_has_nothing_random_left():
    def weight(dropout, seed):
        method = LLFT(initial="zero", head_dropout=dropout, max_epochs=5)
        return fit(method, seed=seed)[1].linear.weight

    assert torch.equal(weight(0.0, 0), weight(0.0, 1))
    assert not torch.equal(weight(0.5, 0), weight(0.5, 1))


@pytest.mark.parametrize("beta", [0.3, 0.9])
def test_llft_with_the_recipes_budget_is_fine_tuning_of_the_head(beta):
    run, model = fit(LLFT(constraint="eq10", beta=beta, budget="recipe", initial="keep"))
    other = random_run(LLFT(), "x")
    learn.finetune(
        other,
        other.model,
        train=("head",),
        loss=learn.blend(beta),
        split="external",
        epochs=RECIPE.epochs,
        lr=RECIPE.lr_head,
        stage="head",
    )
    assert torch.equal(logits(model), logits(other.model))
    assert run.facts["head"]["steps"] == RECIPE.epochs * 96 // RECIPE.batch


@pytest.mark.parametrize("budget", ["converge", "recipe"])
def test_llft_changes_the_head_alone(budget):
    net = random_net()
    _, model = fit(LLFT(budget=budget), net=net)
    before, after = net.state_dict(), model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.1.weight", "head.1.bias"}


# --- DiffGda and DiffPrune: the gap ------------------------------------------------------------


def test_soft_gaps_by_hand():
    z, y, a = example_b()
    for proxy, expected in (("true_positive", 0.25), ("selection", 0.5 - 0.8 / 3), ("equalised_odds", 0.125)):
        assert soft_gap(proxy, z, y, a).item() == pytest.approx(expected, abs=1e-12)
        assert soft_gap(proxy, z, y, 1 - a).item() == pytest.approx(-expected, abs=1e-12)
    keep = torch.tensor([True, True, False, True, True, True])  # group 1 has no positives left
    z, y, a = z[keep], y[keep], a[keep]
    assert soft_gap("true_positive", z, y, a) is None
    assert soft_gap("equalised_odds", z, y, a).item() == pytest.approx(0, abs=1e-12)
    assert soft_gap("selection", z, y, a).item() == pytest.approx(0.5 - 0.2, abs=1e-12)
    assert all(soft_gap(proxy, z[a == 0], y[a == 0], a[a == 0]) is None for proxy in PROXIES)


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


# --- DiffPrune: where, what and by which order -------------------------------------------------


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


# --- FairPrune ---------------------------------------------------------------------------------


class Residual(nn.Module):
    """A block as in a ResNet, so that a weight reaches the logit on two ways."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(4)
        self.inner, self.inner_norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)

    def forward(self, x):
        h = torch.relu(self.norm(self.stem(x)))
        return torch.relu(h + self.inner_norm(self.inner(h))).mean((2, 3))


class Double(ImageSplit):
    """A split whose images are float64."""

    def images(self, index, augmentation=None):
        return super().images(index).double()

    def where(self, keep):
        return Double(self.name, self.array, self.rows[keep.numpy()], self.y[keep], self.a[keep], self.uids[keep])


def residual(images=20, batch=18):
    """A run of a small residual network in float64 with statistics of its own, and data with 5 in 20 positives."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(Residual(), 4).double().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                    nn.init.uniform_(tensor, 0.2, 1.5)
        nn.init.normal_(net.linear.weight)
    run = random_run(FairPrune(), "fair_prune", net=net, recipe=dataclasses.replace(RECIPE, batch=batch))
    plain = random_split("external", images=images)
    data = Double("external", plain.array, plain.rows, (torch.arange(images) % 4 == 0).float(), plain.a, plain.uids)
    return run, run.model, data


def image_by_image(net, data, weighted):
    """The exact diagonal by one backward pass per image."""
    total = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    share = data.y.double().mean()
    for x, y, _ in data.batches(size=1):
        z = net(x)
        p = torch.sigmoid(z).item()
        weight = (1 - share if y else share) if weighted else 1
        for name, g in zip(total, torch.autograd.grad(z, list(net.parameters())), strict=True):
            total[name] += weight * p * (1 - p) * g**2 / len(data)
    return total


@pytest.mark.parametrize("weighted", [False, True])
def test_exact_curvature_is_the_loop_over_images(weighted):
    run, net, data = residual()
    found = importance.curvature(run, net, data, torch.Generator(), "exact", weighted=weighted)
    assert (run.passes.forward, run.passes.backward) == (20, 20)
    expected = image_by_image(net, data, weighted)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6 if weighted else 1e-10, atol=1e-15)
    assert all(torch.equal(b, c) for b, c in zip(net.buffers(), residual()[1].buffers(), strict=True))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_of_random_signs_falls_with_the_root_of_the_draws(weighted):
    """16 times the draws, a quarter of the error; a bias would leave a floor."""
    run, net, data = residual(images=12, batch=4)
    flat = lambda h: torch.cat([value.flatten() for value in h.values()])  # noqa: E731
    exact, rng = flat(image_by_image(net, data, weighted)), torch.Generator().manual_seed(0)
    estimates = torch.stack([flat(importance.curvature(run, net, data, rng, weighted=weighted)) for _ in range(480)])

    def error(draws):
        means = estimates.view(-1, draws, len(exact)).mean(1)
        return ((means - exact).norm(dim=1) / exact.norm()).square().mean().sqrt().item()

    assert 2.8 < error(5) / error(80) < 5.7


@pytest.mark.parametrize("weighted", [False, True])
def test_curvature_by_batch_is_the_squared_gradient_of_the_batchs_loss(weighted):
    run, net, data = residual()
    found = importance.curvature(run, net, data, torch.Generator(), "batch", weighted=weighted)
    expected = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    share = data.y.mean()
    for x, y, _ in data.batches(size=18):
        weight = torch.where(y == 1, 1 - share, share) if weighted else None
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), y.double(), weight=weight)
        for name, g in zip(expected, torch.autograd.grad(loss, list(net.parameters())), strict=True):
            expected[name] += g**2 / 2
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-15)


def test_both_directions_share_the_weights_out_among_them():
    net = random_net()
    total = FairPrune(ratio=1).pruned(net)
    least = FairPrune(ratio=0.35)
    most = FairPrune(ratio=(total - least.pruned(net) + 0.5) / total, direction="largest")
    assert least.pruned(net) + most.pruned(net) == total
    zeros = []
    for method in (least, most):
        _, model = fit(method, net=net)
        zeros.append(torch.cat([(weight == 0).flatten() for weight in method.prunable(model).values()]))
        assert int(zeros[-1].sum()) == method.pruned(net)
    assert torch.equal(zeros[0], ~zeros[1])
    s = torch.tensor([0.3, -1.0, 0.3, 2.0, 0.0])
    assert smallest(-s, 2).tolist() == [True, False, False, True, False]


def test_ties_are_cut_at_the_exact_count_by_position():
    """Without a head all curvatures are 0, and so are all saliencies."""
    net = random_net()
    nn.init.zeros_(net.linear.weight)
    method = FairPrune(ratio=0.1, privileged="0")
    run, model = fit(method, net=net)
    zeros = torch.cat([(w == 0).flatten() for n, w in method.prunable(model).items() if n.startswith("features")])
    count = method.pruned(net)
    assert run.facts["pruned"] == count
    assert zeros[:count].all()
    assert not zeros[count:].any()
    assert run.facts["pruned_share"]["features.0.weight"] == 1
    assert run.warnings == [
        "FairPrune removed 100% of features.0.weight",
        "FairPrune removed 100% of features.3.weight",
    ]


@pytest.mark.parametrize("include_norm", [False, True])
def test_weights_of_batch_norm_are_pruned_only_where_asked_and_biases_never(include_norm):
    net, method = random_net(), FairPrune(ratio=1, include_norm=include_norm)
    _, model = fit(method, net=net)
    norms = [name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)]
    before, after = net.state_dict(), model.state_dict()
    for name in norms:
        assert bool((after[f"{name}.weight"] == 0).all()) == include_norm
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(method.prunable(net))
    assert method.pruned(net) == FairPrune(ratio=1).pruned(net) + include_norm * (16 + 32 + 64 + 128)


def test_fair_prune_reads_the_validation_set_only_to_find_the_privileged_group():
    assert FairPrune().uses == {"external", "val"}
    runs = {code: fit(FairPrune(privileged=code)) for code in ("0", "1", "auto")}
    assert set(runs["0"][0]._opened) == FairPrune(privileged="0").uses == {"external"}
    found = str(runs["auto"][0].facts["privileged"])
    assert torch.equal(logits(runs["auto"][1]), logits(runs[found][1]))


def test_ratios_and_betas_share_one_curvature(tmp_path, monkeypatch):
    calls, original = [], importance.curvature
    monkeypatch.setattr(importance, "curvature", lambda *args, **kw: calls.append(args) or original(*args, **kw))

    def shelved(method):
        calls.clear()
        run = random_run(method, "fair_prune")
        run._shared_cache = SharedCache(tmp_path, {})
        return logits(method.fit(run)), len(calls), run.passes

    first, made, cost = shelved(FairPrune())
    again, spared, same_cost = shelved(FairPrune(ratio=0.1, beta=0.9))
    assert (made, spared) == (2, 0)
    assert cost == same_cost
    assert shelved(FairPrune(prediction="weighted"))[1] == shelved(FairPrune(curvature="batch"))[1] == 2
    for method, shared in ((FairPrune(), first), (FairPrune(ratio=0.1, beta=0.9), again)):
        assert torch.equal(shared, logits(method.fit(random_run(method, "fair_prune"))))
