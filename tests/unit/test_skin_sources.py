"""The paper's sources of skin images, on generated trees in the official layouts."""

import pytest
from inline_snapshot import snapshot

from bench.data.sample_table import without_group
from bench.datasets.isic import Isic
from bench.errors import DataInvalid, DataMissing
from bench.tasks import ATTRIBUTES, LABELS
from tests import official_trees as trees
from tests.prose import plain
from tests.sample_tables import sample_table
from tests.unit.hospital_tables import column, read, table

SEX, DARK = ATTRIBUTES["sex"], ATTRIBUTES["dark"]
NOT_MELANOMA = LABELS["not-melanoma"]


def test_isic(tmp_path):
    rows = table(tmp_path, "isic", tones=True)
    assert column(rows[rows["drop"] != ""], "drop") == {
        "ISIC_9900006": "FILE_MISSING",
        "ISIC_9950004": "DUP_LISTED",
        "ISIC2017/ISIC_9900003": "DUP_NAME",
        "ISIC2017/ISIC_9900005": "DUP_NAME",
        "ISIC2018/ISIC_9900001": "DUP_NAME",
        "ISIC2018/ISIC_9900002": "DUP_NAME",
    }
    used = rows[rows["drop"] == ""].rename(index=lambda name: name.removeprefix("ISIC_"))
    assert column(used, "melanoma") == {
        "9900001": 0,
        "9900002": 1,
        "9900003_downsampled": 1,
        "9900004": 0,
        "9900005": 0,
        "9950001": 0,
        "9950002": 1,
        "9950003": 0,
    }
    assert list(column(used, "female").values()) == [1, 0, 1, None, 0, 0, 0, None]
    assert list(column(used, "age").values()) == [55, None, 85, None, 30, 45, 45, None]
    assert list(used["source"]) == ["HAM", "HAM", "MSK", "BCN", "MSK", *["ISIC2020"] * 3]
    assert list(used["patient"]) == [
        "HAM_9000001",
        "HAM_9000001",
        "ISIC_9900003",
        "BCN_9000002",
        "MSK4_9000003",
        "IP_9000001",
        "IP_9000001",
        "IP_9000002",
    ]
    assert list(column(used, "fst").values()) == [1, 4, 6, None, None, 3, None, None]
    assert list(column(used, "dark").values()) == [0, 1, 1, None, None, 0, None, None]
    # The image of a name that both years have is that of 2019, and the suffix stays in the path.
    assert used.loc["9900005", "path"] == "ISIC_2019_Training_Input/ISIC_9900005.jpg"
    assert used.loc["9900003_downsampled", "path"] == "ISIC_2019_Training_Input/ISIC_9900003_downsampled.jpg"


def test_isic_keeps_listed_duplicates_if_asked(tmp_path):
    rows = table(tmp_path, "isic:duplicates=keep")
    assert "DUP_LISTED" not in set(rows["drop"])
    (tmp_path / "ISIC_2020_Training_Duplicates.csv").unlink()
    assert read(tmp_path, "isic:duplicates=keep").equals(rows)
    with pytest.raises(DataMissing, match="ISIC_2020_Training_Duplicates"):
        read(tmp_path, "isic")


def test_isic_without_skin_types_says_what_a_task_on_them_lacks(tmp_path):
    trees.isic(tmp_path)
    with pytest.raises(DataMissing) as error:
        sample_table(Isic(), tmp_path, {}, NOT_MELANOMA, DARK, "source")
    assert plain(error.value, tmp_path) == snapshot(
        "skin types: table isic_train_20-19-18-17.csv (columns image_name, fitzpatrick) in <tmp> or a folder in it not found. It is in data/csv of https://github.com/pbevan1/Detecting-Melanoma-Fairly."
    )
    sample = sample_table(Isic(), tmp_path, {}, NOT_MELANOMA, SEX, "source")
    assert (len(sample), without_group(sample)) == (8, {"ATTRIBUTE_MISSING": 2})


def test_melanoma_is_the_negative_class(tmp_path):
    trees.isic(tmp_path)
    sample = sample_table(Isic(), tmp_path, {}, NOT_MELANOMA, SEX, "source").set_index("uid")
    assert sample["y"]["isic:ISIC_9900002"] == 0
    assert sample["y"]["isic:ISIC_9900001"] == 1


