"""Tasks of one's own: test sets, datasets as tables, and the task file that `bench new` makes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench import taskfile
from bench.data.task_data import task_data
from bench.errors import DataError, DataInvalid, UsageError
from bench.spec import Spec, parse
from bench.templates.new_task import write_task
from tests.prose import plain
from tests.unit.own_films import ROWS, TASK, opened, own_films, write


@pytest.fixture
def folder(tmp_path):
    return own_films(tmp_path)


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
