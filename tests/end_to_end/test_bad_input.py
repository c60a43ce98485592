"""Tables and images with mistakes: what a person reads, and the exit code."""

import os

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from tests.prose import lines_with, sentences_with

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
REPORT = ("report", "--task", "own.toml", "--data", ".", "--only", "main,groups,trade-off")


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
    own.bench(*REPORT)
    text = (own.folder / "reports/own/main.md").read_text()
    assert "SYNTHETIC" not in text
    assert "LLFT" in text


def test_a_csv_without_the_column_is_named_with_the_nearest(own):
    (own.folder / "own.toml").write_text(OWN.format(label="diagnosys", folds=2))
    done = own.bench("run", "--task", "own.toml", "--data", ".", code=3)
    assert own.told(done.stderr) == snapshot(
        "bench: <tmp>/films.csv: no column 'diagnosys': did you mean 'diagnosis'? it has: path, patient, hospital, diagnosis, sex\n"
    )


def records(place):
    return place.records()


@pytest.mark.slow
def test_a_corrupt_image_is_named_and_left_out_of_all_cells(own):
    run = ("run", "--task", "own.toml", "--methods", "llft", "--data", ".")
    good = (own.folder / "17.png").read_bytes()
    (own.folder / "17.png").write_bytes(good[: len(good) // 2])
    done = own.bench(*run, code=1)
    before, raised, _ = own.told(done.stderr).partition("17.png (manifest:17.png): ")
    assert raised, "what Pillow says of it"
    assert before == snapshot("""\
own  small backbone, 2 folds, 2 methods: 4 cells, 0 done, 2 baselines first
source: 120 rows, 120 images used, 40 of them ill (33.3%)
  diagnosis, well: 'well' (80)
  diagnosis, ill: 'ill' (40)
  sex, men: 'M' (60)
  sex, women: 'F' (60)
b: 20 rows, 20 images used, 8 of them ill (40.0%)
  diagnosis, well: 'well' (12)
  diagnosis, ill: 'ill' (8)
  sex, men: 'M' (10)
  sex, women: 'F' (10)
source: 120 rows, 119 images used, 40 of them ill (33.6%)
  left out: 1 row, the file cannot be read (FILE_CORRUPT)
left out: 1 of 120 images of source cannot be read; all cells are computed without them. <tmp>/films.csv, column 'path':
  \
""")
    assert own.ended(done.stdout) == {"done": 4, "cells": 4, "computed": 4, "recomputed": 0}
    without = records(own)
    assert {record["data"]["train"]["n"] + record["data"]["val"]["n"] for record in without.values()} == {119}
    predicted = pd.concat(pd.read_parquet(file) for file in own.folder.glob("results/cells/own/small/llft/*.parquet"))
    assert len(predicted[predicted["set"] == "val"]) == 119
    assert "manifest:17.png" not in set(predicted["image_id"])

    # Again, and as a plan: nothing is decoded or computed, and the file is named as long as the table lists it.
    own.bench(*REPORT)
    report = {file.name: file.read_bytes() for file in (own.folder / "reports/own").iterdir()}
    left_out = sentences_with(report["main.md"].decode(), "Left out of source")
    assert left_out == snapshot(["- Left out of source: the file cannot be read: 1."])
    plan = own.bench(*run, "--dry-run")
    assert plan.stdout.count("done") == 4
    assert "17.png" in plan.stderr
    again = own.bench(*run, code=1)
    assert own.ended(again.stdout) == {"done": 4, "cells": 4, "computed": 0, "recomputed": 0}
    assert "17.png" in again.stderr
    own.bench(*REPORT)
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
    assert "stale" in own.bench(*REPORT, code=1).stderr
    whole = own.bench(*run)
    assert own.ended(whole.stdout) == {"done": 4, "cells": 4, "computed": 4, "recomputed": 4}
    assert {record["data"]["train"]["n"] + record["data"]["val"]["n"] for record in records(own).values()} == {120}
    own.bench(*REPORT)
    page = (own.folder / "reports/own/main.md").read_text()
    assert not [sentence for sentence in left_out if sentence in page]


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
        assert own.told(done.stderr) == snapshot("""\
own  small backbone, 2 folds, 10 methods: 20 cells, 0 done, 2 baselines first
source: 120 rows, 120 images used, 40 of them ill (33.3%)
  diagnosis, well: 'well' (80)
  diagnosis, ill: 'ill' (40)
  sex, men: 'M' (60)
  sex, women: 'F' (60)
  note: 13 images have the same content as another one: 1 different files in all, 1 of them of several patients; `bench doctor TASK --full` names some
b: 20 rows, 20 images used, 8 of them ill (40.0%)
  diagnosis, well: 'well' (12)
  diagnosis, ill: 'ill' (8)
  sex, men: 'M' (10)
  sex, women: 'F' (10)
bench: 13 of 120 images cannot be read, more than one in 10: is <tmp> the right folder?
  0.png (manifest:0.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  1.png (manifest:1.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  10.png (manifest:10.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  11.png (manifest:11.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  12.png (manifest:12.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  2.png (manifest:2.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  3.png (manifest:3.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  4.png (manifest:4.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  5.png (manifest:5.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  6.png (manifest:6.png): no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
  and 3 more
""")
        assert done.stderr.count(".png (manifest:") == 10
        assert "and 3 more" in done.stderr
    assert not list(own.folder.glob("results/cells/**/*.json"))


def test_a_few_missing_images_are_counted_and_many_are_an_error(own):
    words = ("run", "--task", "own.toml", "--methods", "baseline", "--folds", "0", "--data", ".")
    (own.folder / "3.png").unlink()
    assert lines_with(own.bench(*words).stderr, "missing") == snapshot(
        ["  left out: 1 row, the file is missing (FILE_MISSING)"]
    )
    for i in range(4, 20):
        (own.folder / f"{i}.png").unlink()
    assert own.told(own.bench(*words, code=3).stderr) == snapshot(
        "bench: 17 of 120 images of set 'source', first 3.png, not found. Paths are looked up in <tmp>: give images=FOLDER, relative to the table, path_column=COLUMN or suffix=.png.\n"
    )


def test_images_replaced_under_their_names_are_computed_again(own):
    """Of the same size and with the same times: results and baselines of the old images are stale, and no table has both."""
    words = ("run", "--task", "own.toml", "--folds", "0", "--data", ".")
    own.bench(*words, "--methods", "baseline,llft")
    old = own.records()
    for file in own.folder.glob("*.png"):
        before = file.stat()
        pixels = 255 - np.asarray(Image.open(file))
        Image.fromarray(pixels).save(file)
        os.truncate(file, max(before.st_size, file.stat().st_size))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    asked = own.bench(*words, "--methods", "baseline,llft", "--dry-run")
    assert len(lines_with(asked.stdout, "stale")) == 2
    assert lines_with(own.bench(*REPORT, code=1).stderr, "left out", "llft")
    done = own.bench(*words, "--methods", "bmft")
    assert own.ended(done.stdout) == {"done": 2, "cells": 2, "computed": 2, "recomputed": 1}
    assert lines_with(done.stderr, "stale") == snapshot(
        ["1 stale cell computed again: computed from other images, settings or code"]
    )
    name = "own/small/baseline/f0-s0.json"
    assert own.records()[name]["baseline_sha256"] != old[name]["baseline_sha256"]


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
    assert own.ended(done.stdout) == {"done": 5, "cells": 6, "failed": 1, "computed": 5, "recomputed": 0}
    own.bench(*REPORT)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("option", ["--results", "--cache"])
def test_a_folder_that_cannot_be_written(place, option):
    (place.folder / "closed").mkdir(mode=0o500)
    done = place.bench("run", "--task", "tiny.toml", "--methods", "baseline", option, "closed", code=1)
    says = {
        "--results": snapshot(
            [
                "bench: <tmp>/closed/cells cannot be written: Permission denied. Finished cells are kept; run the same command again to resume."
            ]
        ),
        "--cache": snapshot(
            [
                "bench: <tmp>/closed/baselines cannot be written: Permission denied. Finished cells are kept; run the same command again to resume."
            ]
        ),
    }
    assert lines_with(place.told(done.stderr), "closed") == says[option]
    assert "images: " not in done.stderr, "nothing is decoded that could not be used"
