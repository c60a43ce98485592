"""Three age bands, and two groups without an order, as a user runs them."""

import json
import shutil

import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.cells.identity import predictions_file
from bench.data.group_pair import LEAST
from bench.running.compute_cell import run_cell
from bench.running.run_task import plan_run
from bench.settings import Settings
from tests import factory
from tests.prose import lines_with, sentences_with

DEFINED = ("baseline", "bmft", "fullft_fdr", "fullft_rw", "llft", "swift")
BANDS = 'column = "age"\ncuts = [46, 66]\nnames = ["18 to 45", "46 to 65", "over 65"]\n'


def rewrite(place, attribute):
    file = place.folder / "tiny.toml"
    text = file.read_text().replace("source,images=240", "source,images=800")
    before, _, after = text.partition("[attribute]\n")
    file.write_text(f"{before}[attribute]\n{attribute}[recipe]\n{after.partition('[recipe]' + chr(10))[2]}")


@pytest.fixture(scope="module")
def banded(new_place):
    place = new_place("banded")
    rewrite(place, BANDS)
    place.first = place.bench("run", "--task", "tiny.toml", "--methods", "all")
    place.bench("report", "--task", "tiny.toml", "--only", "main")
    place.page = place.reported()["main.md"].decode()
    return place


def test_methods_that_are_not_defined_are_said_once_and_fail_nothing(banded):
    assert banded.ended(banded.first.stdout) == {"done": 14, "cells": 14, "computed": 14, "recomputed": 0}
    once = lines_with(banded.told(banded.first.stderr), "3 groups")
    assert once == snapshot(
        [
            "left out: fullft_reg is not defined for 3 groups: it reads the groups of val and is defined on two",
            "left out: diff_gda is not defined for 3 groups: it reads the groups of val and is defined on two",
            "left out: fair_prune is not defined for 3 groups: it reads the groups of val and is defined on two",
            "left out: diff_prune is not defined for 3 groups: it reads the groups of val and is defined on two",
        ]
    )
    for name in ("fullft_reg", "diff_gda", "diff_prune", "fair_prune"):
        assert len(lines_with(once, name)) == 1
    plan = banded.bench("run", "--task", "tiny.toml", "--dry-run")
    assert set(once) <= set(plan.stderr.splitlines())
    assert plan.stdout.count("done") == 14


@pytest.mark.slow
def test_again_computes_nothing_and_writes_the_same_bytes(banded):
    before, first = banded.cells(), banded.report("--only", "main,groups,trade-off")
    again = banded.bench("run", "--task", "tiny.toml", "--methods", "all")
    assert banded.ended(again.stdout) == {"done": 14, "cells": 14, "computed": 0, "recomputed": 0}
    assert banded.cells() == before
    assert banded.report("--only", "main,groups,trade-off") == first


def test_the_report_has_dashes_with_their_reason(banded):
    page = banded.page
    assert lines_with(page, "| method |", "AUC ↑")[:1] == snapshot(
        ["| method | Overall AUC ↑ | Min AUC ↑ | Gap AUC ↓ | cost | folds |"]
    )
    for title in ("FullFT-Reg", "DiffGda", "FairPrune", "DiffPrune"):
        assert page.count(f"| {title} | – | – | – | – | – |") == 3
    assert sentences_with(page, "3 groups", "FullFT-Reg") == snapshot(
        [
            "- – Not defined on 3 groups: FullFT-Reg, DiffGda, FairPrune and DiffPrune: it reads the groups of val and is defined on two."
        ]
    )
    assert "Missing" not in page


