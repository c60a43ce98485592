"""Predictions made elsewhere without labels, groups, patients or sets: their task tells them by the name of the image."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

import bench
from bench.errors import DataInvalid, DataMissing, UnknownName
from tests.prose import plain

TASK = """image_size = 32
channels = 1
crop = "none"
recipe = "small"
backbones = ["small"]
folds = 2
[source]
dataset = "manifest:patient_column=patient"
where = { hospital = ["A"] }
[label]
column = "finding"
one = ["disease"]
zero = ["none"]
names = ["none", "disease"]
[attribute]
column = "age"
above = 65
names = ["up to 65", "over 65"]
[ood.b]
dataset = "manifest:patient_column=patient"
where = { hospital = ["B"] }
"""
FILMS = pd.DataFrame(
    {
        "path": [f"films/f{i:02}.png" for i in range(48)],
        "patient": [f"P{i // 2}" for i in range(48)],
        "hospital": ["A"] * 24 + ["B"] * 24,
        "age": [40, 40, 70, 70] * 12,
        "finding": ["none", "disease"] * 24,
    }
)
B = FILMS["hospital"] == "B"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A hospital's table and its task; the content of the files is never looked at."""
    monkeypatch.chdir(tmp_path)
    for path in FILMS["path"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    FILMS.to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "my.toml").write_text(TASK)
    return tmp_path


def predicted(films=FILMS, **more):
    logit = np.where(films["finding"] == "disease", 1.0, -1.0) + np.random.default_rng(0).normal(size=len(films))
    return pd.DataFrame({"image": films["path"], "logit": logit}).assign(**more)


def score(table, **given):
    return bench.score(table, "my.toml", **({"data": "."} | given))


def stored(fold=0):
    return pd.read_parquet(next(Path("results").rglob(f"elsewhere/baseline/f{fold}-s0.parquet")))


def test_only_image_and_score_are_needed(site, capsys):
    table = predicted()
    found = score(table).set_index(["set", "metric"])["mean"]
    mine = stored()
    assert set(mine["set"]) == {"b"}
    ids = mine["image_id"].tolist()
    films = FILMS.set_index("path").loc[ids]
    assert mine["y"].tolist() == films["finding"].eq("disease").tolist()
    assert mine["a_age"].tolist() == films["age"].gt(65).tolist()
    assert (pd.factorize(films["patient"])[0] == mine["cluster"]).all()
    whole = FILMS[B].rename(columns={"path": "image"}).merge(table)
    own = whole.assign(y=whole["finding"].eq("disease").astype(int), a_age=whole["age"].gt(65).astype(int), set="b")
    same = score(own[["image", "logit", "y", "a_age", "patient", "set"]], results="own").set_index(["set", "metric"])
    pd.testing.assert_series_equal(found, same["mean"])
    assert capsys.readouterr().err.splitlines()[:4] == snapshot(
        [
            "label, attribute, patient and set: read from the table of task my, by the path of each image",
            "no column of the fold: which images of the training table are for validation is not known",
            "no column of the method: all rows are of one",
            "no column of the fold: all rows are of one",
        ]
    )


def test_images_of_the_validation_part_are_those_of_the_fold(site):
    score(pd.concat([predicted(fold=fold) for fold in (0, 1)]))
    parts = [stored(fold) for fold in (0, 1)]
    val = [set(part.loc[part["set"] == "val", "image_id"]) for part in parts]
    assert not val[0] & val[1]
    assert val[0] | val[1] == set(FILMS["path"][~B])


@pytest.mark.parametrize(
    ("name", "by"),
    [
        (lambda path: f"manifest:{path}", "id"),
        (lambda path: path, "path"),
        (lambda path: f"/elsewhere/{path}", "file name"),
        (lambda path: path[6:-4], "file name without suffix"),
    ],
)
def test_an_image_is_known_by_several_names(site, capsys, name, by):
    score(predicted().assign(image=FILMS["path"].map(name)))
    assert f"by the {by} of each image" in capsys.readouterr().err
    assert len(stored()) == B.sum()


def test_images_that_are_unknown_or_not_predicted_are_named_and_counted(site, capsys):
    table = predicted()[4:-3]
    table.loc[table.index[-1], "image"] = "films/other.png"
    score(table)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "other" in line or "no prediction" in line] == snapshot(
        [
            "left out: 1 rows of 1 images that the task does not use, first 'films/other.png'",
            "b: 4 of 24 images have no prediction, first 'manifest:films/f44.png'",
        ]
    )
    assert len(stored()) == B.sum() - 4


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (
            lambda table: table.assign(image="x" + table["image"].str[6:]),
            DataInvalid,
            snapshot(
                "the table: none of its images, such as 'xf00.png', is in the tables of task my, with ids such as 'manifest:films/f00.png'"
            ),
        ),
        (
            lambda table: pd.concat([table, table[-2:]]),
            DataInvalid,
            snapshot(
                "the table: image 'films/f46.png' is there twice for method 'predictions', fold 0, seed 0, set 'b' (2 such rows): keep one"
            ),
        ),
        (
            lambda table: table.assign(image=["a.png", *table["image"][1:]]).drop(columns="image"),
            DataInvalid,
            snapshot("the table: no column image_id or uid or image or path: --image COLUMN names it; it has: logit"),
        ),
        (lambda table: table[~B], DataInvalid, snapshot("the table has no test set, only train")),
    ],
    ids=["none known", "twice", "no image", "training alone"],
)
def test_what_cannot_be_joined_is_refused(site, change, error, text):
    with pytest.raises(error) as raised:
        score(change(predicted()))
    assert plain(raised.value, site) == text
    assert not (site / "results").exists()


def test_an_image_of_two_test_sets_needs_a_column_of_the_set(site):
    (site / "my.toml").write_text(TASK + TASK.partition("[ood.b]")[2].join(["[ood.c]", ""]))
    with pytest.raises(DataInvalid, match="is in b and c: a column `set` must say which"):
        score(predicted())
    score(predicted(set="c")[B])
    assert set(stored()["set"]) == {"c"}


def test_a_file_with_label_and_group_is_scored_without_the_data(site, capsys):
    own = predicted(finding=FILMS["finding"], age=FILMS["age"], set="b")[B]
    score(own, data="nowhere")
    assert "no column of the patient, and the task cannot tell: folder" in capsys.readouterr().err
    with pytest.raises(DataMissing):
        score(own.drop(columns="age"), data="nowhere")


def test_unknown_options_are_named(site):
    with pytest.raises(UnknownName, match="unknown option 'resluts': did you mean results"):
        score(predicted(), resluts="r")
