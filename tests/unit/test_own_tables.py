"""Tables of one's own: values and groups, ages, and what is told of them before training."""

import bz2
import lzma
import shutil

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.api import Attribute, Label
from bench.cli import main
from bench.data.ages import intervals, is_age
from bench.data.columns import coded
from bench.data.find_files import find_files
from bench.data.set_lines import set_lines
from bench.data.table_files import read_table_file
from bench.datasets.manifest import Manifest
from bench.errors import DataInvalid, UsageError
from tests.unit.own_films import ROWS, TASK, opened, own_films, write


@pytest.fixture
def folder(tmp_path):
    return own_films(tmp_path)


def read(values, **coding):
    label = Label(column="v", names=("no", "yes"), **coding)
    table = pd.DataFrame({"v": values, "uid": [f"d:{i}" for i in range(len(values))]})
    found = coded(table, label, "table")
    return [why if pd.isna(code) else int(code) for code, why in zip(found["code"], found["why"], strict=True)]


def test_each_value_is_a_group_or_has_a_reason():
    values = ["yes", "no", "Yes", "", "NA", "-1", None]
    both = {"one": ("yes",), "zero": ("no",)}
    assert read(values, **both) == [1, 0, "NOT_LISTED", "MISSING", "MISSING", "NOT_LISTED", "MISSING"]
    assert read(values, one=("yes",), rest=True) == [1, 0, 0, "MISSING", "MISSING", 0, "MISSING"]
    assert read(values, zero=("no",), rest=True, unknown=("-1",))[2:6] == [1, "MISSING", "MISSING", "MISSING"]
    assert read(values, one=("yes", "NA"), zero=("no", "")) == [1, 0, "NOT_LISTED", 0, 1, "NOT_LISTED", 0]
    assert read([1.0, 0.0, None, "1.0", "0", 2], one=("1",), zero=("0", "")) == [1, 0, 0, 1, 0, "NOT_LISTED"]


def test_what_programs_write_for_not_known_is_never_the_other_group():
    words = ["null", "NULL", "#N/A", "<NA>", "NaT", "missing", "?", "None"]
    assert read(words, one=("yes",), rest=True) == ["MISSING"] * 7 + [0], "None is what a radiologist may write"
    assert read(["null"], one=("null",), rest=True) == [1], "but for what the task lists"


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        (
            {"one": ("a", "b"), "zero": ("b",)},
            snapshot("column 'v': 'b' is listed twice: each value belongs to one group"),
        ),
        (
            {"one": ("a",), "zero": ("b",), "unknown": ("a",)},
            snapshot("column 'v': 'a' is listed twice: each value belongs to one group"),
        ),
        (
            {"one": ("a",)},
            snapshot(
                "column 'v': `one` is given without `zero`: list the values of the other group, or set rest = true, which takes all remaining known values"
            ),
        ),
        (
            {"zero": ("a",)},
            snapshot(
                "column 'v': `zero` is given without `one`: list the values of the other group, or set rest = true, which takes all remaining known values"
            ),
        ),
        (
            {"one": ("a",), "zero": ("b",), "rest": True},
            snapshot("column 'v': rest is read only with one of `one` and `zero` alone"),
        ),
        ({"rest": True}, snapshot("column 'v': rest is read only with one of `one` and `zero` alone")),
    ],
)
def test_lists_that_leave_something_open_are_refused(coding, words):
    with pytest.raises(UsageError) as error:
        Label(column="v", names=("no", "yes"), **coding)
    assert str(error.value) == words


AGES = {
    "58": (58, 58),
    "58.0": (58, 58),
    "058Y": (58, 58),
    "006M": (0.5, 0.5),
    "052W": (364 / 365, 364 / 365),
    "073D": (0.2, 0.2),
    "58,5": (58.5, 58.5),
    "58 years": (58, 58),
    "6 months": (0.5, 0.5),
    "58yo": (58, 58),
    "[60-70)": (60, 70),
    "60–69": (60, 69),
    "60 to 70": (60, 70),
    "89+": (89, np.inf),
    ">89": (89, np.inf),
    "≤ 1": (-np.inf, 1),
    "old": (np.nan, np.nan),
    "": (np.nan, np.nan),
    "2-": (np.nan, np.nan),
    "1,234": (np.nan, np.nan),
    "1,234,567": (np.nan, np.nan),
    "0,125": (0.125, 0.125),
    "[60,700)": (60, 700),
}


@pytest.mark.parametrize("written", list(AGES))
def test_ages_are_read_as_tables_write_them(written):
    np.testing.assert_allclose(intervals(pd.Series([written], dtype="string")).to_numpy()[0], AGES[written])


def test_a_column_of_ages_is_known_by_its_name():
    assert all(map(is_age, ["age", "AGE", "PatientAge", "anchor_age", "Age (years)", "age_at_scan", "Patient Age"]))
    assert not any(map(is_age, ["image", "stage", "percentage", "dosage", "agent", "voltage"]))


def test_numbers_that_cannot_be_and_ranges_of_two_groups_are_not_known():
    ages = ["40", "065Y", "412", "-1", "[60-70)", "[65-70)", "60-65", "89+", "<60", "unknown"]
    label = Attribute(column="age", names=("up to 65", "over 65"), above=65)
    found = coded(pd.DataFrame({"age": ages, "uid": ages}), label, "table")
    assert found["code"].fillna(-1).tolist() == [0, 0, -1, -1, -1, 1, 0, 1, 0, -1]
    assert found["why"].tolist() == ["", "", "IMPOSSIBLE", "IMPOSSIBLE", "AMBIGUOUS", "", "", "", "", "MISSING"]
    bands = Attribute(column="age", names=("a", "b", "c"), cuts=(60, 70))
    found = coded(pd.DataFrame({"age": ages, "uid": ages}), bands, "table")
    assert found["code"].fillna(-1).tolist() == [0, 1, -1, -1, 1, 1, 1, 2, 0, -1]


