"""Split manifests: what is written comes back, and what does not fit the images of this machine is refused."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.api import Attribute, Label, Recipe, Rows, Task
from bench.cells.identity import Cell
from bench.data import split_manifest
from bench.data.task_data import task_data
from bench.errors import DataError, DataMissing
from bench.run.plan import baseline_identity, cell_hash, digest
from tests.prose import plain

SPEC = "manifest:csv=films.csv,patient_column=patient"
TASK = Task(
    name="own",
    says="",
    source=Rows(dataset=SPEC, where={"site": ("A",)}),
    ood={"b": Rows(dataset=SPEC, where={"site": ("B",)})},
    label=Label(column="ill", names=("well", "ill")),
    attribute=Attribute(column="old", names=("young", "old")),
    image_size=16,
    channels=3,
    crop="none",
    folds=2,
    recipe=Recipe(
        pretrain_optimiser="sgd",
        pretrain_lr=1e-2,
        pretrain_epochs=1,
        optimiser="sgd",
        lr_extractor=1e-3,
        lr_head=1e-2,
        epochs=2,
        epsilon=0.1,
    ),
)
N = 120
SPLITS = ("train", "val", "external")


def films(root, order=range(N), *, age=False):
    """Two films of each patient, three in four of site A; the old are fewer and more often ill. No file is opened."""
    i = np.array(list(order))
    table = pd.DataFrame(
        {
            "path": [f"{k:03}.png" for k in i],
            "patient": [f"p{k // 2}" for k in i],
            "site": np.where(i // 2 % 4 == 3, "B", "A"),
            "ill": i // 2 % 3 // 2,
            "old": (i // 2 % 5 > 2).astype(int),
        }
    )
    if age:
        table["age"] = 30 + i // 2 % 5 * 12
    root.mkdir(parents=True, exist_ok=True)
    for name in table["path"]:
        (root / name).touch()
    table.to_csv(root / "films.csv", index=False)
    return root


@pytest.fixture
def root(tmp_path):
    return films(tmp_path / "data")


def written(root, task=TASK):
    file = root.parent / "splits.csv"
    file.write_text(split_manifest.manifest(task, task_data(task, root).cut()), encoding="utf-8")
    return file


def frame(file):
    return pd.read_csv(file, comment="#")


def rewritten(file, cut, *, signed=True, task=TASK):
    """A manifest of other rows; unsigned, its first line has neither n nor sha256."""
    cut = cut.assign(external=cut["external"].fillna(-1).astype(int))
    text = split_manifest.manifest(task, cut)
    if not signed:
        line, rest = text.split("\n", 1)
        header = json.loads(line[2:])
        text = "# " + json.dumps({k: v for k, v in header.items() if k not in ("n", "sha256")}) + "\n" + rest
    file.write_text(text, encoding="utf-8")
    return file


def hashes(data, methods=("baseline", "swift", "fullft_reg")):
    return [cell_hash(Cell(data.task.name, "small", m, fold, 0), data) for m in methods for fold in (0, 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"protocol": "paper"},
        {"balance": "reference"},
        {"balance": "four_cells"},
        {"deficit": "trim"},
        {"external": 0.3},
        {"external": 0.0},
        {"polarity": "clinical"},
    ],
)
def test_the_own_cut_comes_back_with_the_same_tables_and_hashes(root, changes):
    task = dataclasses.replace(TASK, **changes)
    own = task_data(task, root)
    back = task_data(task, root, manifest=written(root, task))
    for name in SPLITS:
        for fold in (0, 1):
            before, after = own.split(name, fold), back.split(name, fold)
            pd.testing.assert_frame_equal(before, after[before.columns])
            assert before.attrs.get("shortfall") == after.attrs.get("shortfall")
    assert back.repeats(0) == own.repeats(0)
    assert hashes(back) == hashes(own)


def test_the_external_set_of_a_manifest_is_taken_and_not_drawn(root):
    file = written(root)
    cut = frame(file)
    of_first = cut[cut["fold"] == 0]
    table = task_data(TASK, root).tables["source"].set_index("uid").loc[of_first["uid"]].reset_index()
    young = (table["a"] == 0) & (table["y"] == 0)
    kept, spare = (of_first.index[young.to_numpy() & (of_first["external"] == n)][0] for n in (1, 0))
    cut.loc[[kept, spare], "external"] = [0, 2]
    other = task_data(TASK, root, manifest=rewritten(file, cut))
    own = task_data(TASK, root)
    uids = list(other.split("external", 0)["uid"])
    assert uids.count(cut["uid"][spare]) == 2
    assert cut["uid"][kept] not in uids
    assert uids == sorted(uids)
    assert other.repeats(0) == own.repeats(0) + 1
    for fold, same in ((0, False), (1, True)):
        cells = [Cell("own", "small", m, fold, 0) for m in ("baseline", "swift")]
        (base, swift), (own_base, own_swift) = ([cell_hash(c, d) for c in cells] for d in (other, own))
        assert base == own_base, "a baseline does not read it"
        assert (swift == own_swift) == same
    trials = [task_data(TASK, root, selecting=True, manifest=f).split("external", 0)["uid"] for f in (file, None)]
    assert trials[0].equals(trials[1]), "less its holdout, it is drawn"


def test_another_cut_has_other_hashes_and_an_external_set_by_the_rule(root):
    file = written(root)
    cut = frame(file)
    swapped = rewritten(file, cut.assign(fold=1 - cut["fold"], external=-1), signed=False)
    own, other = task_data(TASK, root), task_data(TASK, root, manifest=swapped)
    assert sorted(other.split("val", 0)["uid"]) == sorted(own.split("val", 1)["uid"])
    assert not set(hashes(other)) & set(hashes(own))
    assert other.split("external", 0)["a"].mean() == 0.5
    only_folds = file.with_name("own.csv")
    only_folds.write_text(
        swapped.read_text().split("\n", 1)[0]
        + "\n"
        + cut.assign(fold=1 - cut["fold"])[["uid", "fold"]].to_csv(index=False)
    )
    assert hashes(task_data(TASK, root, manifest=only_folds)) == hashes(other)


def test_one_line_of_pandas_reads_it_and_an_editor_may_save_it_again(root):
    file = written(root)
    cut = frame(file)
    assert list(cut.columns) == ["uid", "fold", "external"]
    assert len(cut) == len(task_data(TASK, root).tables["source"])
    own = hashes(task_data(TASK, root))
    first, *rows = file.read_text().splitlines()
    shuffled = [rows[0], *sorted(rows[1:], key=lambda row: hashlib.sha256(row.encode()).digest())]
    file.write_bytes("\r\n".join(["\ufeff" + first, *(row.replace('"', "") for row in shuffled), ""]).encode())
    assert hashes(task_data(TASK, root, manifest=file)) == own


@pytest.mark.parametrize("uid", ["d:a#b", 'd:a"b', "d:a,b", "NA", "d:ü", "007"])
def test_an_id_comes_back_whatever_signs_it_has(tmp_path, uid):
    cut = pd.DataFrame({"uid": [uid, "x", "y"], "fold": [0, 1, 1], "external": [-1, 2, 0]})
    file = rewritten(tmp_path / "s.csv", cut)
    assert split_manifest.read(file, TASK)["uid"].tolist() == sorted([uid, "x", "y"])
    assert uid in pd.read_csv(file, comment="#", dtype=str, keep_default_na=False)["uid"].tolist()


def edit(change):
    """Rows changed behind the back of the sha256."""

    def make(file):
        cut = change(frame(file))
        file.write_text(file.read_text().split("\n", 1)[0] + "\n" + cut.to_csv(index=False))

    return make


def of_rows(change):
    return lambda file: rewritten(file, change(frame(file)))


def of_header(**changes):
    def make(file):
        line, rest = file.read_text().split("\n", 1)
        file.write_text(f"# {json.dumps({**json.loads(line[2:]), **changes})}\n{rest}")

    return make


def put(column, row, value):
    return lambda cut: cut.assign(**{column: [value if i == row else v for i, v in enumerate(cut[column])]})


def first(file, row=0):
    return frame(file)["uid"][row]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            edit(put("external", 0, 7)),
            snapshot(
                "<tmp>/splits.csv: its 90 rows have changed since it was written (n 90, sha256 7c316aca8855...): use the original file. For a cut of your own, remove sha256 from the first line."
            ),
        ),
        (
            edit(lambda cut: cut[1:]),
            snapshot(
                "<tmp>/splits.csv: its 89 rows have changed since it was written (n 90, sha256 7c316aca8855...): use the original file. For a cut of your own, remove sha256 from the first line."
            ),
        ),
        (
            of_rows(lambda cut: cut[1:]),
            snapshot("<tmp>/splits.csv: 1 images of the table are not in the manifest, first 'manifest:000.png'"),
        ),
        (
            of_rows(lambda cut: pd.concat([cut, pd.DataFrame({"uid": ["z", "y"], "fold": 0, "external": 0})])),
            snapshot(
                "<tmp>/splits.csv: 2 images are not in the table of this machine (no file, or another release or filter?), first 'y'"
            ),
        ),
        (
            of_rows(lambda cut: pd.concat([cut, cut[:1]])),
            snapshot("<tmp>/splits.csv: 1 images have more than one row, first 'manifest:000.png'"),
        ),
        (
            of_rows(lambda cut: put("fold", 0, 1 - cut["fold"][0])(cut)),
            snapshot("<tmp>/splits.csv: 1 patients (or lesions) are in more than one fold, first 'films.csv:p0'"),
        ),
        (
            of_rows(put("fold", 2, 5)),
            snapshot("<tmp>/splits.csv: 1 images have another fold than -1 to 1, first 'manifest:002.png'"),
        ),
        (
            of_rows(put("external", 1, -2)),
            snapshot(
                "<tmp>/splits.csv: 1 images have another external than a whole number of -1 or more, or nothing, first 'manifest:001.png'"
            ),
        ),
        (
            edit(put("external", 1, 0.5)),
            snapshot(
                "<tmp>/splits.csv: 1 images have another external than a whole number of -1 or more, or nothing, first 'manifest:001.png'"
            ),
        ),
        (
            edit(put("fold", 1, "one")),
            snapshot("<tmp>/splits.csv: 1 images have another fold than -1 to 1, first 'manifest:001.png'"),
        ),
        (
            of_rows(lambda cut: cut.assign(fold=-1, external=1)),
            snapshot(
                "<tmp>/splits.csv: 90 images are in an external set but not in the validation part of a fold, first 'manifest:000.png'"
            ),
        ),
        (
            of_rows(lambda cut: cut.assign(fold=0)),
            snapshot("<tmp>/splits.csv: no image in fold 1 of 2"),
        ),
        (
            of_rows(put("external", 3, -1)),
            snapshot("<tmp>/splits.csv: fold 1 has `external` for some of its images and not for others"),
        ),
        (
            of_rows(lambda cut: cut.assign(external=0)),
            snapshot("<tmp>/splits.csv: the external set of fold 0 lacks images of a group and class"),
        ),
        (
            edit(lambda cut: cut.rename(columns={"uid": "id"})),
            snapshot("<tmp>/splits.csv: no column 'uid'; a manifest has uid, fold, external"),
        ),
        (
            of_header(task="other"),
            snapshot(
                '<tmp>/splits.csv has task "other", but the task has "own": give the manifest of the task, or run with task "other"'
            ),
        ),
        (
            of_header(protocol="paper"),
            snapshot(
                '<tmp>/splits.csv has protocol "paper", but the task has "clean": give the manifest of the task, or run with protocol "paper"'
            ),
        ),
        (
            of_header(external=0.2),
            snapshot(
                "<tmp>/splits.csv has external 0.2, but the task has 1.0: give the manifest of the task, or run with external 0.2"
            ),
        ),
        (
            of_header(n=3),
            snapshot(
                "<tmp>/splits.csv: its 90 rows have changed since it was written (n 3, sha256 7c316aca8855...): use the original file. For a cut of your own, remove sha256 from the first line."
            ),
        ),
        (
            lambda file: file.write_text(file.read_text().split("\n", 1)[1]),
            snapshot(
                '<tmp>/splits.csv is not a manifest of splits: its first line must be like # {"task": "..."}; every run writes one to splits/ in its results folder'
            ),
        ),
        (
            lambda file: file.write_bytes(b"PK\x03\x04\xff"),
            snapshot(
                "splits <tmp>/splits.csv cannot be read: 'utf-8' codec can't decode byte 0xff in position 4: invalid start byte"
            ),
        ),
        (
            lambda file: file.write_text("# {}\n"),
            snapshot("<tmp>/splits.csv: its first line lacks 'task': \"own\" expected"),
        ),
    ],
    ids=[
        "edited",
        "cut off",
        "image of the table",
        "image of the file",
        "twice",
        "patient",
        "no such fold",
        "below",
        "part of an image",
        "word",
        "outside",
        "empty fold",
        "some",
        "no external set",
        "column",
        "task",
        "protocol",
        "share",
        "n",
        "no header",
        "binary",
        "empty",
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(root, spoil, message):
    file = written(root)
    spoil(file)
    with pytest.raises(DataError) as caught:
        task_data(TASK, root, manifest=file)
    assert plain(caught.value, root.parent) == message
    assert caught.value.exit_code == 3
    assert str(file) in str(caught.value)


def test_a_manifest_that_is_not_there_is_missing(root):
    with pytest.raises(DataMissing, match=r"none\.csv not found"):
        task_data(TASK, root, manifest=root / "none.csv")


def test_the_protocol_of_the_paper_may_have_a_patient_in_two_folds(root):
    task = dataclasses.replace(TASK, protocol="paper")
    data = task_data(task, root, manifest=written(root, task))
    assert set(data.split("train", 0)["patient"]) & set(data.split("val", 0)["patient"])


def test_a_variant_of_the_recipe_takes_the_manifest_of_its_task_and_one_of_the_cut_does_not(tmp_path):
    base = taskfile.resolve("phantom-cxr-age")
    file = tmp_path / "s.csv"
    cut = pd.DataFrame({"uid": list("abcde"), "fold": range(5), "external": 1})
    file.write_text(split_manifest.manifest(base, cut))
    assert len(split_manifest.read(file, taskfile.resolve("phantom-cxr-age:epochs=3"))) == 5
    with pytest.raises(DataError) as error:
        split_manifest.read(file, taskfile.resolve("phantom-cxr-age:external=0.2"))
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/s.csv has external 1.0, but the task has 0.2: give the manifest of the task, or run with external 1.0"
    )


def test_groups_that_a_baseline_chooses_leave_the_external_set_to_the_rule(root, tmp_path):
    groups = Attribute(column="age", cuts=(45, 66), names=("young", "middle", "old"))
    task = dataclasses.replace(TASK, attribute=groups)
    root = films(root, age=True)
    file = written(root, task)
    assert frame(file)["external"].isna().all()
    assert hashes(task_data(task, root, manifest=file), ["baseline", "swift"]) == hashes(
        task_data(task, root), ["baseline", "swift"]
    )
    with pytest.raises(DataError) as error:
        task_data(task, root, manifest=rewritten(file, frame(file).assign(external=1), task=task))
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/splits.csv: each baseline chooses the groups of the external set: leave `external` empty"
    )


def test_an_image_that_this_machine_cannot_read_is_named(root, tmp_path):
    """Films here are empty files, so none can be read; one is listed as such."""
    file = written(root)
    data = task_data(TASK, root, manifest=file)
    from bench.data.unreadable import Unreadable

    bad = (Unreadable("manifest:004.png", "004.png", "truncated", size=0, changed=0),)
    with pytest.raises(DataError) as error:
        split_manifest.check_readable(data.tables["source"], bad)
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/splits.csv: 1 images cannot be read on this machine (truncated): replace their files, first 'manifest:004.png'"
    )
    split_manifest.check_readable(task_data(TASK, root).tables["source"], bad)
    # Where the manifest was made it could not be read either: it is in no part, there and here.
    here = task_data(TASK, root)
    table = here.tables["source"]
    kept = table[table["uid"] != bad[0].uid].reset_index(drop=True)
    lacking = dataclasses.replace(here, tables={**here.tables, "source": kept}, unreadable={"source": bad})
    file.write_text(split_manifest.manifest(TASK, lacking.cut()))
    cut = frame(file)
    assert cut.loc[cut["uid"] == bad[0].uid, "fold"].tolist() == [-1]
    there = task_data(TASK, root, manifest=file)
    split_manifest.check_readable(there.tables["source"], bad)
    assert hashes(there) == hashes(lacking)
    assert all(bad[0].uid not in set(there.split(name, fold)["uid"]) for name in SPLITS for fold in (0, 1))


FINGERPRINTS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_splits import TASK
from bench.data import split_manifest
from bench.data.task_data import task_data
print(split_manifest.sha256(task_data(TASK, Path(sys.argv[1])).cut()))
"""


def test_the_same_cut_from_rows_in_another_order_with_another_hash_seed_and_in_another_locale(root, tmp_path):
    """The constant was written down once: a change of it is another cut, hence other results of every task."""
    golden = "7c316aca88555db0e8642181f4f50547468d626f772d87bda8eb193eddffc434"
    assert split_manifest.sha256(task_data(TASK, root).cut()) == golden
    shuffled = films(tmp_path / "shuffled", np.random.default_rng(3).permutation(N))
    for seed, locale in (("1", "C"), ("2", "tr_TR.UTF-8")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, "-c", FINGERPRINTS, str(shuffled), str(Path(__file__).parent)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == golden


def test_a_baseline_is_shared_by_tasks_with_one_cut(root):
    """What a baseline is made of is the content of the manifest, whatever its name and place."""
    file = written(root)
    moved = file.with_name("elsewhere.csv")
    moved.write_bytes(file.read_bytes())
    cell = Cell("own", "small", "baseline", 0, 0)
    one, other = (digest(baseline_identity(cell, task_data(TASK, root, manifest=f))) for f in (file, moved))
    assert one == other
