"""Attributes of more than two groups: the choice of the pair, its external set, and the methods that are defined."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import listing, taskfile
from bench.api import Question
from bench.cells.identity import Cell
from bench.data.external import external_set
from bench.data.group_pair import LEAST, Pair, choose, of_pair
from bench.data.task_data import TaskData
from bench.errors import EmptyGroup
from bench.running.plan import build_method, cell_hash, method_specs, plan, undefined
from bench.settings import Settings
from bench.tasks import ATTRIBUTES, TASKS
from tests.prose import lines_with
from tests.unit.group_task import TOML

AGE_BANDS = ATTRIBUTES["age-bands"]


def group(auc, positives=LEAST, negatives=LEAST):
    return {"auc": auc, "positives": positives, "negatives": negatives}


@pytest.mark.parametrize(
    ("aucs", "pair"),
    [
        ((0.7, 0.9, 0.6, 0.8), Pair(best=1, worst=2)),
        ((0.9, 0.6, 0.6, 0.9), Pair(best=0, worst=1)),
        ((0.6, 0.9), Pair(best=1, worst=0)),
        ((0.7, 0.7, 0.7), None),
        ((0.7,), None),
    ],
)
def test_best_and_worst_are_the_first_of_equals(aucs, pair):
    chosen, known = choose({f"g{i}": group(auc) for i, auc in enumerate(aucs)})
    assert chosen == pair
    assert list(known.values()) == list(aucs)


def test_groups_with_few_images_of_a_class_are_not_chosen():
    few, many = LEAST - 1, LEAST + 1
    groups = {
        "few positives": group(0.1, few, many),
        "a": group(0.8),
        "few negatives": group(0.99, many, few),
        "b": group(0.7),
        "one class": group(math.nan, 0, many),
    }
    chosen, aucs = choose(groups)
    assert chosen == Pair(best=1, worst=3)
    assert [name for name, auc in aucs.items() if math.isnan(auc)] == ["few positives", "few negatives", "one class"]
    assert choose({**groups, "b": group(0.7, few)})[0] is None, "one group is left"


def validation(seed=0, groups=4, n=400):
    rng = np.random.default_rng(seed)
    a, y = rng.integers(0, groups, n), rng.integers(0, 2, n)
    return pd.DataFrame({"uid": [f"d:{i:03d}" for i in range(n)], "patient": "p", "y": y, "a": a.astype("int8")})


def test_the_worst_is_recoded_one_and_the_best_zero():
    table = pd.DataFrame({"uid": list("pqrstu"), "y": 1, "a": np.array([3, 0, 1, 3, 2, 1], dtype="int8")})
    rows = of_pair(table, Pair(best=3, worst=1))
    unknown = pd.concat([table.assign(uid="?" + table["uid"], a=np.int8(-1)), table], ignore_index=True)
    pd.testing.assert_frame_equal(of_pair(unknown, Pair(best=3, worst=1)), rows)
    assert rows["uid"].tolist() == ["p", "r", "s", "u"]
    assert rows["a"].tolist() == [0, 1, 0, 1]
    assert rows["a"].dtype == np.int8
    assert table["a"].tolist() == [3, 0, 1, 3, 2, 1], "the table given stays as it was"


def grouped_data(attribute=AGE_BANDS, pair=None):
    task = dataclasses.replace(TASKS["phantom-cxr-age"], name="mine", attribute=attribute)
    source = pd.concat([validation(1, 5, 900), validation(2, 5, 100)], ignore_index=True)
    source["uid"] = source["path"] = [f"d:{i:04d}" for i in range(1000)]
    return TaskData(task, {}, {"source": source.assign(fold=[1] * 900 + [0] * 100), "ood_neutral": source}, pair)


def test_the_external_set_is_cut_by_the_usual_rule_from_the_pair():
    data = grouped_data(pair=Pair(best=4, worst=2))
    external, val = data.split("external", 1), data.split("val", 1)
    by_hand = val[val["a"].isin((2, 4))].copy()
    by_hand["a"] = by_hand["a"].map({2: 1, 4: 0}).astype("int8")
    pd.testing.assert_frame_equal(external, external_set(by_hand, (0, "mine", 1, "age")))
    assert sorted(val["a"].unique()) == [0, 1, 2, 3, 4]
    assert sorted(data.split("ood_neutral", 1)["a"].unique()) == [0, 1, 2, 3, 4]
    assert len(set(external.groupby(["y", "a"]).size().unstack().itertuples(index=False))) == 2
    other = grouped_data(pair=Pair(best=2, worst=4)).split("external", 1)
    assert sorted(other["a"].unique()) == [0, 1]
    assert data.fingerprint("external", 1) != grouped_data(pair=Pair(best=2, worst=4)).fingerprint("external", 1)


def test_there_is_no_external_set_before_the_pair():
    assert grouped_data().unpaired
    assert not grouped_data(pair=Pair(0, 1)).unpaired
    assert not grouped_data(attribute=TASKS["phantom-cxr-age"].attribute).unpaired
    with pytest.raises(EmptyGroup) as error:
        grouped_data().split("external", 1)
    assert str(error.value) == snapshot("task mine, fold 1: the pair of groups is not chosen yet")


def test_methods_that_read_the_groups_of_val_are_not_defined_on_more_than_two():
    methods = method_specs("all")
    task = TASKS["phantom-cxr-age-groups"]
    assert sorted(undefined(methods, task, "small")) == ["diff_gda", "diff_prune", "fair_prune", "fullft_reg"]
    assert undefined(methods, TASKS["phantom-cxr-age"], "small") == {}
    assert build_method("fullft_reg").undefined(Question(3)) == snapshot(
        "it reads the groups of val and is defined on two"
    )
    assert lines_with(listing.show("methods", "fullft_reg"), "two groups") == snapshot(
        ["  more than two groups  it reads the groups of val and is defined on two"]
    )
    assert lines_with(listing.show("methods", "swift"), "two groups") == snapshot(
        [
            "  8. With more than two groups, the best and the worst by validation AUC are recoded to 0 and 1, as in the code (D23).",
            "  more than two groups  defined",
            "  D23   more than two groups: the best and the worst by validation AUC, the worst is 1",
        ]
    )


@pytest.fixture(scope="module")
def small_task(tmp_path_factory):
    file = tmp_path_factory.mktemp("task") / "mine.toml"
    file.write_text(TOML + 'column = "age"\ncuts = [45, 66]\nnames = ["a", "b", "c"]')
    from bench.data.task_data import task_data

    return task_data(taskfile.resolve(str(file)), None)


def test_a_plan_leaves_out_what_is_not_defined(small_task):
    cells = plan(small_task, Settings("mine", backbone="small", folds=(0, 1)))
    assert [p.error for p in cells] == [None] * 14
    assert {p.cell.spec for p in cells} == {
        "baseline",
        "fullft_rw",
        "fullft_fdr",
        "llft",
        "bmft",
        "swift",
        "swift:apply=update",
    }


def test_the_hash_holds_the_rule_and_not_the_pair(small_task, monkeypatch):
    cell = Cell("mine", "small", "swift", 0, 0)
    before = cell_hash(cell, small_task)
    assert cell_hash(cell, dataclasses.replace(small_task, pair=Pair(0, 1))) == before
    monkeypatch.setattr("bench.data.group_pair.RULE", {"by": "auc of the baseline on val", "least": LEAST + 1})
    assert cell_hash(cell, small_task) != before
