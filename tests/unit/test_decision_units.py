"""Decisions per patient or exam: what is combined, what a unit is, and what tables say of it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.cells.predictions import Scored
from bench.data.task_data import task_data
from bench.errors import BenchError, DataInvalid, UsageError
from bench.reporting.numbers.aggregate import warning_of
from bench.reporting.numbers.decision_units import combined, per_unit, rescored, says, units_of
from bench.running.plan import plan
from bench.settings import Settings
from tests.factory import record, scores, task_info
from tests.unit.group_task import TOML

TASK = dataclasses.replace(taskfile.resolve("phantom-cxr-age"), unit="patient")
IMAGES = pd.DataFrame(
    {
        "image_id": list("abcdefgh"),
        "set": ["ood_neutral"] * 6 + ["val"] * 2,
        "cluster": [0, 0, 1, 1, 1, 2, 0, 0],
        "y": [1, 1, 0, 1, 0, 0, 0, 0],
        "a": [0, 0, 1, 1, -1, -1, 0, 1],
        "a_sex": [1, 1, 0, 0, 0, 1, 1, 1],
    }
)
LOGIT = np.array([1.0, -3.0, 0.5, 0.7, -0.6, 2.0, -1.0, 0.0])


def task(**changes):
    label = dataclasses.replace(TASK.label, combine=changes.pop("combine", None))
    return dataclasses.replace(TASK, label=label, **changes)


def test_a_patient_has_one_label_one_group_and_the_mean_logit_of_the_images():
    found = units_of(IMAGES, TASK)
    assert found.of.tolist() == [0, 0, 1, 1, 1, 2, 3, 3], "a patient of another set is another unit"
    assert found.rows["y"].tolist() == [1, 1, 0, 0], "positive if any image is"
    assert found.rows["a"].tolist() == [0, 1, -1, -1], "known of some images; of none; of two groups"
    assert found.rows["a_sex"].tolist() == [1, 0, 1, 1]
    assert combined(LOGIT, found.of, TASK) == pytest.approx([-1, 0.2, 2, -0.5])
    assert found.rows.attrs["facts"] == {"ood_neutral": (3, 6, 1, 3, 1, 0), "val": (1, 2, 2, 2, 0, 1)}


@pytest.mark.parametrize(
    ("combine", "polarity", "y", "logit"),
    [
        (None, "paper", [1, 1, 0, 0], [1, 0.7, 2, 0]),
        ("all", "paper", [1, 0, 0, 0], [-3, -0.6, 2, -1]),
        ("any", "clinical", [1, 0, 0, 0], [-3, -0.6, 2, -1]),
        ("all", "clinical", [1, 1, 0, 0], [1, 0.7, 2, 0]),
    ],
)
def test_the_largest_logit_is_that_for_the_class_that_decides(combine, polarity, y, logit):
    one = task(combine=combine, polarity=polarity, unit_logit="largest")
    found = units_of(IMAGES, one)
    assert found.rows["y"].tolist() == y
    assert combined(LOGIT, found.of, one) == pytest.approx(logit)


def test_an_exam_is_a_column_and_of_one_patient():
    exams = IMAGES.assign(unit=["1", "2", "3", "3", "", "", "4", "4"])
    found = units_of(exams, task(unit="exam"))
    assert found.of.tolist() == [0, 1, 2, 2, 3, 4, 5, 5], "an image without an exam is one of its own"
    with pytest.raises(DataInvalid, match="'3' has images of several patients"):
        units_of(exams.assign(cluster=range(8)), task(unit="exam"))


def test_cells_are_scored_on_units_as_a_model_that_predicts_units():
    """Hand-computed: three patients of one set, of whom the first two are positive."""
    item = record(
        "baseline", scores={name: scores() for name in ("ood_neutral", "val")}, attributes={"age": ["u", "o"]}
    )
    item = rescored(item, per_unit(lambda _: Scored(IMAGES, LOGIT), TASK)(item))
    found = item.scores["ood_neutral"]
    assert (found.n, found.positives) == (3, 2)
    assert found.metric("auc") == 0, "the negative patient has the largest logit"
    assert [(group.n, group.metrics["tpr"]) for group in found.groups.values()] == [(1, 0), (1, 1)]
    assert found.metric("eopp") == 1


def test_a_unit_of_one_image_changes_nothing():
    alone = IMAGES.assign(cluster=range(8))
    found = units_of(alone, TASK)
    columns = ["set", "cluster", "y", "a", "a_sex"]
    assert (found.rows[columns].to_numpy() == alone[columns].to_numpy()).all()
    assert (combined(LOGIT, found.of, TASK) == LOGIT).all()


def test_what_tables_say_of_units():
    facts = units_of(IMAGES.assign(set="ood_neutral"), TASK).rows.attrs["facts"]
    assert says(TASK, facts) == snapshot(
        "Decisions per patient, mean logit of its images. Images per patient: ood_neutral 2.7 (1 to 4). Units with images of both classes: 2; they count as pneumothorax if any image is, else as no finding. Units with images of several groups: 1; they are in no gap."
    )
    assert says(TASK, facts, min_cell=10) == snapshot(
        "Decisions per patient, mean logit of its images. Images per patient: ood_neutral 2.7. Units with images of both classes: fewer than 10; they count as pneumothorax if any image is, else as no finding. Units with images of several groups: fewer than 10; they are in no gap."
    )
    info = dataclasses.replace(task_info(), decided="Decisions per patient.")
    assert warning_of(info, info).endswith("nothing about patients. Decisions per patient.")
    assert warning_of(dataclasses.replace(info, synthetic=False)) == "Decisions per patient."


def test_a_unit_changes_no_cell_and_no_name():
    settings = Settings("phantom-cxr-age", methods="swift")
    tasks = [
        taskfile.resolve(f"phantom-cxr-age:{given}") for given in ("unit=image", "unit=patient,unit_logit=largest")
    ]
    hashes = [[(one.cell, one.hash) for one in plan(task_data(one, None), settings)] for one in tasks]
    assert hashes[0] == hashes[1]
    assert tasks[1].unit_logit == "largest"
    varied = taskfile.vary("phantom-cxr-age:unit=patient", "external", 0.2)
    assert taskfile.resolve(varied).unit == "patient", "a curve over variants is of the same units"


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ('unit = "exma"\n', BenchError, "no column 'exma'"),
        ('unit = "path"\n', UsageError, "image, patient or a column of the tables expected"),
        ('unit_logit = "largest"\n', UsageError, "it is read only if `unit` is not image"),
        ('unit = "patient"\nunit_logit = "median"\n', UsageError, "allowed: mean, largest"),
    ],
)
def test_units_that_cannot_be_are_named(tmp_path, given, error, says):
    attribute = 'column = "age"\nnames = ["young", "old"]\nabove = 65\n'
    (tmp_path / "own.toml").write_text(given + TOML + attribute)
    with pytest.raises(error, match=says):
        task_data(taskfile.resolve(str(tmp_path / "own.toml")), None)
