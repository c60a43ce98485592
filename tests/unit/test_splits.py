"""Split manifests: what is written comes back, on every machine."""

import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.api import Attribute
from bench.cells.identity import Cell
from bench.data import split_manifest
from bench.data.task_data import task_data
from bench.errors import DataError
from bench.running.plan import baseline_identity, cell_hash, digest
from tests.prose import plain
from tests.unit.films import TASK, N, films, frame, hashes, rewritten, written

SPLITS = ("train", "val", "external")


@pytest.fixture
def root(tmp_path):
    return films(tmp_path / "data")


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


def first(file, row=0):
    return frame(file)["uid"][row]


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
from tests.unit.films import TASK
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
        words = [sys.executable, "-c", FINGERPRINTS, str(shuffled)]
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
