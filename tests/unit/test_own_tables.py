"""Tables of one's own: values and groups, ages, test sets, datasets as tables, and the task file that `bench new` makes."""

import bz2
import csv
import lzma
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench import taskfile
from bench.api import Attribute, Label
from bench.cli import main
from bench.data.ages import intervals, is_age
from bench.data.columns import coded
from bench.data.find_files import find_files
from bench.data.set_lines import set_lines
from bench.data.table_files import read_table_file
from bench.data.task_data import open_data, task_data
from bench.datasets.manifest import Manifest
from bench.errors import DataError, DataInvalid, UsageError
from bench.settings import Settings
from bench.spec import Spec, parse
from bench.templates.new_task import write_task
from tests.prose import plain

TASK = """
image_size = 16
channels = 1
folds = 2
[source]
dataset = "manifest:csv=films.csv,path_column=file,patient_column=patient"
where = { hospital = ["A"] }
[ood.b]
dataset = "manifest:csv=films.csv,path_column=file,patient_column=patient"
where = { hospital = ["B"] }
[label]
column = "finding"
one = ["opacity"]
zero = ["none"]
names = ["none", "opacity"]
[attribute]
column = "sex"
one = ["F"]
zero = ["M"]
names = ["men", "women"]
"""
ROWS = [
    {"file": f"f{i:02}.png", "patient": f"p{i // 2}", "hospital": "AAB"[i // 2 % 3], "sex": "FM"[i // 2 % 2]}
    | {"finding": ("none", "opacity")[i % 2], "age": str(20 + i)}
    for i in range(48)
]


@pytest.fixture
def folder(tmp_path):
    """A folder of 48 films, each another grey, with their table and their task."""
    for i, row in enumerate(ROWS):
        Image.fromarray(np.full((8, 8), i, dtype=np.uint8)).save(tmp_path / row["file"])
    write(tmp_path)
    return tmp_path


def write(folder, rows=ROWS, task=TASK):
    with (folder / "films.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "films.toml").write_text(task)


def opened(folder, **changes):
    task = str(folder / "films.toml")
    return open_data(Settings(task=task, data=folder, cache=folder / "cache", results=folder / "r", **changes))


# --- values and groups -------------------------------------------------------------------------


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


# --- test sets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["train", "val", "source", "external", "train_inner", "val_inner", "holdout", "Train", "", "a/b", "..", " b"],
)
def test_a_test_set_takes_no_name_of_the_suite(folder, name):
    write(folder, task=TASK.replace("[ood.b]", f'[ood."{name}"]'))
    with pytest.raises(UsageError, match=f"test set '{name}'"):
        opened(folder)


def test_two_names_of_one_file_are_refused(folder):
    write(folder, task=TASK + TASK[TASK.index("[ood.b]") : TASK.index("[label]")].replace("ood.b", "ood.B"))
    with pytest.raises(UsageError, match=r"test sets b, B: two names differ only in signs or in case"):
        opened(folder)


def test_a_share_of_the_patients_is_a_test_set_in_distribution(folder):
    text = TASK[: TASK.index("where")] + "[tests.held]\nshare = 0.25\n" + TASK[TASK.index("[label]") :]
    write(folder, task=text)
    assert opened(folder).tables["held"]["y"].mean() == 0.5
    write(folder, task='stratify = "attribute"\n' + text)
    data = opened(folder)
    source, held = data.tables["source"], data.tables["held"]
    assert (len(source), len(held), data.task.ood["held"].kind) == (36, 12, "in")
    assert not set(source["patient"]) & set(held["patient"])
    assert (held["y"].mean(), held["a"].mean()) == (0.5, 0.5)
    assert source.attrs["left_out"] == {"IN_OTHER_TEST_SET": 12}
    pd.testing.assert_frame_equal(opened(folder).tables["held"], held)


def test_a_column_may_say_what_is_held_out(folder):
    task = TASK.replace("[ood.b]", "[tests.b]").replace(
        'patient"\nwhere = { hospital = ["B"]', 'patient"\nwhere = { hospital = ["B"]'
    )
    write(folder, task=task)
    assert (len(opened(folder).tables["b"]), opened(folder).task.ood["b"].kind) == (16, "in")


@pytest.mark.parametrize(
    "lines",
    ["[tests.held]\nshare = 1.5\n", "[tests.held]\nshare = 0.001\n", "[ood.held]\nshare = 0.2\ndataset = 'phantom'\n"],
)
def test_a_share_that_cannot_be_is_refused(folder, lines):
    write(folder, task=TASK + lines)
    with pytest.raises(UsageError, match="share="):
        opened(folder)


def test_one_image_in_training_and_test_is_refused_by_path_and_by_content(folder):
    write(folder, task=TASK.replace('where = { hospital = ["A"] }', ""))
    with pytest.raises(DataInvalid) as error:
        opened(folder)
    assert plain(error.value, folder) == snapshot(
        "16 images are in training and in test set 'b', first f04.png: change `where` of the task, or delete their rows from one of the tables"
    )
    write(folder)
    (folder / "f04.png").write_bytes((folder / "f00.png").read_bytes())
    with pytest.raises(DataInvalid) as error:
        opened(folder)
    assert plain(error.value, folder) == snapshot(
        "1 files of test set 'b' are in the training table too, byte for byte, first f04.png as f00.png: delete their rows from one of the tables"
    )


def test_images_replaced_under_their_names_have_another_fingerprint(folder):
    before, splits = opened(folder), ("train", "val", "external", "b")
    for row in ROWS:
        Image.fromarray(np.full((8, 8), 255, dtype=np.uint8) - np.uint8(int(row["age"]))).save(folder / row["file"])
    after = opened(folder)
    assert all(before.fingerprint(name, 0)["sha"] != after.fingerprint(name, 0)["sha"] for name in splits)
    assert all(before.fingerprint(name, 0)["n"] == after.fingerprint(name, 0)["n"] for name in splits)
    cache = folder / "cache"
    assert before.pixels("source", cache).place(before.tables["source"]) != after.pixels("source", cache).place(
        after.tables["source"]
    )


def test_files_that_change_while_they_are_decoded_leave_no_cache(folder):
    data = opened(folder)
    caches = data.caches(folder / "cache")
    data.check_unchanged(folder / "cache", caches)
    (folder / "f04.png").write_bytes((folder / "f05.png").read_bytes() + b" ")
    with pytest.raises(DataError) as error:
        data.check_unchanged(folder / "cache", caches)
    assert str(error.value) == snapshot(
        "1 files of b changed while they were decoded, first f04.png: nothing is computed from them; run the same command again"
    )
    assert {name: cache.folder.is_dir() for name, cache in caches.items()} == {"source": True, "b": False}


def test_patients_of_two_tables_are_two_people_unless_they_share_a_prefix(folder):
    for hospital, rows in (("north", ROWS[:24]), ("south", ROWS[24:])):
        (folder / hospital).mkdir()
        write(folder / hospital, [dict(row, patient=f"p{i // 2}") for i, row in enumerate(rows)])
    task = TASK.replace('where = { hospital = ["A"] }\n', "").replace('where = { hospital = ["B"] }\n', "")
    north = task.replace("manifest:csv=films.csv", "manifest:csv=north/films.csv,images=..", 1)
    write(folder, task=north.replace("manifest:csv=films.csv", "manifest:csv=south/films.csv,images=.."))
    data = opened(folder)
    assert len(data.tables["source"]) == len(data.tables["b"]) == 24
    assert data.tables["source"].attrs["notes"] == snapshot(
        [
            "12 patient ids, such as 'p0', are in the training table and in that of test set 'b': they are taken for different people; give both datasets one prefix= if they are the same"
        ]
    )
    text = (folder / "films.toml").read_text().replace("images=..", "images=..,prefix=study")
    (folder / "films.toml").write_text(text)
    with pytest.raises(DataInvalid, match="every patient of the source set also occurs in a test set"):
        opened(folder)


# --- datasets as tables ------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["Data, 2024/films=2.csv", 'say "a"', " b", "a@tuned", "plain", "ä,ö", "C:\\x,y"])
def test_any_value_of_an_option_can_be_written(value):
    spec = Spec("manifest", {"csv": value, "images": "i"})
    assert parse(str(spec)).options == {"csv": value, "images": "i"}
    assert parse(str(spec)).name == "manifest"


def test_a_dataset_may_be_a_table(folder):
    (folder / "Data, 2024").mkdir()
    (folder / "films.csv").rename(folder / "Data, 2024" / "films=1.csv")
    table = '{ name = "manifest", csv = "Data, 2024/films=1.csv", images = "..", path_column = "file", patient_column = "patient" }'
    text = TASK.replace('"manifest:csv=films.csv,path_column=file,patient_column=patient"', table)
    (folder / "films.toml").write_text(text)
    assert len(task_data(taskfile.resolve(str(folder / "films.toml")), folder).tables["source"]) == 32
    for wrong in ('{ csv = "x" }', '{ name = "manifest", csv = ["x"] }'):
        (folder / "films.toml").write_text(text.replace(table, wrong))
        with pytest.raises(UsageError, match="dataset"):
            taskfile.resolve(str(folder / "films.toml"))


# --- bench new task ----------------------------------------------------------------------------


def test_a_new_task_runs_once_its_guesses_are_confirmed(folder):
    (folder / "films.toml").unlink()
    made = [sys.executable, "-m", "bench.cli", "new", "task", "films", "--csv", "films.csv"]
    done = subprocess.run(made, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (
        0,
        snapshot("films.toml: correct the marked lines, then `bench doctor films.toml --data .`\n"),
    )
    file = folder / "films.toml"
    assert file.read_text() == snapshot("""\
# A task from films.csv, 48 rows. Its columns:
#   file: f00.png (1), f01.png (1), f02.png (1), f03.png (1), f04.png (1), f05.png (1), f06.png (1), f07.png (1), and 40 other values; empty (0)
#   patient: p0 (2), p1 (2), p2 (2), p3 (2), p4 (2), p5 (2), p6 (2), p7 (2), and 16 other values; empty (0)
#   hospital: A (32), B (16); empty (0)
#   sex: F (24), M (24); empty (0)
#   finding: none (24), opacity (24); empty (0)
#   age: 20 (1), 21 (1), 22 (1), 23 (1), 24 (1), 25 (1), 26 (1), 27 (1), and 40 other values; empty (0)
# Each line with `# confirm:` is a guess: correct it, then delete that mark and what follows it.

image_size = 224
channels = 1 # confirm: 1 for grey images, 3 for colour

[source]
dataset = { name = "manifest", csv = "films.csv", images = ".", path_column = "file", patient_column = "patient" } # confirm:
where = { hospital = ["A"] } # confirm: trained on

[ood.site_1]
dataset = { name = "manifest", csv = "films.csv", images = ".", path_column = "file", patient_column = "patient" } # confirm:
where = { hospital = ["B"] } # confirm: tested on

[label]
column = "finding" # confirm:
zero = ["none"] # confirm: the values of the first name
one = ["opacity"] # confirm: those of the second: the finding, or the group called disadvantaged
names = ["none", "opacity"] # confirm:

[attribute]
column = "sex" # confirm:
zero = ["M"] # confirm: the values of the first name
one = ["F"] # confirm: those of the second: the finding, or the group called disadvantaged
names = ["men", "women"] # confirm:
""")
    with pytest.raises(UsageError) as error:
        taskfile.resolve(str(file))
    assert plain(error.value, folder) == snapshot(
        "<tmp>/films.toml: lines 11, 14, 15, 18, 19, 22, 23, 24, 25, 28, 29, 30, 31 were guessed: correct them and delete `# confirm:` from each"
    )
    file.write_text("\n".join(line.partition("# confirm:")[0] for line in file.read_text().splitlines()))
    data = task_data(taskfile.resolve(str(file)), folder)
    assert {name: len(table) for name, table in data.tables.items()} == {"source": 32, "site_1": 16}
    with pytest.raises(UsageError, match="is there already"):
        write_task("films", folder / "films.csv", folder)