@pytest.mark.parametrize(
    ("values", "codes"), [(["-1", "3", "4"], [None, 0, 1]), (["-1", "-2.5", "4"], [0, 0, 1]), (["-9", "5"], [None, 1])]
)
def test_a_negative_code_for_not_known_is_no_low_number(values, codes):
    label = Attribute(column="skin_type", names=("light", "dark"), above=3)
    found = coded(pd.DataFrame({"skin_type": values, "uid": values}), label, "table")["code"]
    assert [None if pd.isna(code) else code for code in found] == codes


def test_what_each_value_became_is_told_before_training(folder):
    rows = [
        dict(row, finding=row["finding"].replace("opacity", "Opacity") if i == 1 else row["finding"])
        for i, row in enumerate(ROWS)
    ]
    write(folder, [dict(row, sex="" if i == 4 else row["sex"]) for i, row in enumerate(rows)])
    assert set_lines(opened(folder)) == snapshot(
        [
            "source: 32 rows, 31 images used, 15 of them opacity (48.4%)",
            "  left out: 1 row, the value of the label is in no list of the task (LABEL_NOT_LISTED)",
            "  finding, none: 'none' (16)",
            "  finding, opacity: 'opacity' (15)",
            "  finding, not listed: 'Opacity' (1)",
            "  sex, men: 'M' (16)",
            "  sex, women: 'F' (16)",
            "b: 16 rows, 16 images used, 8 of them opacity (50.0%)",
            "  without a group: 1 image, the attribute is not known (ATTRIBUTE_MISSING); in the AUC, in no gap",
            "  finding, none: 'none' (8)",
            "  finding, opacity: 'opacity' (8)",
            "  sex, men: 'M' (8)",
            "  sex, women: 'F' (7)",
            "  sex, missing: '' (1)",
        ]
    )


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("where = { hospital", "where = { hospitl", "correct the name in the task file or in the table"),
        ('column = "sex"', 'column = "hospitl"', "correct the name in the task file or in the table"),
        ("csv=films.csv", "csv=film.csv", "correct `csv` of the dataset in the task file, or --data"),
    ],
)
def test_doctor_and_run_refuse_alike_and_name_the_columns_of_the_table_alone(folder, capsys, old, new, hint):
    write(folder, task=TASK.replace(old, new))
    words = ("--data", str(folder), "--cache", str(folder / "cache"))
    assert main(["doctor", str(folder / "films.toml"), *words]) == 3
    doctor = capsys.readouterr().out
    assert main(["run", "--task", str(folder / "films.toml"), "--methods", "baseline", *words]) == 3
    ran = capsys.readouterr().err
    assert hint in doctor
    assert "release" not in doctor
    if "hospitl" in new:
        for text in (doctor, ran):
            assert (
                "no column 'hospitl': did you mean 'hospital'? it has: file, patient, hospital, sex, finding, age\n"
                in text
            )


@pytest.mark.parametrize(
    "content",
    [
        b'{"path": "a.png"}\n{"path": "b.png"}\n',
        b'[{"path": "a.png", "x": 1}]',
        bz2.compress(b"path,x\na,1\n"),
        lzma.compress(b"path,x\na,1\n"),
        b"%PDF-1.4\n1,2\n",
        b"{\\rtf1 path,x\n}",
        b"SQLite format 3\0path,x\n1,2\n",
        b"RDX3\nX\n\0\0",
        b"path,x\na\0.png,1\n",
    ],
)
def test_what_is_no_text_of_a_table_is_not_read_as_one(tmp_path, content):
    (tmp_path / "films.csv").write_bytes(content)
    with pytest.raises(DataInvalid, match="is no CSV table: save the sheet as CSV"):
        read_table_file(tmp_path / "films.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_encodings_that_say_what_they_are_are_read(tmp_path, encoding):
    (tmp_path / "films.csv").write_text('path;name\na.png;"Žižek\n北京"\n', encoding=encoding)
    assert read_table_file(tmp_path / "films.csv").to_numpy().tolist() == [["a.png", "Žižek\n北京"]]


def test_a_path_that_names_no_file_is_missing(tmp_path):
    assert find_files(tmp_path, [".", "/", "..\\x"])["drop"].tolist() == ["FILE_MISSING"] * 3


def test_patients_that_a_spreadsheet_cut_are_told_of(folder):
    write(folder, [dict(row, patient=f"{1 + i // 24}.23E+11") for i, row in enumerate(ROWS)])
    notes = manifest_table(folder).attrs["notes"]
    assert notes == ["48 patient ids are like 1.23E+11: a spreadsheet cut them, and made one patient of several"]
    write(folder)
    assert manifest_table(folder).attrs["notes"] == []


def manifest_table(folder):
    return Manifest(csv="films.csv", path_column="file", patient_column="patient").table(folder)


def test_one_file_under_several_names_is_told_of(folder):
    for other, one in (("f01.png", "f00.png"), ("f07.png", "f00.png"), ("f03.png", "f02.png")):
        shutil.copy(folder / one, folder / other)
    lines = [line for line in set_lines(opened(folder)) if "same content" in line]
    assert lines == snapshot(
        [
            "  note: 5 images have the same content as another one: 2 different files in all, 1 of them of several patients; `bench doctor TASK --full` names some"
        ]
    )
