"""docs/cost.md: its formulas are what cells count, and its totals follow from its tables."""

import dataclasses
import re
from functools import partial
from pathlib import Path

import pytest

from bench import registry, taskfile
from bench.api import Sizes
from bench.cells.identity import Cell
from bench.checks.subject import RECIPE, SPLITS, random_split, trained_net
from bench.cli import main
from bench.reporting.artefacts import paper_runs
from bench.reporting.numbers.paper_layout import tasks
from bench.running.context import CellRun
from bench.running.plan import build_method, cells_of
from bench.settings import Settings
from bench.spec import name_of

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
    assert method.work(Sizes(16, 48, 192), recipe) == pytest.approx((trained, forward))
    # A backward pass counts as two forward ones; DiffPrune's ends at the first layer and counts as one.
    backward = 1 if name == "diff_prune" else 2
    counted = run.passes.forward + backward * run.passes.backward
    # Augmented versions are drawn: the head's features vary about their mean.
    assert 3 * trained + forward == pytest.approx(counted, rel=0.03 if name in SHARED else 0)


def test_states_are_compared_on_as_many_images_as_the_methods_take():
    assert {build_method(name).evaluation_images for name in ("diff_gda", "diff_prune")} == {4096}
    assert "*c* = min(*v*, 4096)" in PAGE


def paper_cells(preset):
    """Return the task of every cell of the paper's tables and figures."""
    found = {}
    for run in paper_runs(Settings(""), tasks(twins=False, preset=preset)):
        task = taskfile.resolve(run.task)
        found |= {cell: task for cell in cells_of(run, task) if cell not in found}
    return found


@pytest.mark.parametrize("preset", ["suite", "paper", "reference"])
def test_the_bill_of_the_paper_is_that_of_its_cells(preset):
    cells, trained, forward, baselines = paper_cells(preset), 0, 0, {}
    for cell, task in cells.items():
        n, v, e, t = (int(TASKS[name_of(cell.task)][key].replace(",", "")) for key in ("train", "v", "e", "t"))
        one, other = build_method(cell.spec).work(Sizes(n, v, int(e * task.external)), task.recipe)
        trained, forward = trained + one, forward + other + v + t
        baselines[task.source.dataset, task.label, cell.backbone, cell.fold] = task.recipe.pretrain_epochs * n
    both = sum(baselines.values())
    hours = (both + trained + forward) / 1000 / 3600
    command = "bench run --paper" + (f" --preset {preset}" if preset != "suite" else "")
    row = f"| `{command}` | {len(cells)} | {(both + trained) / 1e6:.1f} | {forward / 1e6:.1f} | {hours:.1f} |"
    assert row in PAGE
    assert (
        f"{len(baselines)} baselines in all, {both / 1e6:.1f} million images and {both / 1000 / 3600:.1f} hours" in PAGE
    )
    assert f"each of the {sum(cell.spec == 'baseline' for cell in cells)} baseline cells" in PAGE


def test_the_sizes_of_the_page_are_the_recipes_of_the_suite():
    for name, columns in TASKS.items():
        recipe = taskfile.resolve(name).recipe
        assert (recipe.pretrain_epochs, recipe.epochs) == (int(columns["pretraining"]), int(columns["E"]))


def test_a_bill_says_whose_external_set_it_assumes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for task, assumed in (("phantom-cxr-age-groups", True), ("phantom-cxr-age", False)):
        assert main(["run", "--task", task, "--methods", "bmft", "--folds", "0,1", "--dry-run"]) == 0
        bill = capsys.readouterr().out.splitlines()[-1]
        assert bill.startswith("4 cells to compute, 2 baselines to train: about ")
        assert ("external sets of 2 folds are not known yet" in bill) == assumed
