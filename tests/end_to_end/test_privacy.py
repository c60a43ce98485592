"""What a user hands on, reports and what was printed, names no image and no patient; those stay in the results."""

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

import bench
from tests.prose import lines_with, plain, sentences_with

IMAGES = 96
TOML = """
name = "own"
folds = 2
image_size = 16
channels = 1
crop = "none"
[source]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = {site = "A"}
[ood.elsewhere]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = {site = "B"}
[label]
column = "ill"
names = ["well", "ill"]
[attribute]
column = "old"
names = ["young", "old"]
[recipe]
pretrain_optimiser = "adam"
pretrain_lr = 2e-3
pretrain_epochs = 1
optimiser = "adam"
lr_extractor = 1e-3
lr_head = 1e-2
epochs = 2
epsilon = 0.1
batch = 16
"""
LEAKY = '''"""A method that fails and says on which images."""

from bench.api import Method


class Leaky(Method):
    """Fails."""

    title = "Leaky"
    row = 90
    uses = frozenset({"val"})
    version = 1

    def fit(self, run):
        raise ValueError(f"cannot fit {list(run.split('val').uids)}")
'''


@pytest.fixture(scope="module")
def hospital(new_place):
    """A table of films whose file names and patients are like no other word, and the own task run on it."""
    place = new_place("hospital")
    i = np.arange(IMAGES)
    table = pd.DataFrame(
        {
            "path": [f"zqfilm{k:04}.png" for k in i],
            "patient": [f"zqpat{k // 2:04}" for k in i],
            "site": np.where(i // 2 % 4 == 3, "B", "A"),
            "ill": i // 2 % 3 // 2,
            "old": (i // 2 % 5 > 2).astype(int),
        }
    )
    table.to_csv(place.folder / "films.csv", index=False)
    rng = np.random.default_rng(0)
    for name in table["path"]:
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(place.folder / name)
    (place.folder / "own.toml").write_text(TOML)
    place.words = ("--task", "own.toml", "--data", str(place.folder))
    place.ran = place.bench("run", *place.words, "--methods", "swift", "--jobs", "1")
    return place


def named(text):
    return [word for word in ("zqfilm", "zqpat") if word in text]


def test_neither_what_is_printed_nor_a_report_names_an_image_or_a_patient(hospital):
    reported = hospital.bench("report", *hospital.words, "--min-cell", "3")
    for text in (hospital.ran.stdout, hospital.ran.stderr, reported.stdout, reported.stderr):
        assert named(text) == []
    files = [file for file in (hospital.folder / "reports").rglob("*") if file.is_file()]
    assert {"main.csv", "groups.csv", "index.html", "figure-3.png"} <= {file.name for file in files}
    assert not [file for file in files if file.name.startswith(("figure-1", "figure-5"))]
    assert str(hospital.folder) not in (hospital.folder / "reports/own/index.html").read_text()
    for file in files:
        assert named(file.read_bytes().decode("latin-1")) == []
    cells = [str(file.relative_to(hospital.folder)) for file in (hospital.folder / "results/cells").rglob("*")]
    assert named(" ".join(cells)) == []
    manifest = (hospital.folder / "results/splits/own.csv").read_text()
    assert manifest.count("zqfilm") == 72, "the results folder has them: it is the user's"


def test_predictions_number_the_patients_of_each_set_and_name_none(hospital):
    file = hospital.folder / "results/cells/own/small/swift/f1-s0.parquet"
    assert b"zqpat" not in file.read_bytes()
    for _, rows in pd.read_parquet(file).groupby("set"):
        # Of each patient there are two films, the numbers of which follow one another.
        patient = rows["image_id"].str.extract(r"zqfilm(\d+)")[0].astype(int) // 2
        numbers = {p: code for code, p in enumerate(dict.fromkeys(patient))}
        assert rows["cluster"].tolist() == [numbers[p] for p in patient]
        assert rows["cluster"].dtype == "int32"
        assert len(numbers) == len(rows) / 2


def test_a_report_repeats_no_message_that_names_images(hospital):
    (hospital.folder / "leaky.py").write_text(LEAKY)
    plugin = ("--plugin", "leaky.py")
    failed = hospital.bench("run", *hospital.words, *plugin, "--methods", "leaky", "--jobs", "1", code=1)
    assert "ValueError" in failed.stderr
    reported = hospital.bench("report", *hospital.words, *plugin, "--reports", "after")
    assert named(reported.stdout + reported.stderr) == []
    notes = (hospital.folder / "after/own/main.md").read_text()
    assert sentences_with(notes, "Leaky, fold 0", "ValueError") == snapshot(
        ["- Failed: Leaky, fold 0: ValueError (why: in the results)"]
    )
    assert all(named(file.read_bytes().decode("latin-1")) == [] for file in (hospital.folder / "after/own").iterdir())


def test_a_cut_goes_to_another_folder_and_its_results_are_the_same(hospital, place_in, tmp_path):
    """The manifest is all that travels; a run with it where there are results already computes nothing."""
    manifest = hospital.folder / "results/splits/own.csv"
    again = hospital.bench("run", *hospital.words, "--methods", "swift", "--splits", str(manifest), "--jobs", "1")
    assert hospital.ended(again.stdout) == {"done": 4, "cells": 4, "computed": 0, "recomputed": 0}
    assert "--splits" in again.stdout, "the report is to be asked for with the same cut"
    cut = pd.read_csv(manifest, comment="#")
    header = manifest.read_text().split("\n", 1)[0]
    own = tmp_path / "own.csv"
    turned = cut.assign(fold=1 - cut["fold"])[["uid", "fold"]].to_csv(index=False)
    own.write_text(header + "\n" + turned)
    refused = hospital.bench("run", *hospital.words, "--splits", str(own), code=3)
    said = re.sub(r"sha256 [0-9a-f]{12}", "sha256 <hash>", plain(refused.stderr, hospital.folder, tmp_path))
    assert said == snapshot(
        "bench: <tmp>/own.csv: its 72 rows have changed since it was written (n 72, sha256 <hash>...): use the original file. For a cut of your own, remove sha256 from the first line.\n"
    )
    own.write_text(header.partition(', "n"')[0] + "}\n" + turned)
    stale = hospital.bench("run", *hospital.words, "--methods", "swift", "--splits", str(own), "--dry-run")
    assert len(lines_with(stale.stdout, "stale")) == 4
    missing = hospital.bench("report", *hospital.words, "--splits", "no.csv", code=3)
    assert hospital.told(missing.stderr) == snapshot(
        "bench: splits <tmp>/no.csv not found. Every run writes them to splits/ in its results folder.\n"
    )


def test_an_export_names_no_image_and_no_patient_and_with_predictions_no_patient(hospital, tmp_path):
    for more, ids in ((), []), (("--with-predictions",), ["zqfilm"]):
        file = tmp_path / f"{len(more)}.tar.gz"
        said = hospital.bench("export", *hospital.words, *more, "--out", str(file))
        assert named(said.stdout + said.stderr) == []
        with tarfile.open(file) as tar:
            inside = {item.name: opened.read() for item in tar if (opened := tar.extractfile(item))}
        text = b"".join(data for name, data in inside.items() if not name.endswith(".parquet")).decode()
        assert named(" ".join(inside)) == []
        assert named(text) == ids, "the manifest of the folds has them"
        assert str(hospital.folder) not in text
        tables = [pd.read_parquet(io.BytesIO(data)) for name, data in inside.items() if name.endswith(".parquet")]
        assert len(tables) == (4 if more else 0)
        assert named(" ".join(table.to_csv() for table in tables)) == ids
        assert not [name for name in inside if name.endswith((".png", ".npz", ".pdf"))]


WATCH = """import socket, sys
from pathlib import Path
def watched(name, arguments):
    if name in ("socket.connect", "socket.getaddrinfo", "socket.sendto") and not isinstance(arguments[1], (str, bytes)):
        Path({tried!r}).write_text(repr(arguments))
sys.addaudithook(watched)
"""


@pytest.mark.slow
def test_no_command_but_prepare_opens_a_connection(place_in, tmp_path):
    """Every process of a run has a hook that Python calls before it connects."""
    tried = tmp_path / "tried"
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(WATCH.format(tried=str(tried)))
    place, path = place_in(tmp_path), {"PYTHONPATH": f"{tmp_path / 'hook'}:{Path(bench.__file__).parents[1]}"}
    task = ("--task", "tiny.toml")
    for words in (
        ("run", *task, "--methods", "llft", "--folds", "0"),
        ("status",),
        ("report", *task),
        ("export", *task),
        ("doctor", "tiny.toml"),
    ):
        place.bench(*words, code=None, **path)
    assert not tried.exists()
    probe = "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", probe], env=path, check=True)
    assert tried.exists(), "the hook sees connections"


def test_a_test_set_that_contains_a_suppressed_one_is_suppressed(place):
    few = '[ood.few]\ndataset = "phantom:family=chest,hospital=ood_neutral,images=30,size=32"\n[label]'
    file = place.folder / "tiny.toml"
    file.write_text(file.read_text().replace("[label]", few))
    place.bench("run", "--task", "tiny.toml", "--methods", "baseline", "--folds", "0", "--jobs", "1")
    place.report("--only", "main", "--min-cell", "5")
    lines = (place.folder / "reports/tiny/main.md").read_text().splitlines()
    (said,) = [line for line in lines if "Suppressed, because" in line]
    assert "which would tell such a number: few, ood\\_neutral. No count" in said
    assert [line for line in lines if line.startswith("- ood\\_reversed: 100 images (")]