def test_every_cell_of_a_fold_has_the_pair_that_its_baseline_chose(banded):
    cells = banded.records().values()
    pairs = {fold: [c["pair"] for c in cells if c["cell"]["fold"] == fold] for fold in (0, 1)}
    for fold, found in pairs.items():
        assert len(found) == len(DEFINED) + 1, "and SWiFT on updates"
        assert all(pair == found[0] for pair in found)
        baseline = factory.plain(banded.folder / f"results/cells/tiny/small/baseline/f{fold}-s0.json")
        groups = baseline["scores"]["val"]["groups"]
        aucs = {n: g["auc"] for n, g in groups.items() if min(g["positives"], g["negatives"]) >= LEAST}
        assert len(aucs) == 3, "this test is about a choice among three"
        assert found[0]["auc"] == aucs
        assert found[0]["best"] == max(aucs, key=aucs.__getitem__)
        assert found[0]["worst"] == min(aucs, key=aucs.__getitem__)
        assert found[0]["worst"] in banded.page.partition("External set: ")[2]


def test_methods_do_fit_on_the_pair(banded):
    for method in ("fullft_rw", "llft", "bmft", "swift"):
        one, other = (
            pd.read_parquet(banded.folder / f"results/cells/tiny/small/{name}/f0-s0.parquet")
            for name in ("baseline", method)
        )
        assert sorted(one["a_age"].unique()) == [0, 1, 2]
        assert (one["logit"] != other["logit"]).any()


@pytest.mark.slow
def test_without_two_groups_of_some_size_every_method_is_the_baseline(place):
    rewrite(place, 'column = "age"\ncuts = [18.5, 19]\nnames = ["18", "18 too", "older"]\n')
    done = place.bench("run", "--task", "tiny.toml", "--methods", "swift", "--folds", "0")
    assert "2 of 2 cells done" in done.stdout
    assert sentences_with(place.told(done.stderr), "'age'", str(LEAST)) == snapshot(
        [
            "warning: fold 0: no two groups of 'age' have 20 validation images of each class and different baseline AUCs: every method returns the baseline there"
        ]
    )
    folder = place.folder / "results/cells/tiny/small"
    one, other = (pd.read_parquet(folder / name / "f0-s0.parquet") for name in ("baseline", "swift"))
    pd.testing.assert_frame_equal(one, other)
    assert json.loads((folder / "swift/f0-s0.json").read_text())["pair"]["best"] is None
    assert sentences_with(place.report("--only", "main")["main.md"].decode(), "Baseline", "(fold 0)") == snapshot(
        [
            "- External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with 20 images of each class, chosen once per fold before fine-tuning: no pair, so that every method is the Baseline (fold 0)."
        ]
    )


def logits_of_all_methods(place, name, attribute):
    """Run fold 0 in this process, with results and cache of its own; return its cells' logits and the pair."""
    rewrite(place, attribute)
    shutil.copy(place.folder / "tiny.toml", place.folder / name)
    file = place.folder / name / "tiny.toml"
    settings = Settings(str(file), file.parent / "results", place.folder / ".cache", None, folds=(0,))
    _, cells = plan_run(settings)
    records = {planned.cell.spec: run_cell(planned) for planned in cells}
    tables = {p.cell.spec: pd.read_parquet(predictions_file(settings.results, p.cell)) for p in cells}
    return {method: table["logit"].tolist() for method, table in tables.items()}, records["swift"].pair


@pytest.mark.slow
def test_of_two_groups_without_an_order_the_worst_is_one(place):
    """All ten methods give, bit by bit, what they give with the attribute coded so that the worst group is 1."""
    for name in ("one", "other", "plain"):
        (place.folder / name).mkdir()
    values = 'column = "female"\nvalues = [["{}"], ["{}"]]\nnames = ["{}", "{}"]\n'
    one, pair = logits_of_all_methods(place, "one", values.format(0, 1, "male", "female"))
    other, same = logits_of_all_methods(place, "other", values.format(1, 0, "female", "male"))
    assert (pair.best, pair.worst) == (same.best, same.worst), "in one of the two it is recoded"
    worst = int(pair.worst == "female")
    coding = f'column = "female"\none = ["{worst}"]\nzero = ["{1 - worst}"]\nnames = ["best", "worst"]\n'
    plain, none = logits_of_all_methods(place, "plain", coding)
    assert none is None
    assert len(plain) == 11, "ten methods, and SWiFT on updates"
    for method in plain:
        assert one[method] == other[method] == plain[method], method
