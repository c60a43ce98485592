"""docs/cost.md: its formulas are what cells count, and its totals follow from its tables."""

import dataclasses
import re
from functools import partial
from pathlib import Path

import pytest

from bench import registry
from bench.cells.identity import Cell
from bench.checks.subject import RECIPE, SPLITS, random_split, trained_net
from bench.run.context import CellRun
from bench.run.plan import build_method

PAGE = (Path(__file__).parents[2] / "docs/cost.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")]
WORK = {row[0]: row[2:] for row in ROWS if len(row) == 4}
SIZES = ("train", "v", "e", "t", "pretraining", "E")
TASKS = {row[0]: dict(zip(SIZES, row[1:], strict=True)) for row in ROWS if len(row) == 7 and row[1][0].isdigit()}
SHARED = ("swift", "bmft")
"""Methods whose cells count the importances too."""


def images(what, most=4096, **sizes):
    """Images trained on and passed forward, by the formulas of the page; states are compared on `most` at most."""
    known = {"p": 8 * (1 - (7 / 8) ** (sizes["E"] / 2)), "c": min(sizes["v"], most), **sizes}
    return [eval(re.sub(r"(?<=\w) (?=[a-z])", " * ", text), {}, known) for text in WORK[what]]


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        *((name, 4096) for name in sorted(registry.METHODS.catalogue()) if name != "baseline"),
        *((f"{name}:evaluation_images=16", 16) for name in ("diff_gda", "diff_prune")),
    ],
)
def test_the_images_of_a_method_are_what_its_cells_count(spec, most):
    name, method = spec.partition(":")[0], build_method(spec)
    sizes = {"train": 16, "val": 48, "external": 192}
    splits = {split: partial(random_split, split, images=sizes[split], gap=True) for split in SPLITS}
    # Six batches an epoch: one evaluation of DiffGda after each, as on the tasks of the paper.
    recipe = dataclasses.replace(RECIPE, epochs=4, batch=32)
    run = CellRun(trained_net(), recipe, splits, method.uses, Cell("check", "small", name, fold=0, seed=0))
    method.fit(run)

    trained, forward = images(method.title, most, e=192, v=48, E=4)
    forward += images("Importances", e=192, v=48, E=4)[1] if name in SHARED else 0
    # A backward pass counts as two forward ones; DiffPrune's ends at the first layer and counts as one.
    backward = 1 if name == "diff_prune" else 2
    counted = run.passes.forward + backward * run.passes.backward
    # Augmented versions are drawn: the head's features vary about their mean.
    assert 3 * trained + forward == pytest.approx(counted, rel=0.03 if name in SHARED else 0)


def test_states_are_compared_on_as_many_images_as_the_methods_take():
    assert {build_method(name).evaluation_images for name in ("diff_gda", "diff_prune")} == {4096}
    assert "*c* = min(*v*, 4096)" in PAGE


def test_the_totals_of_the_page_follow_from_its_tables():
    folds, baselines, trained, forward = 10, 0, 0, 0
    for name, columns in TASKS.items():
        sizes = {key: int(value.replace(",", "")) for key, value in columns.items()}
        # The first two rows are computed once per fold, the last by every cell.
        cells = [what for what in list(WORK)[4:-1] if "apply" not in what or name.startswith("cxr")]
        both = [images(what, **sizes) for what in ["Importances", *cells, *["Predictions"] * (len(cells) + 1)]]
        baselines += folds * sizes["train"] * sizes["pretraining"]
        trained += folds * sum(one for one, _ in both)
        forward += folds * sum(other for _, other in both)
    trained += baselines
    assert f"Together {trained / 1e6:.1f} million images are trained on" in PAGE
    assert f"{baselines / 1e6:.1f} million by the baselines, and {forward / 1e6:.1f} million pass forward" in PAGE
    assert f"that is {(trained + forward) / 1000 / 3600:.1f} hours" in PAGE
