"""docs/cost.py: its work is what cells count, and docs/cost.md shows what it prints."""

import dataclasses
import importlib.util
import sys
from functools import partial
from pathlib import Path

import pytest

from bench import registry
from bench.checks.subject import RECIPE, SPLITS, random_split, trained_net
from bench.run.context import CellRun
from bench.run.plan import build_method

DOCS = Path(__file__).parents[2] / "docs"
EXTERNAL, VAL = 64, 48
SHARED = ("swift", "bmft")
"""Methods whose cells count the importances too."""


@pytest.fixture(scope="module")
def cost():
    spec = importlib.util.spec_from_file_location("cost", DOCS / "cost.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["cost"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("spec", "evaluated"),
    [
        *((name, None) for name in sorted(registry.METHODS.catalogue())),
        *((f"{name}:evaluation_images=16", 16) for name in ("diff_gda", "diff_prune")),
    ],
)
def test_the_work_of_a_method_is_what_its_cells_count(cost, spec, evaluated, monkeypatch):
    name, method = spec.partition(":")[0], build_method(spec)
    if evaluated:
        monkeypatch.setattr(cost, "EVALUATED", evaluated)
    sizes = {"train": 16, "val": VAL, "external": EXTERNAL}
    splits = {split: partial(random_split, split, images=sizes[split], gap=True) for split in SPLITS}
    recipe = dataclasses.replace(RECIPE, epochs=4)
    run = CellRun(trained_net(), recipe, splits, method.uses, seed=0, task="check", fold=0, method=name)
    method.fit(run)

    study = cost.Study("check", 16, VAL, EXTERNAL, 0, 1, recipe.epochs, adam=False)
    work = cost.methods(study, recipe.batch)[method.title]
    work += cost.importances(study) if name in SHARED else cost.Work()
    # A backward pass counts as two forward ones; DiffPrune's ends at the first layer and counts as one.
    backward = 1 if name == "diff_prune" else 2
    counted = run.passes.forward + backward * run.passes.backward
    # Poses are drawn: the head's features vary about their mean.
    assert 3 * work.trained + work.forward == pytest.approx(counted, rel=0.03 if name in SHARED else 0)


def test_states_are_compared_on_as_many_images_as_the_methods_take(cost):
    assert {build_method(name).evaluation_images for name in ("diff_gda", "diff_prune")} == {cost.EVALUATED}


def test_hours_by_hand(cost):
    work = cost.Work(trained=7_200_000, forward=3_600_000)
    assert work.hours(1000, 500) == 2 + 2
    assert cost.distinct(10) == pytest.approx(5.9, abs=0.01)
    # 29 batches, one evaluation in five: after 0, 5, ..., 25, ten times, and before the first.
    assert cost.evaluations(3_600) == 61
    # SWiFT on skin tone: mask 5/3, ten epochs, 5.9 poses: 13.6 epochs of full fine-tuning.
    skin = cost.STUDIES[0]
    work = cost.methods(skin)["SWiFT"] + cost.importances(skin)
    assert (work.trained + work.forward / 3) / skin.external == pytest.approx(13.6, abs=0.05)


def test_hours_at_the_rates_of_each_backbone_by_hand(cost):
    """Ten times as fast on ResNet-50: half of every part takes a tenth; skin images have 1.306 times the pixels."""
    alike = dict.fromkeys(("resnet50", "densenet121", "efficientnet_b3"), (1.0, 1.0))
    hours = lambda rates, cores: cost.hours_by_part(rates, cores)["baselines"]  # noqa: E731
    baselines = (2 * 90.978e6 * (256 / 224) ** 2 + 2 * 61.502e6) / 3600
    assert hours(alike, 1) == pytest.approx(baselines)
    assert hours(alike, 2) == pytest.approx(baselines / 2)
    assert hours({**alike, "resnet50": (10.0, 10.0)}, 1) == pytest.approx(0.55 * baselines)
    assert f"| baselines | {baselines / 2:,.0f} | not measured |" in cost.measured(alike, 2)


def test_the_page_shows_what_the_script_prints(cost):
    assert cost.table(1000, 1000) in (DOCS / "cost.md").read_text(encoding="utf-8")
