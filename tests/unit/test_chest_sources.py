"""The paper's sources of chest films, on generated trees in the official layouts."""

import pytest
from inline_snapshot import snapshot

from bench import registry
from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.datasets.nih_cxr14 import NihCxr14
from bench.errors import DataError, DataInvalid, DataMissing
from tests import official_trees as trees
from tests.prose import plain
from tests.tree_files import write_image, write_table
from tests.unit.hospital_tables import column, read, table


def test_mimic_cxr(tmp_path):
    rows = table(tmp_path, "mimic_cxr")
    assert column(rows, "drop") == {
        "d01": "",
        "d02": "NOT_FRONTAL",
        "d03": "",
        "d04": "LABEL_OTHER_FINDING",
        "d05": "LABEL_UNCERTAIN",
        "d06": "NO_DEMOGRAPHICS_ROW",
        "d07": "LABEL_NONE",
        "d08": "LABEL_OTHER_FINDING",
        "d09": "",
        "d10": "NOT_FRONTAL",
        "d11": "LABEL_OTHER_FINDING",
        "d12": "FILE_MISSING",
    }
    used = rows.loc[["d01", "d03", "d09"]]
    assert list(used["pneumothorax"]) == [1, 0, 1]
    assert list(used["female"]) == [1, 0, 1]
    assert list(used["support_devices"]) == [0, 0, 1]
    assert list(used["source"]) == ["PA", "AP", "PA"]
    # anchor_age 0 means not known; 60 in 2174 is 66 in 2180.
    assert list(column(used, "age").values()) == [66, 53, None]
    assert list(column(read(tmp_path, "mimic_cxr:age_rule=anchor").loc[used.index], "age").values()) == [60, 52, None]
    assert used.loc["d03", "path"] == "files/p99/p99000002/s98000002/d03.JPG"
    assert used.loc["d03", "patient"] == "99000002"


def test_mimic_cxr_with_other_findings(tmp_path):
    rows = table(tmp_path, "mimic_cxr:rule=inclusive")
    assert list(rows.index[rows["drop"] == ""]) == ["d01", "d03", "d04", "d08", "d09"]
    assert rows.loc[["d04", "d08"], "pneumothorax"].eq(1).all()


def test_mimic_cxr_refuses_two_rows_of_one_patient(tmp_path):
    trees.mimic_cxr(tmp_path)
    row = ["99000001", "M", "60", "2174", "", ""]
    header = ["subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"]
    write_table(tmp_path / "hosp" / "patients.csv.gz", header, [row, row])
    with pytest.raises(DataInvalid) as error:
        read(tmp_path, "mimic_cxr")
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/hosp/patients.csv.gz: row 3, column 'subject_id': '99000001': a second row of one subject_id"
    )


@pytest.mark.parametrize("batches", [False, True])
def test_chexpert(tmp_path, batches):
    rows = table(tmp_path, "chexpert", batches=batches)
    assert list(rows["drop"]) == [
        "",
        "NOT_FRONTAL",
        "",
        "LABEL_OTHER_FINDING",
        "LABEL_UNCERTAIN",
        "LABEL_OTHER_FINDING",
        "",
    ]
    used = rows[rows["drop"] == ""]
    assert list(used["pneumothorax"]) == [1, 0, 0]
    assert list(column(used, "female").values()) == [1, None, 0]
    assert list(column(used, "age").values()) == [68, None, 33]
    assert list(used["split"]) == ["train", "train", "valid"]
    assert list(used["patient"]) == ["patient90001", "patient90002", "patient94541"]
    film = "patient90001/study1/view1_frontal.jpg"
    release = "CheXpert-v1.0 batch 2 (train 1)" if batches else "CheXpert-v1.0-small/train"
    assert used["path"].iloc[0] == f"{release}/{film}"
    inclusive = read(tmp_path, "chexpert:rule=inclusive")
    assert inclusive["drop"].iloc[3] == ""
    assert inclusive["pneumothorax"].iloc[3] == 1


@pytest.mark.parametrize(
    ("spec", "used"),
    [
        ("", ["1_000", "2_000", "3_000", "6_000"]),
        ("rule=inclusive", ["1_000", "1_001", "2_000", "3_000", "6_000"]),
        ("split=all", ["1_000", "2_000", "3_000", "5_000", "6_000"]),
    ],
)
def test_nih_cxr14(tmp_path, spec, used):
    rows = table(tmp_path, f"nih_cxr14:{spec}")
    assert list(rows.index[rows["drop"] == ""]) == [f"9900000{name}.png" for name in used]
    assert rows.loc["99000005_000.png", "drop"] == ("" if spec == "split=all" else "NOT_IN_TEST_LIST")
    assert rows.loc["99000004_000.png", "drop"] == "LABEL_OTHER_FINDING"
    assert list(column(rows, "age").values()) == [58, 59, None, 1.5, 70, 66, pytest.approx(73 / 365)]
    assert list(rows["age_note"]) == ["", "", "AGE_IMPOSSIBLE", "", "", "", ""]
    assert list(rows["female"]) == [0, 0, 1, 1, 1, 1, 0]


def test_nih_cxr14_needs_the_test_list_or_all_films(tmp_path):
    trees.nih_cxr14(tmp_path)
    (tmp_path / "test_list.txt").unlink()
    with pytest.raises(DataMissing) as error:
        read(tmp_path, "nih_cxr14")
    assert plain(error.value, tmp_path) == snapshot(
        "test_list.txt in <tmp> not found. Open download: https://nihcc.app.box.com/v/ChestXray-NIHCC or Kaggle's nih-chest-xrays/data (images, Data_Entry_2017_v2020.csv and test_list.txt). Or use all films: nih_cxr14:split=all."
    )
    assert len(read(tmp_path, "nih_cxr14:split=all")) == 7


def test_nih_cxr14_reads_colour_files_as_the_grey_that_they_are(tmp_path):
    rows = table(tmp_path, "nih_cxr14")
    path = rows["path"].iloc[0]
    grey = NihCxr14().image(tmp_path, path)
    assert grey.shape == (32, 40)
    write_image(tmp_path / path, "RGB")
    with pytest.raises(DataInvalid, match="film is in colour"):
        NihCxr14().image(tmp_path, path)


def test_a_truncated_film_is_named(tmp_path):
    rows = table(tmp_path / "data", "chexpert")
    used = rows[rows["drop"] == ""]
    file = tmp_path / "data" / used["path"].iloc[1]
    file.write_bytes(file.read_bytes()[:-200])
    dataset = registry.DATASETS.build("chexpert")
    with pytest.raises(DataError) as error:
        image_cache(Pixels(dataset, "chexpert", tmp_path / "data", 16, 1, "none", tmp_path / "cache"), used)
    assert plain(error.value, tmp_path) == snapshot("""\
1 of 3 images cannot be read, more than one in 10: is <tmp>/data the right folder?
  CheXpert-v1.0-small/train/patient90002/study2/view1_frontal.jpg (chexpert:patient90002/study2/view1_frontal): image file is truncated (11 bytes not processed)\
""")
