"""Images whose attribute is not known: in every table and in the baseline, in no group; and what tasks then share."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.api import NO_GROUP, Attribute, Label, Rows
from bench.cells.identity import Cell
from bench.data import split_manifest
from bench.data.sample_table import without_group
from bench.data.set_lines import set_lines
from bench.data.task_data import task_data
from bench.doctor.check_folds import fold_findings, smallest_cells
from bench.errors import DataError
from bench.running.plan import baseline_identity, cell_hash, checkpoint_file, digest
from tests.prose import plain
from tests.unit import films

AGE = Attribute(column="age", names=("young", "old"), above=65)
SEX = Attribute(column="sex", names=("men", "women"), one=("F",), zero=("M",))
TASK = dataclasses.replace(films.TASK, name="by-age", attribute=AGE)
BY_SEX = dataclasses.replace(TASK, name="by-sex", attribute=SEX)
N = 240


@pytest.fixture
def root(tmp_path):
    """Two films of each patient, three in four of site A; of some the age is not known, of others the sex."""
    k = np.arange(N)
    patient = k // 2
    table = pd.DataFrame({"path": [f"{i:03}.png" for i in k], "patient": [f"p{p}" for p in patient]})
    table["site"] = np.where(patient % 4 == 3, "B", "A")
    table["ill"], table["rare"] = patient % 3 // 2, patient % 5 // 4
    table["age"] = [str(40 + p % 5 * 12) if p % 9 else "" for p in patient]
    table["sex"] = [("M", "F", "F", "M", "M", "F", "unsaid")[p % 7] for p in patient]
    return films.put_films(tmp_path, table)


def weights(data, cache):
    cells = [Cell(data.task.name, "small", "baseline", fold, 0) for fold in (0, 1)]
    return [checkpoint_file(cache, digest(baseline_identity(cell, data))) for cell in cells]


def test_tasks_of_one_source_and_label_share_folds_and_baselines_whatever_their_attribute(root, tmp_path):
    age, sex = (task_data(task, root) for task in (TASK, BY_SEX))
    for name in ("source", "b"):
        assert (age.tables[name]["a"] == NO_GROUP).any()
        assert (sex.tables[name]["a"] == NO_GROUP).any()
        assert (age.tables[name]["a"] != sex.tables[name]["a"]).any()
    for name in ("train", "val", "train_inner", "val_inner", "b"):
        for fold in (0, 1):
            one, other = (data.split(name, fold).drop(columns=["a", "no_group"]) for data in (age, sex))
            pd.testing.assert_frame_equal(one, other)
    assert weights(age, tmp_path) == weights(sex, tmp_path)
    assert len(set(weights(age, tmp_path))) == 2, "one of each fold"
    for method in ("baseline", "swift"):
        one, other = (cell_hash(Cell(data.task.name, "small", method, 0, 0), data) for data in (age, sex))
        assert one != other, "gaps differ"


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({}, True),
        ({"recipe": dataclasses.replace(TASK.recipe, epochs=9)}, True),
        ({"external": 0.5}, True),
        ({"stratify": "attribute"}, False),
        ({"label": Label(column="rare", names=("no", "yes"))}, False),
        ({"recipe": dataclasses.replace(TASK.recipe, pretrain_epochs=2)}, False),
        ({"source": dataclasses.replace(TASK.source, where={"site": ("A",), "ill": ("0", "1")})}, True),
        ({"source": dataclasses.replace(TASK.source, where={"site": ("A",), "sex": ("M", "F")})}, False),
    ],
)
def test_what_a_baseline_is_shared_with(root, tmp_path, changes, shared):
    age, sex = task_data(TASK, root), task_data(dataclasses.replace(BY_SEX, **changes), root)
    assert (weights(age, tmp_path) == weights(sex, tmp_path)) == shared


def test_a_share_held_out_for_testing_is_the_same_for_every_attribute(root):
    tables = {}
    for task in (TASK, BY_SEX):
        task = dataclasses.replace(task, ood={"held": Rows(dataset=films.SPEC, kind="in", share=0.25)})
        tables[task.attribute.column] = task_data(task, root).tables
    for name in ("source", "held"):
        pd.testing.assert_series_equal(tables["age"][name]["uid"], tables["sex"][name]["uid"])


def test_an_external_set_and_a_holdout_by_group_are_of_known_groups(root):
    data, trials = task_data(TASK, root), task_data(TASK, root, selecting=True)
    for fold in (0, 1):
        val, external = data.split("val", fold), data.split("external", fold)
        assert (val["a"] == NO_GROUP).any()
        assert set(external["a"]) == {0, 1}
        unknown = [(trials.split(name, fold)["a"] == NO_GROUP).sum() for name in ("val", "holdout")]
        assert sum(unknown) == (val["a"] == NO_GROUP).sum()


def test_a_manifest_that_puts_an_image_without_a_group_into_an_external_set_is_refused(root, tmp_path):
    data = task_data(TASK, root)
    cut = data.cut()
    file = tmp_path / "splits.csv"
    file.write_text(split_manifest.manifest(TASK, cut), encoding="utf-8")
    back = task_data(TASK, root, manifest=file)
    pd.testing.assert_frame_equal(back.split("external", 0)[["uid", "a"]], data.split("external", 0)[["uid", "a"]])
    table = data.tables["source"]
    unknown = table.loc[table["a"] == NO_GROUP, "uid"].iloc[0]
    cut.loc[cut["uid"] == unknown, "external"] = 1
    file.write_text(split_manifest.manifest(TASK, cut), encoding="utf-8")
    with pytest.raises(DataError) as error:
        task_data(TASK, root, manifest=file)
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/splits.csv: 1 images of an external set have no known attribute, first 'manifest:000.png'"
    )


def test_they_are_counted_where_a_run_names_its_sets(root):
    data = task_data(TASK, root)
    unknown = {name: int((table["a"] == NO_GROUP).sum()) for name, table in data.tables.items()}
    assert {name: without_group(table) for name, table in data.tables.items()} == {
        name: {"ATTRIBUTE_MISSING": n} for name, n in unknown.items()
    }
    assert [line for line in set_lines(data) if "without a group" in line] == snapshot(
        [
            "  without a group: 22 images, the attribute is not known (ATTRIBUTE_MISSING); in the AUC, in no gap",
            "  without a group: 6 images, the attribute is not known (ATTRIBUTE_MISSING); in the AUC, in no gap",
        ]
    )


def test_the_doctor_compares_groups_without_them(root):
    data = task_data(TASK, root)
    tables = [data.split("val", 0), data.split("val", 1), data.tables["b"]]
    known = [table[table["a"] != NO_GROUP] for table in tables]
    assert [cell["n"] for cell in smallest_cells(data)] == [t.groupby(["y", "a"]).size().min() for t in known]
    source = data.tables["source"]
    uneven = source.assign(fold=source["fold"].where(source["a"] != NO_GROUP, 0))
    found = fold_findings(dataclasses.replace(data, tables={**data.tables, "source": uneven}), [])
    assert not [one for one in found if "a=-1" in one.text], "not knowing is no group whose share could differ"
