"""Phantom trees: what is planted is what the real plugins read, and what says that nobody's data are in them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench import cli, listing, registry, taskfile
from bench.data.phantom_tree import MARKER, NOTICE, is_phantom, write_trees
from bench.data.task_data import task_data
from bench.errors import DataError, NotWritten, UnknownName, UsageError
from tests.prose import plain, sentences_with

ROOT = Path(__file__).parents[2]
NAMES = ("atlas", "chexpert", "ddi", "fitzpatrick17k", "isic", "mimic_cxr", "nih_cxr14", "pad_ufes_20")
# The log odds ratio of attribute and label: tied in both source trees, none or reversed in the others.
PLANTED = {
    "atlas": 0.0,
    "chexpert": 0.0,
    "ddi": 0.6,
    "fitzpatrick17k": 0.0,
    "isic": -2.0,
    "mimic_cxr": 1.5,
    "nih_cxr14": -0.8,
    "pad_ufes_20": -0.8,
}
NUISANCES = {
    "atlas": {"FILE_MISSING"},
    "chexpert": {"FILE_MISSING", "LABEL_OTHER_FINDING", "LABEL_UNCERTAIN", "NOT_FRONTAL"},
    "ddi": {"FILE_MISSING"},
    "fitzpatrick17k": {"FILE_MISSING"},
    "isic": {"DUP_LISTED", "DUP_NAME", "FILE_MISSING"},
    "mimic_cxr": {
        "FILE_MISSING",
        "LABEL_NONE",
        "LABEL_OTHER_FINDING",
        "LABEL_UNCERTAIN",
        "NOT_FRONTAL",
        "NO_DEMOGRAPHICS_ROW",
    },
    "nih_cxr14": {"FILE_MISSING", "LABEL_OTHER_FINDING", "NOT_IN_TEST_LIST"},
    "pad_ufes_20": {"FILE_MISSING"},
}


def quiet(name, done, total):
    pass


def write(names, out, images=40, seed=0):
    return write_trees(names, out, images=images, seed=seed, progress=quiet)


def files(root):
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def facts(root):
    return json.loads((root / MARKER).read_text())


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """All trees, small; nobody writes into them."""
    folder = tmp_path_factory.mktemp("trees")
    write(NAMES, folder, images=120)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_plugin_uses_and_leaves_out_what_the_marker_says(trees, name):
    told, table = facts(trees / name), registry.DATASETS.build(name).table(trees / name)
    used = table[table["drop"] == ""]
    assert (len(table), len(used)) == (told["rows"], told["used"])
    assert table["drop"][table["drop"] != ""].value_counts().to_dict() == told["left_out"]
    assert set(told["left_out"]) == NUISANCES[name]
    attributes = registry.DATASETS.load(name).attributes
    unknown = {column: int(used[column].isna().sum()) for column in attributes}
    assert {column: n for column, n in unknown.items() if n} == told["unknown_among_used"]


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_in_use_is_readable_but_those_that_are_cut(trees, name):
    dataset, broken = registry.DATASETS.build(name), set()
    table = dataset.table(trees / name)
    for path in table["path"][table["drop"] == ""]:
        try:
            assert dataset.image(trees / name, path).shape[:2] == (64, 64)
        except OSError:
            broken.add(path)
    assert broken == set(facts(trees / name)["unreadable"])
    assert len(broken) == (0 if name in ("ddi", "nih_cxr14", "pad_ufes_20") else 1)  # those have PNG files alone


def plugin_table(trees, name):
    table = registry.DATASETS.build(name).table(trees / name)
    told = facts(trees / name)["planted"]
    group = table["age"] > 65 if told["attribute"] == "age > 65" else table[told["attribute"]] == 1
    known = (table["drop"] == "") & table[told["attribute"].partition(" ")[0]].notna()
    return table[told["label"]][known].astype(int), group[known].fillna(False).astype(bool), told


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name == "mimic_cxr" else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)
def test_the_planted_correlation_is_that_of_the_written_tree(tmp_path, name):
    write([name], tmp_path, images=3000)
    y, old, told = plugin_table(tmp_path, name)
    rates = y[~old].mean(), y[old].mean()
    # Pictures of one person share the attribute, not the label, so these are binomial: four standard errors.
    for rate, expected, n in zip(rates, (told["p_label_given_0"], told["p_label_given_1"]), (~old, old), strict=True):
        assert abs(rate - expected) < 4 * np.sqrt(expected * (1 - expected) / n.sum())
    odds = [rate / (1 - rate) for rate in rates]
    assert told["log_odds"] == PLANTED[name]
    assert np.log(odds[1] / odds[0]) == pytest.approx(PLANTED[name], abs=0.45)
    assert old.mean() == pytest.approx(told["p_attribute"], abs=0.06)


def test_age_is_tied_to_the_label_in_the_source_tree_of_chest_films(tmp_path):
    write(["mimic_cxr"], tmp_path, images=600)
    y, old, told = plugin_table(tmp_path, "mimic_cxr")
    assert (round(told["p_label_given_0"], 3), round(told["p_label_given_1"], 3)) == (0.215, 0.552)
    assert y[~old].mean() == pytest.approx(0.215, abs=0.1)
    assert y[old].mean() == pytest.approx(0.552, abs=0.15)


def test_identifiers_lie_outside_the_ranges_of_the_releases(trees):
    shapes = {
        "mimic_cxr": ("patient", r"99\d{6}"),
        "chexpert": ("patient", r"patient9\d{4,}"),
        "nih_cxr14": ("patient", r"99\d{6}"),
        "isic": ("uid", r"isic:(ISIC201[78]/)?ISIC_99\d{5}(_downsampled)?"),
        "fitzpatrick17k": ("uid", r"fitzpatrick17k:99\d{30}"),
        "ddi": ("uid", r"ddi:99\d{5}"),
        "atlas": ("patient", r"9\d{4}"),
        "pad_ufes_20": ("patient", r"PAT_9\d{4,}"),
    }
    for name, (column, shape) in shapes.items():
        values = registry.DATASETS.build(name).table(trees / name)[column]
        assert values.str.fullmatch(shape).all(), name
    studies = registry.DATASETS.build("mimic_cxr").table(trees / "mimic_cxr")["path"].str.extract(r"/s(\d+)/")[0]
    assert studies.dropna().str.fullmatch(r"98\d{6}").all()


def test_every_picture_says_what_it_is(trees):
    pictures = [file for file in trees.rglob("*") if file.suffix.lower() in (".jpg", ".png")]
    assert len(pictures) > 8 * 100
    for file in pictures:
        with Image.open(file) as image:
            comment = image.info.get("comment", image.info.get("Comment"))
            assert comment in ("SYNTHETIC PHANTOM", b"SYNTHETIC PHANTOM"), file


def mode(file):
    with Image.open(file) as image:
        return image.mode


def test_quirks_of_the_releases_are_in_the_files(trees):
    entry = (trees / "nih_cxr14" / "Data_Entry_2017.csv").read_text().splitlines()
    assert entry[0].endswith("PixelSpacing[x,y],")
    ages = {line.split(",")[4] for line in entry[1:]}
    assert "412" in ages
    assert any(re.fullmatch(r"0\d\dY", age) for age in ages)
    assert {"L", "RGBA"} == {mode(file) for file in (trees / "nih_cxr14").rglob("*.png")}
    assert list((trees / "isic").rglob("*_downsampled.jpg"))
    sexes = pd.read_csv(trees / "isic" / "ISIC_2020_Training_GroundTruth_v2.csv", keep_default_na=False)["sex"]
    assert "unknown" in set(sexes)
    older = pd.read_csv(trees / "isic" / "ISIC_2019_Training_Metadata.csv", keep_default_na=False)["sex"]
    assert "" in set(older)
    assert "-1" in (trees / "isic" / "isic_train_20-19-18-17.csv").read_text()
    assert ",-1," in (trees / "fitzpatrick17k" / "fitzpatrick17k.csv").read_text()
    assert pd.read_csv(trees / "pad_ufes_20" / "metadata.csv")["gender"].isna().any()
    assert "-1.0" in (trees / "chexpert" / "CheXpert-v1.0-small" / "train.csv").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_arguments_give_the_same_bytes(tmp_path, name):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        write([name], tmp_path / folder, seed=seed)
    first = files(tmp_path / "a" / name)
    assert first == files(tmp_path / "b" / name)
    assert first != files(tmp_path / "c" / name)
    assert facts(tmp_path / "a" / name) | {"seed": 3, "images": 40, "notice": NOTICE} == facts(tmp_path / "a" / name)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    mine = tmp_path / "ddi" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UsageError) as error:
        write(["atlas", "ddi"], tmp_path)
    assert plain(error.value, tmp_path) == snapshot("<tmp>/ddi is not empty and is left as it is; choose another --out")
    assert files(tmp_path) == {"ddi/mine.txt": b"mine"}
    mine.unlink()
    write(["ddi"], tmp_path)
    assert is_phantom(tmp_path / "ddi")


def test_an_interrupted_tree_leaves_nothing(tmp_path):
    def interrupt(name, done, total):
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_trees(["ddi"], tmp_path, images=40, seed=0, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritten, match="phantom tree"):
        write(["ddi"], tmp_path / "file")


def test_sources_without_trees_are_told_which_have_one(tmp_path, capsys):
    with pytest.raises(UsageError) as error:
        write(["ham10000"], tmp_path)
    assert str(error.value) == snapshot(
        "dataset ham10000 has no phantom tree; those that have one: atlas, chexpert, ddi, fitzpatrick17k, isic, mimic_cxr, nih_cxr14, pad_ufes_20"
    )
    with pytest.raises(UnknownName) as error:
        write(["mimic_cxt"], tmp_path)
    assert str(error.value) == snapshot(
        "unknown dataset 'mimic_cxt': did you mean mimic_cxr? allowed: atlas, chexpert, ddi, embeddings, fitzpatrick17k, ham10000, isic, manifest, mimic_cxr, nih_cxr14, pad_ufes_20, phantom"
    )
    with pytest.raises(UsageError, match="named twice"):
        write(["ddi", "DDI"], tmp_path)
    with pytest.raises(UsageError) as error:
        write(["ddi:tone=12_vs_56"], tmp_path)
    assert str(error.value) == snapshot(
        "dataset ddi:tone=12_vs_56: phantom trees have no parameters; give each name once, without parameters"
    )
    assert not list(tmp_path.iterdir())
    assert cli.main(["phantom", "ddi", "--out", str(tmp_path), "--images", "39"]) == 2
    assert "40 to 50000" in capsys.readouterr().err


def test_the_list_says_who_writes_a_tree():
    assert sentences_with(listing.show("datasets", "ddi"), "`bench") == snapshot(
        ["phantom tree  `bench phantom ddi --out DIR`"]
    )
    assert re.search(r"phantom tree +none", listing.show("datasets", "ham10000"))


# --- synthetic where the tree says so ----------------------------------------------------------


def test_a_task_on_phantom_trees_is_synthetic(trees):
    assert task_data(taskfile.resolve("cxr-age"), trees).synthetic
    assert task_data(taskfile.resolve("skin-gender"), trees).synthetic


def test_a_phantom_beside_a_release_is_refused(tmp_path):
    write(["mimic_cxr", "chexpert", "nih_cxr14"], tmp_path)
    (tmp_path / "nih_cxr14" / MARKER).unlink()
    with pytest.raises(DataError) as error:
        task_data(taskfile.resolve("cxr-age"), tmp_path)
    assert str(error.value) == snapshot("task cxr-age mixes generated images (source, chexpert) with real ones")
    (tmp_path / "mimic_cxr" / MARKER).unlink()
    (tmp_path / "chexpert" / MARKER).unlink()
    assert not task_data(taskfile.resolve("cxr-age"), tmp_path).synthetic


def test_the_table_of_the_documentation_is_what_is_planted(trees):
    text = (ROOT / "docs" / "phantoms.md").read_text(encoding="utf-8")
    for name in NAMES:
        told = facts(trees / name)["planted"]
        cells = (
            f"`{name}`",
            told["attribute"],
            told["label"],
            f"{told['log_odds']:+.1f}",
            f"{told['p_label_given_0']:.3f}",
            f"{told['p_label_given_1']:.3f}",
        )
        assert f"| {' | '.join(cells)} |" in text
