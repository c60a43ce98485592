"""HAM10000 and an extract of ChestX-ray14, on the real files where they are at hand."""

import numpy as np
import pandas as pd
from PIL import Image

from bench.api import Attribute, Label
from bench.data.apart import keep_apart
from bench.data.cache import image_cache
from bench.data.external import external_set
from bench.data.folds import folds
from bench.data.pixels import Pixels
from bench.data.sample_table import without_group
from bench.datasets.ham10000 import Ham10000
from bench.datasets.manifest import Manifest
from bench.decode import read_image
from tests.real import shared
from tests.sample_tables import sample_table

MALIGNANT = Label(column="malignant", names=("benign", "malignant"))
FEMALE = Attribute(column="female", names=("male", "female"))


def test_real_ham_counts():
    table = Ham10000().table(shared("ham10000"))
    assert len(table) == 10_015
    assert table["lesion"].nunique() == 7470
    sites = {"vidir_modern": 3363, "vidir_molemax": 3954, "vienna_dias": 439, "rosendahl": 2259}
    assert table["source"].value_counts().to_dict() == sites
    assert (table["drop"] == "").all()
    share = table.groupby("source")["malignant"].mean().astype(float).mul(100).round(1).to_dict()
    assert share == {"vidir_modern": 27.4, "vidir_molemax": 0.7, "vienna_dias": 16.4, "rosendahl": 41.3}
    unknown = table["female"].isna()
    assert unknown.sum() == 57
    assert table.loc[unknown, "malignant"].sum() == 0
    assert table["age"].isna().sum() == 57 + 39
    assert (table.groupby("lesion")["source"].nunique() > 1).sum() == 9


def test_real_ham_malignant_by_sex_and_site():
    table = Ham10000().table(shared("ham10000"))
    counts = table.groupby(["source", "female"])["malignant"].agg(["sum", "size"])
    expected = {
        ("vidir_modern", 1): (339, 1515),
        ("vidir_modern", 0): (584, 1791),
        ("rosendahl", 1): (337, 902),
        ("rosendahl", 0): (596, 1357),
    }
    assert {cell: tuple(counts.loc[cell]) for cell in expected} == expected


def test_real_ham_makes_a_task():
    root = shared("ham10000")
    vienna = {"source": ("vidir_modern", "vidir_molemax", "vienna_dias")}
    source = sample_table(Ham10000(), root, vienna, MALIGNANT, FEMALE, "source")
    ood = sample_table(Ham10000(), root, {"source": ("rosendahl",)}, MALIGNANT, FEMALE, "queensland")
    assert (len(source), len(ood)) == (7756, 2259)
    assert (without_group(source), without_group(ood)) == ({"ATTRIBUTE_MISSING": 57}, {})
    # No lesion is both in Vienna and in Queensland: the nine at two sites are at two sites of Vienna.
    pd.testing.assert_frame_equal(keep_apart(source, [ood]), source)
    modern = sample_table(Ham10000(), root, {"source": ("vidir_modern",)}, MALIGNANT, FEMALE, "source")
    molemax = sample_table(Ham10000(), root, {"source": ("vidir_molemax",)}, MALIGNANT, FEMALE, "ood")
    apart = keep_apart(modern, [molemax])
    assert modern["patient"].nunique() - apart["patient"].nunique() == 9

    known = source["a"] >= 0
    for stratify in ("label", "attribute"):
        fold = folds(source, stratify=stratify)
        assert abs(np.bincount(fold) / len(source) - 0.2).max() < 0.01
        for k in range(5):
            part, grouped = source[fold == k], source[(fold == k) & known]
            assert not set(part["patient"]) & set(source.loc[fold != k, "patient"])
            assert abs(part["y"].mean() - source["y"].mean()) < 0.01
            if stratify == "attribute":
                assert abs(grouped["a"].mean() - source["a"][known].mean()) < 0.01
                gap = grouped.groupby("a")["y"].mean() - source[known].groupby("a")["y"].mean()
                assert gap.abs().max() < 0.01
        external = external_set(source[fold == 0], (0, "ham10000-sex", 0, "female"))
        assert set(external["a"]) == {0, 1}
        assert external.groupby(["a", "y"]).size().groupby("y").nunique().eq(1).all()


def nih():
    return Manifest(
        csv="Data_Entry_2017_v2020.csv",
        images="images",
        path_column="Image Index",
        patient_column="Patient ID",
        source_column="View Position",
    )


def test_real_nih_table_as_it_ships():
    root = shared("nih-cxr14-small")
    table = nih().table(root)
    assert len(table) == 1000
    assert table["patient"].nunique() == 264
    assert table["patient"].value_counts().iloc[0] == 66
    assert table["source"].value_counts().to_dict() == {"PA": 637, "AP": 363}
    assert {"OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]"} <= set(table.columns)
    label = Label(column="Finding Labels", names=("finding", "none"), one=("No Finding",), rest=True)
    sex = Attribute(column="Patient Gender", names=("male", "female"), one=("F",), zero=("M",))
    rows = sample_table(nih(), root, {}, label, sex, "source")
    assert rows["y"].value_counts().to_dict() == {0: 501, 1: 499}
    assert rows["a"].value_counts().to_dict() == {1: 509, 0: 491}
    age = Attribute(column="Patient Age", names=("24 or younger", "older"), above=24)
    assert len(sample_table(nih(), root, {}, label, age, "source")) == 1000


def test_real_nih_folds_keep_patients_together():
    root = shared("nih-cxr14-small")
    label = Label(column="Finding Labels", names=("finding", "none"), one=("No Finding",), rest=True)
    sex = Attribute(column="Patient Gender", names=("male", "female"), one=("F",), zero=("M",))
    rows = sample_table(nih(), root, {}, label, sex, "source")
    fold = folds(rows)
    assert (rows.assign(fold=fold).groupby("patient")["fold"].nunique() == 1).all()
    assert abs(np.bincount(fold) / 1000 - 0.2).max() <= 0.01


def test_real_nih_colour_files_are_read_as_grey(tmp_path):
    root = shared("nih-cxr14-small")
    table = nih().table(root)
    modes = {}
    for path in table["path"]:
        with Image.open(root / path) as image:
            modes[path] = image.mode
    colour = [path for path, mode in modes.items() if mode == "RGBA"]
    assert len(colour) == 21
    subset = table[table["path"].isin(colour[:21] + list(table["path"][:20]))]
    cache = image_cache(Pixels(nih(), "manifest", root, 64, 1, "none", tmp_path / "cache"), subset)
    for uid, path in zip(subset["uid"], subset["path"], strict=True):
        pixels = read_image(root / path)
        assert (pixels == pixels[:, :, :1]).all(), "the films are grey, whatever their mode"
        np.testing.assert_array_equal(cache.array[cache.rows([uid])[0]], pixels[:, :, :1])


def test_real_ham_images_make_a_cache(tmp_path):
    root = shared("ham10000")
    table = Ham10000().table(root).iloc[::200]
    cache = image_cache(Pixels(Ham10000(), "ham10000", root, 64, 3, "centre", tmp_path / "cache"), table)
    assert cache.array.shape == (len(table), 64, 64, 3)
    means = cache.array.reshape(len(table), -1, 3).mean(axis=1)
    assert (means[:, 0] > means[:, 2]).mean() > 0.9, "skin is red rather than blue"
