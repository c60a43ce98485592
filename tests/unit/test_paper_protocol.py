"""`preset=paper` and what it needs: the paper as printed, by hand on tiny tensors; and that `bench ls` shows it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench import learn, registry
from bench.api import Input, Recipe
from bench.checks.subject import RECIPE, random_net, random_run
from bench.data.augment import IMAGES, channel_statistics, normalise
from bench.data.image_split import ImageSplit
from bench.errors import DataInvalid
from bench.listing import show
from bench.methods.diff_gda import DiffGda
from bench.methods.swift import SWiFT, reset
from bench.running import compute_cell
from bench.running.plan import PRETRAIN_FIELDS
from bench.settings import Settings

PAPER = {
    "baseline": {},
    "bmft": {"scope": "module"},
    "diff_gda": {"budget": "recipe"},
    "diff_prune": {},
    "fair_prune": {},
    "fullft_fdr": {},
    "fullft_reg": {},
    "fullft_rw": {},
    "group_thresholds": {},
    "llft": {"budget": "recipe"},
    **{name: {} for name in ("afr", "dfr", "group_dro", "leace", "oxonfair", "ssd")},
    "swift": {"scope": "module", "reinit_scope": "head_all"},
}
"""What the paper prints and the defaults do otherwise; the register has the reasons."""
ANY_STATE = {"accuracy_drop": 1.0, "accuracy_least": 0.0, "accuracy_stop": 0.0}


@pytest.mark.parametrize("name", sorted(registry.METHODS.catalogue()))
def test_the_preset_of_the_paper_sets_what_the_paper_prints_and_ls_shows_it(name):
    cls = registry.METHODS.load(name)
    assert cls.presets["paper"] == PAPER[name]
    assert registry.METHODS.build(f"{name}:preset=paper") == cls(**PAPER[name])
    said = ",".join(f"{key}={value}" for key, value in PAPER[name].items()) or "the defaults"
    assert f"preset=paper {said}" in " ".join(show("methods", name).split())


# --- Eqs. 9 and 12: importances per layer, gamma over the head ---------------------------------

BIAS = {"head.1.weight": [[0.0, 1.0, 4.0]], "head.1.bias": [3.0]}
PREDICTION = {"head.1.weight": [[2.0, 1.0, 0.0]], "head.1.bias": [4.0]}


def ratio(method, monkeypatch):
    """The importance ratio of a head with the importances above."""
    given = [{name: torch.tensor(v) for name, v in part.items()} for part in (BIAS, PREDICTION)]
    monkeypatch.setitem(learn.__dict__, "fisher_importances", lambda *_: given)
    run = random_run(method, "x")
    return method.ratio(run, run.model, "external")


def test_importances_of_a_layer_are_scaled_together_as_the_paper_prints(monkeypatch):
    """Weight and bias of the layer are one unit: (0, 1, 4, 3) and (2, 1, 0, 4) become (0, 1/4, 1, 3/4), (1/2, 1/4, 0, 1)."""
    for name in ("swift", "bmft"):
        r = ratio(registry.METHODS.build(f"{name}:preset=paper"), monkeypatch)
        torch.testing.assert_close(r["head.1.weight"][0, :2], torch.tensor([0.0, 1.0]))
        assert r["head.1.weight"][0, 2].item() == pytest.approx(1e10, rel=1e-3)
        assert r["head.1.bias"].item() == pytest.approx(0.75)
    by_tensor = ratio(SWiFT(), monkeypatch)
    torch.testing.assert_close(by_tensor["head.1.weight"][0, :2], torch.tensor([0.0, 0.5]))
    assert by_tensor["head.1.bias"].item() == pytest.approx(3 / 4)  # the raw values of a tensor of one entry


def test_the_bias_counts_in_gamma_and_is_reset_as_the_paper_prints(monkeypatch):
    """M = tanh of (0, 1, 1e10, 3/4) = (0, .7616, 1, .6351), gamma = .5992: two weights and the bias are reset."""
    method = registry.METHODS.build("swift:preset=paper")
    ranked = ratio(method, monkeypatch)
    mask = learn.soft_mask(ranked)
    linear = nn.Linear(3, 1)
    nn.init.ones_(linear.weight)
    nn.init.ones_(linear.bias)
    facts = reset(linear, method.reinit, mask, ranked, method.reinit_scope, method.reset_share)
    assert facts == {
        "gamma": pytest.approx(0.599186, abs=1e-6),
        "reset_share": pytest.approx(2 / 3),
        "reset_bias": True,
    }
    assert linear.weight.tolist() == [[1.0, 0.0, 0.0]]
    assert linear.bias.tolist() == [0.0]


# --- Section 4.2: the budget of DiffGda --------------------------------------------------------


@pytest.mark.parametrize(
    ("optimiser", "moved"),
    [
        ("sgd", lambda w, g: -0.05 * (g + 0.1 * w)),  # the first step of SGD with momentum and decay
        ("adam", lambda w, g: -0.05 * g / (g.abs() + 1e-8)),  # of Adam, which knows no decay
    ],
)
def test_diff_gda_on_the_budget_of_the_recipe_takes_its_steps_by_hand(optimiser, moved):
    recipe = dataclasses.replace(RECIPE, optimiser=optimiser, lr_extractor=0.05, weight_decay=0.1, epochs=1, batch=96)
    net = random_net()
    run = random_run(DiffGda(), "x", net=net, recipe=recipe)
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    DiffGda(budget="recipe", **ANY_STATE).fit(run)
    assert run.facts["steps"] == 1
    for name, p in run.model.named_parameters():
        step = moved(before[name], p.grad)
        torch.testing.assert_close(p.detach() - before[name], step, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("epochs", [2, 3])
def test_diff_gda_takes_the_epochs_of_the_recipe_only_if_asked(epochs):
    recipe = dataclasses.replace(RECIPE, epochs=epochs, batch=48)
    for method, passes in ((DiffGda(budget="recipe", **ANY_STATE), epochs), (DiffGda(epochs=1, **ANY_STATE), 1)):
        run = random_run(method, "x", recipe=recipe)
        method.fit(run)
        assert run.facts["steps"] == 2 * passes


# --- Section 4.2: ImageNet weights and z-scores ------------------------------------------------


def test_the_weights_of_imagenet_have_two_versions_for_a_resnet_50_alone():
    files = {
        backbone: [registry.backbone(backbone).weight_file(which)[1].name for which in ("imagenet", "imagenet_v1")]
        for backbone in ("resnet50", "resnet18", "densenet121", "efficientnet_b3")
    }
    assert files["resnet50"] == ["resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth"]
    assert all(one == other for name, (one, other) in files.items() if name != "resnet50")


def pixels(*values):
    """A cache of images of one pixel, one channel."""
    return np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 1)


def test_statistics_of_a_set_by_hand():
    """Of 51, 102 and 153 of 255 the mean is .4 and the variance 2/3 x .2^2; the fourth image is not asked for."""
    mean, std = channel_statistics(pixels(51, 102, 153, 255), np.arange(3))
    assert mean == pytest.approx((0.4,))
    assert std == pytest.approx(((2 / 3) ** 0.5 * 0.2,))
    rng = np.random.default_rng(0)
    array, rows = rng.integers(0, 256, (200, 5, 5, 3), dtype=np.uint8), np.arange(10, 190)
    mean, std = channel_statistics(array, rows)
    np.testing.assert_allclose(mean, (array[rows] / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (array[rows] / 255).std((0, 1, 2)), rtol=1e-12)
    with pytest.raises(DataInvalid, match="pretrain_statistics=training"):
        channel_statistics(pixels(7, 7), np.arange(2))


def test_images_are_standardised_by_the_statistics_of_their_split():
    array = pixels(51, 102, 153)
    split = ImageSplit("val", array, [0, 1, 2], [0, 1, 0], [0, 1, 0], list("abc"), given=Input(mean=(0.4,), std=(0.1,)))
    for x in (split.images(torch.arange(3)), split.where(torch.ones(3, dtype=torch.bool)).images(torch.arange(3))):
        assert x.shape == (3, 3, 1, 1)
        torch.testing.assert_close(x[:, 2, 0, 0], torch.tensor([-2.0, 0.0, 2.0]))
    assert torch.equal(
        normalise(torch.zeros(1, 1, 2, 2, dtype=torch.uint8)),
        normalise(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), IMAGES),
    )


@pytest.mark.parametrize(("kind", "mean"), [("imagenet", IMAGES.mean), ("training", (0.3,))])
def test_a_cell_standardises_all_its_images_by_the_training_part_of_its_fold(monkeypatch, kind, mean):
    """Images 51 and 102 are for training in fold 0; the third is for validation, and tested images have a cache of their own."""
    recipe = dataclasses.replace(RECIPE, pretrain_statistics=kind)
    cached = SimpleNamespace(array=pixels(51, 102, 153), rows=lambda uids: uids.to_numpy())
    parts = {"train": [0, 1], "val": [2], "test": [2]}

    def split(name, fold):
        import pandas as pd

        return pd.DataFrame({"uid": parts[name], "y": 0, "a": 0})

    task = SimpleNamespace(recipe=recipe, ood={"test": None})
    data = SimpleNamespace(task=task, split=split, input=IMAGES, user_checkpoint=None)
    data.joint = data  # of a task with one label
    monkeypatch.setattr(compute_cell, "_open_task", lambda settings: data)
    monkeypatch.setattr(compute_cell, "_open_caches", lambda settings: {"source": cached, "test": cached})
    compute_cell.input_of.cache_clear()
    splits = compute_cell.open_splits(Settings("t"), data, 0)
    compute_cell.input_of.cache_clear()
    for name in parts:
        assert splits[name]().given.mean == pytest.approx(mean)


def test_baselines_with_other_statistics_are_others():
    assert "pretrain_statistics" in PRETRAIN_FIELDS
    assert {field.name for field in dataclasses.fields(Recipe)} >= set(PRETRAIN_FIELDS)
    text = " ".join(show("tasks", "cxr-age").split())
    assert "pretrain_statistics=imagenet Mean and standard deviation by which pixels are standardised" in text
    assert "weights=imagenet Initial weights of pre-training" in text
