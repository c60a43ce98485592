"""Split manifests that do not fit the images of this machine are refused."""

import json

import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.data.task_data import task_data
from bench.errors import DataError, DataMissing
from tests.prose import plain
from tests.unit.films import TASK, films, frame, rewritten, written


@pytest.fixture
def root(tmp_path):
    return films(tmp_path / "data")


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
