"""What a person reads who made a mistake, and the exit code."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

OWN = """
name = "own"
image_size = 32
channels = 3
folds = {folds}
[source]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = {{hospital = ["A"]}}
[ood.b]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = {{hospital = ["B"]}}
[label]
column = "{label}"
one = ["ill"]
zero = ["well"]
names = ["well", "ill"]
[attribute]
column = "sex"
one = ["F"]
zero = ["M"]
names = ["men", "women"]
[recipe]
pretrain_optimiser = "sgd"
pretrain_lr = 1e-2
pretrain_epochs = 1
optimiser = "sgd"
lr_extractor = 1e-3
lr_head = 1e-2
epochs = 2
epsilon = 0.1
batch = 32
"""


@pytest.fixture
def own(place):
    """A user's own images and CSV: 60 patients of two images in hospital A, 20 images in B."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(140):
        patient = f"p{i // 2}"
        rows.append(
            {
                "path": f"{i}.png",
                "patient": patient,
                "hospital": "A" if i < 120 else "B",
                "diagnosis": "ill" if (i // 2) % 3 == 0 else "well",
                "sex": "F" if (i // 2) % 2 else "M",
            }
        )
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(place.folder / f"{i}.png")
    pd.DataFrame(rows).to_csv(place.folder / "films.csv", index=False)
    (place.folder / "own.toml").write_text(OWN.format(label="diagnosis", folds=2))
    return place


def test_own_images_need_no_code(own):
    own.bench("run", "--task", "own.toml", "--methods", "llft", "--data", ".")
    own.bench("report", "--task", "own.toml", "--data", ".")
    text = (own.folder / "reports/own/main.md").read_text()
    assert "SYNTHETIC" not in text
    assert "LLFT" in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["run", "--task", "phantom-cxr-aeg"], 2, "did you mean phantom-cxr-age"),
        (["run", "--task", "tiny.toml", "--methods", "swfit"], 2, "did you mean swift"),
        (["run", "--task", "tiny.toml", "--methods", "swift:epsilom=0.1"], 2, "did you mean epsilon"),
        (["run", "--task", "tiny.toml", "--methods", "swift:epsilon=lots"], 2, "float expected"),
        (["run", "--task", "tiny.toml", "--methods", "swift:epsilon=1.5"], 2, "0 to 1"),
        (["run", "--task", "tiny.toml", "--methods", "swift:apply=updat"], 2, "did you mean update"),
        (["run", "--task", "tiny.toml", "--methods", ""], 2, "name at least one method"),
        (["run", "--task", "tiny.toml", "--folds", "7"], 2, "folds 0 to 1"),
        (["run", "--task", "tiny.toml", "--backbone", "resnet5"], 2, "allowed: small"),
        (["run", "--task", "tiny.toml", "--method", "all"], 2, "did you mean --methods"),
        (["rnu"], 2, "did you mean run"),
        (["ls", "method"], 2, "did you mean methods"),
        (["check", "swfit"], 2, "did you mean swift"),
        (["new", "method", "swift"], 2, "part of the suite"),
        (["new", "method", "../x"], 2, "letters, digits and dashes"),
        (["run", "--task", "nowhere.toml"], 3, "nowhere.toml not found"),
        (["run", "--task", "ham10000-sex", "--data", "."], 3, "doi.org"),
        (["run", "--task", "cxr-age", "--data", "."], 3, "mimic_cxr not found. Credentialed account"),
        (["run", "--task", "skin-tone", "--data", "."], 3, "https://challenge.isic-archive.com/data"),
        (["run", "--task", "tiny.toml", "--plugin", "nowhere.py"], 3, "nowhere.py not found"),
        (["report", "--task", "tiny.toml"], 1, "bench run --task tiny.toml --methods all` makes"),
    ],
)
def test_mistakes_on_the_command_line(place, words, code, says):
    done = place.bench(*words, code=code, BENCH_DATA="")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_mistakes_in_a_task_file(place):
    text = (place.folder / "tiny.toml").read_text()
    for old, new, says in (
        ("image_size = 32", "image_siez = 32", "did you mean image_size"),
        ("folds = 2", 'folds = "two"', "int expected"),
        ('optimiser = "adam"\nlr', 'optimiser = "adma"\nlr', "did you mean adam"),
        ('column = "age"', 'column = "aeg"', "'age'"),
        ("hospital=source", "hospital=sorce", "did you mean source"),
        ("[ood.ood_neutral]", "[ood.ood_neutral", "is not TOML"),
    ):
        assert old in text
        (place.folder / "tiny.toml").write_text(text.replace(old, new, 1))
        done = place.bench("run", "--task", "tiny.toml", code=None)
        assert done.returncode in (1, 2)
        assert says in done.stderr, done.stderr


def test_a_csv_without_the_column_is_named_with_the_nearest(own):
    (own.folder / "own.toml").write_text(OWN.format(label="diagnosys", folds=2))
    done = own.bench("run", "--task", "own.toml", "--data", ".", code=1)
    assert "films.csv" in done.stderr
    assert "did you mean 'diagnosis'" in done.stderr


def records(place):
    return place.records()


