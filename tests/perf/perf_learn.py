"""Short cuts: importances from one forward pass, a head on cached features, an ablation that shares its first step."""

import dataclasses
import itertools

import pytest
import torch

from bench import learn
from bench.cells.identity import Cell
from bench.checks.subject import RECIPE, random_net, random_split
from bench.data.image_split import ImageSplit
from bench.learn import frozen_features
from bench.learn.device import device
from bench.learn.losses import equalised_odds_proxy, prediction_loss
from bench.methods.swift import SWiFT
from bench.running.context import CellRun, SharedCache
from tests.perf.sizes import a_run, bar, cached, network


def on_device(split):
    """Return the split with what it gives on the device of this machine."""
    return ImageSplit(split.name, split._array, split.rows, split.y, split.a, split.uids, device=device())


def cell(images):
    """Return a cell of the small backbone with an external set of 64-pixel images."""
    split = on_device(random_split("external", images=images, size=64))
    recipe = dataclasses.replace(RECIPE, batch=128)
    return CellRun(
        random_net().to(device()),
        recipe,
        {"external": lambda: split},
        frozenset({"external"}),
        Cell("perf", "small", "perf", fold=0, seed=0),
    )


def separate_passes(run, net):
    """The importances as Eqs. 5-8 of SWiFT read: for each loss a pass over the images, forward and backward."""
    net.eval()
    importances = []
    for loss in (lambda z, y, a: equalised_odds_proxy(z, y, a), lambda z, y, a: prediction_loss(z, y)):
        total, batches = {name: torch.zeros_like(p) for name, p in net.named_parameters()}, 0
        draws = run.rng("fisher", shared=True)
        for x, y, a in run.split("external").batches(size=run.recipe.batch, shuffle=True, rng=draws):
            gradients = torch.autograd.grad(loss(net(x), y, a), list(net.parameters()))
            for value, gradient in zip(total.values(), gradients, strict=True):
                value += gradient**2
            batches += 1
        importances.append({name: value / batches for name, value in total.items()})
    return tuple(importances)


@pytest.mark.gpu
def test_importances_from_one_forward_pass(compare, tmp_path):
    """A ResNet-50 at 224; nothing does better than 5/6 where backward costs twice forward."""
    check_importances()
    images, batch, pairs = (4, 4, 7) if device().type == "cpu" else (512, 64, 3)
    run = a_run(network(), {"external": lambda: cached(tmp_path, "external", images)}, batch=batch)
    compare(
        "importances: one forward, two backward / separate passes",
        lambda: learn.fisher_importances(run, run.model, "external"),
        lambda: separate_passes(run, run.model),
        bar=0.875,
        pairs=pairs,
        warm=device().type != "cpu",
    )


def check_importances():
    """Both ways give the same numbers."""
    run = cell(images=256)
    together = learn.fisher_importances(run, run.model, "external")
    for one, other in zip(together, separate_passes(run, run.model), strict=True):
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.parametrize(("epochs", "allowed"), [(10, 0.65), (20, 0.45)])
def test_head_on_cached_features(compare, tmp_path, epochs, allowed):
    """At 224 pixels, where the extractor is what takes time; the small one on a CPU."""
    backbone, images, batch = ("small", 64, 16) if device().type == "cpu" else ("resnet50", 1024, 128)
    run = a_run(network(backbone), {"external": lambda: cached(tmp_path, "external", images)}, batch=batch)

    def head(cache):
        frozen_features._last.clear()  # else the second time would find what the first computed
        learn.finetune(
            run,
            run.model,
            train=("head",),
            loss=learn.blend(0.9),
            split="external",
            epochs=epochs,
            lr=1e-3,
            stage="step 2",
            how=learn.Training(cache=cache),
        )

    compare(
        f"{epochs} epochs of the head: features cached / not cached",
        lambda: head(True),
        lambda: head(False),
        bar=allowed,
        pairs=3,
        warm=device().type != "cpu",
    )


@pytest.mark.gpu
def test_nine_thresholds(compare, tmp_path):
    """Importances, the first step and the features of the second are those of all thresholds."""
    split = on_device(random_split("external", images=256, size=64))
    recipe = dataclasses.replace(RECIPE, batch=128, epochs=10)
    net, sweeps = random_net().to(device()), itertools.count()

    def sweep(shared):
        shared_cache = SharedCache(tmp_path / str(next(sweeps)), {}) if shared else None
        frozen_features._last.clear()
        for share in range(1, 10):
            if not shared:
                frozen_features._last.clear()
            run = CellRun(
                net,
                recipe,
                {"external": lambda: split},
                frozenset({"external"}),
                Cell("perf", "small", "swift", fold=0, seed=0),
                shared_cache=shared_cache,
            )
            SWiFT(reset_share=share / 10).fit(run)

    compare(
        "SWiFT at nine thresholds / nine SWiFT alone",
        lambda: sweep(True),
        lambda: sweep(False),
        bar=bar(0.20, 0.25),
        pairs=1 if device().type == "cpu" else 3,
        warm=device().type != "cpu",
    )