@pytest.mark.parametrize(
    ("spec", "melanoma", "dark", "drop"),
    [
        ("", [1, 1, 0, 0, 0], [0, 1, None, 1, 0], ""),
        ("label=melanoma_name", [1, 0, 0, 0, 0], [0, 1, None, 1, 0], ""),
        ("label=malignant", [1, 1, 1, 0, 0], [0, 1, None, 1, 0], ""),
        ("unknown=light", [1, 1, 0, 0, 0], [0, 1, 0, 1, 0], ""),
        ("wrongly_labelled=drop", [1, 1, 0, 0, 0], [0, 1, None, 1, 0], "QC_WRONG_LABEL"),
    ],
)
def test_fitzpatrick17k(tmp_path, spec, melanoma, dark, drop):
    rows = table(tmp_path, f"fitzpatrick17k:{spec}")
    assert list(column(rows, "melanoma").values()) == melanoma
    assert list(column(rows, "malignant").values()) == [1, 1, 1, 0, 0]
    assert list(column(rows, "dark").values()) == dark
    assert list(column(rows, "fst").values()) == [3, 4, None, 6, 1]
    assert list(rows["drop"]) == ["", "", drop, "", "FILE_MISSING"]
    assert list(rows["source"]) == ["dermaamin", "atlasdermatologico", "unknown", "dermaamin", "dermaamin"]


@pytest.mark.parametrize(
    ("spec", "melanoma", "dark"),
    [
        ("", [1, 1, 0, 0, 1], [1, 0, 0, 0, 0]),
        ("tone=12_vs_56", [1, 1, 0, 0, 1], [1, 0, None, 0, None]),
        ("tone=12_vs_3456", [1, 1, 0, 0, 1], [1, 0, 1, 0, 1]),
        ("label=melanoma", [1, 0, 0, 0, 1], [1, 0, 0, 0, 0]),
    ],
)
def test_ddi(tmp_path, spec, melanoma, dark):
    rows = table(tmp_path, f"ddi:{spec}")
    assert list(column(rows, "melanoma").values()) == melanoma
    assert list(column(rows, "malignant").values()) == [1, 1, 0, 0, 1]
    assert list(column(rows, "dark").values()) == dark


def test_ddi_of_an_older_release(tmp_path):
    rows = table(tmp_path, "ddi")
    file = tmp_path / "ddi_metadata.csv"
    file.write_text(file.read_text().replace("malignant", "malignancy(malig=1)"))
    assert read(tmp_path, "ddi").equals(rows)


def test_atlas(tmp_path):
    rows = table(tmp_path, "atlas")
    assert list(column(rows, "melanoma").values()) == [0, 1, 1, 0, 0]
    assert list(column(rows, "female").values()) == [1, 0, 1, 0, 0]
    folder = "release_v0/images"
    names = ["NEL/nel026.jpg", "Fal/Fal002.jpg", "Gcl/Gcl001.jpg", "Gcl/Fal002.jpg", "Gcl/Gcl006.jpg"]
    assert list(rows["path"]) == [f"{folder}/{name}" for name in names]
    clinical = read(tmp_path, "atlas:view=clinic")
    assert clinical["path"].iloc[0] == f"{folder}/NEL/Nel025.JPG"
    assert clinical["uid"].equals(rows["uid"])


def test_atlas_refuses_a_melanoma_that_it_does_not_know(tmp_path):
    trees.atlas(tmp_path)
    file = tmp_path / "release_v0" / "meta" / "meta.csv"
    file.write_text(file.read_text().replace("melanoma metastasis", "melanoma (nodular)"))
    with pytest.raises(DataInvalid) as error:
        read(tmp_path, "atlas")
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/release_v0/meta/meta.csv: row 4, column 'diagnosis': 'melanoma (nodular)': melanoma is one of melanoma, melanoma metastasis, melanoma (in situ), melanoma (less than 0.76 mm), melanoma (0.76 to 1.5 mm), melanoma (more than 1.5 mm)"
    )


def test_pad_ufes_20(tmp_path):
    rows = table(tmp_path, "pad_ufes_20")
    assert list(column(rows, "melanoma").values()) == [0, 1, 0, 0, 1]
    assert list(column(rows, "malignant").values()) == [0, 1, 1, 0, 1]
    assert list(column(rows, "female").values()) == [None, None, 1, 0, 0]
    assert list(column(rows, "fst").values()) == [None, None, 3, 5, 5]
    assert list(column(rows, "dark").values()) == [None, None, 0, 1, 1]
    assert list(rows["age"]) == [8, 8, 55, 70, 70]
    assert list(rows["patient"]) == ["PAT_9001", "PAT_9001", "PAT_9002", "PAT_9003", "PAT_9003"]