@pytest.mark.slow
def test_a_corrupt_image_is_named_and_left_out_of_all_cells(own):
    run = ("run", "--task", "own.toml", "--methods", "llft", "--data", ".")
    good = (own.folder / "17.png").read_bytes()
    (own.folder / "17.png").write_bytes(good[: len(good) // 2])
    done = own.bench(*run, code=1)
    assert "1 of 120 images of source cannot be read" in done.stderr
    assert "films.csv, column 'path':\n  17.png (manifest:films:17.png): OSError: " in done.stderr
    assert "4 of 4 cells done, 4 computed, 0 recomputed" in done.stdout
    without = records(own)
    assert {record["data"]["train"]["n"] + record["data"]["val"]["n"] for record in without.values()} == {119}
    predicted = pd.concat(pd.read_parquet(file) for file in own.folder.glob("results/cells/own/small/llft/*.parquet"))
    assert len(predicted[predicted["set"] == "val"]) == 119
    assert "manifest:films:17.png" not in set(predicted["image_id"])

    # Again, and as a plan: nothing is decoded or computed, and the file is named as long as the table lists it.
    own.bench("report", "--task", "own.toml", "--data", ".")
    report = {file.name: file.read_bytes() for file in (own.folder / "reports/own").iterdir()}
    assert "1 image of source is left out: its file cannot be read." in report["main.md"].decode()
    plan = own.bench(*run, "--dry-run")
    assert plan.stdout.count("done") == 4
    assert "17.png" in plan.stderr
    again = own.bench(*run, code=1)
    assert "4 of 4 cells done, 0 computed, 0 recomputed" in again.stdout
    assert "17.png" in again.stderr
    own.bench("report", "--task", "own.toml", "--data", ".")
    assert {file.name: file.read_bytes() for file in (own.folder / "reports/own").iterdir()} == report

    # Without its row all is as before, and well.
    table = pd.read_csv(own.folder / "films.csv")
    table[table["path"] != "17.png"].to_csv(own.folder / "films.csv", index=False)
    shorter = own.bench(*run, "--dry-run")
    assert "17.png" not in shorter.stderr

    # Repaired, its cells are stale.
    table.to_csv(own.folder / "films.csv", index=False)
    (own.folder / "17.png").write_bytes(good)
    plan = own.bench(*run, "--dry-run")
    assert plan.stdout.count("stale") == 4
    assert "stale" in own.bench("report", "--task", "own.toml", "--data", ".", code=1).stderr
    whole = own.bench(*run)
    assert "4 of 4 cells done, 4 computed, 4 recomputed" in whole.stdout
    assert {record["data"]["train"]["n"] + record["data"]["val"]["n"] for record in records(own).values()} == {120}
    own.bench("report", "--task", "own.toml", "--data", ".")
    assert "cannot be read" not in (own.folder / "reports/own/main.md").read_text()


def test_a_repaired_test_image_leaves_the_baselines_as_they_are(own):
    run = ("run", "--task", "own.toml", "--methods", "baseline", "--data", ".")
    good = (own.folder / "130.png").read_bytes()
    (own.folder / "130.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    own.bench(*run, code=1)
    checkpoints = {file: file.stat().st_mtime_ns for file in own.folder.glob(".cache/baselines/*.pt")}
    (own.folder / "130.png").write_bytes(good)
    assert "2 recomputed" in own.bench(*run).stdout
    assert {file: file.stat().st_mtime_ns for file in own.folder.glob(".cache/baselines/*.pt")} == checkpoints
    assert {record["scores"]["b"]["n"] for record in records(own).values()} == {20}


def test_many_corrupt_images_are_a_wrong_folder(own):
    for i in range(13):
        (own.folder / f"{i}.png").write_bytes(b"")
    for _ in range(2):
        done = own.bench("run", "--task", "own.toml", "--data", ".", code=3)
        assert "13 of 120 images cannot be read, more than one in 10: is" in done.stderr
        assert done.stderr.count(".png (manifest:films:") == 10
        assert "and 3 more" in done.stderr
    assert not list(own.folder.glob("results/cells/**/*.json"))


def test_a_missing_image_is_named(own):
    (own.folder / "3.png").unlink()
    done = own.bench("run", "--task", "own.toml", "--data", ".", code=3)
    assert "1 of 140 images" in done.stderr
    assert "3.png" in done.stderr


def test_a_group_without_positives_in_a_fold_fails_there_alone(own):
    """One ill woman in hospital A: of the two folds one has none, and its methods cannot balance."""
    table = pd.read_csv(own.folder / "films.csv")
    in_a = table["hospital"] == "A"
    women = in_a & (table["sex"] == "F")
    table.loc[women, "diagnosis"] = "well"
    table.loc[table["patient"] == "p1", "diagnosis"] = "ill"
    table.to_csv(own.folder / "films.csv", index=False)
    done = own.bench("run", "--task", "own.toml", "--methods", "llft,fullft_reg", "--data", ".", code=1)
    assert "EmptyGroup" in done.stderr
    assert "women" in done.stderr
    assert "ill" in done.stderr
    assert "5 of 6 cells done, 1 failed" in done.stdout
    own.bench("report", "--task", "own.toml", "--data", ".")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("option", ["--results", "--cache"])
def test_a_folder_that_cannot_be_written(place, option):
    (place.folder / "closed").mkdir(mode=0o500)
    done = place.bench("run", "--task", "tiny.toml", "--methods", "baseline", option, "closed", code=1)
    assert "cannot be written: Permission denied" in done.stderr
    assert "images: " not in done.stderr, "nothing is decoded that could not be used"
