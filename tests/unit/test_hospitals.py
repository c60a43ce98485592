"""The paper's eight sources: on generated trees in the official layouts, and on real tables where they are at hand."""

import dataclasses
import gzip
import os
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import registry, taskfile
from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.data.release_files import files_below, read_table
from bench.data.sample_table import sample_table, without_group
from bench.datasets._tables import years
from bench.datasets.fitzpatrick17k import Fitzpatrick17k
from bench.datasets.isic import Isic
from bench.datasets.nih_cxr14 import NihCxr14
from bench.datasets.pad_ufes_20 import PadUfes20
from bench.errors import DataError, DataInvalid, DataMissing
from bench.tasks import ATTRIBUTES, LABELS, TASKS
from tests import official_trees as trees
from tests.prose import plain

SEX, OLD, DARK = (ATTRIBUTES[name] for name in ("sex", "over-65", "dark"))
PNEUMOTHORAX, NOT_MELANOMA, MALIGNANT = (LABELS[name] for name in ("pneumothorax", "not-melanoma", "malignant"))
CONTRACT = {"uid", "path", "patient", "source", "drop"}
NAMES = tuple(trees.TREES)


def table(root, spec, **tree):
    """Write the tree of a source below `root` and return its table by image: the uid without the source."""
    name = spec.partition(":")[0]
    trees.TREES[name](root, **tree)
    return read(root, spec)


def read(root, spec):
    rows = registry.DATASETS.build(spec).table(root)
    return rows.set_index(rows["uid"].str.partition(":")[2])


def column(rows, name):
    """Return a column as {image: value}, None where the value is not known."""
    return {key: None if pd.isna(value) else value for key, value in rows[name].items()}


# --- all of them -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_source_keeps_the_contract(tmp_path, name):
    rows = table(tmp_path, name)
    kind = registry.DATASETS.load(name)
    assert CONTRACT | {*kind.labels, *kind.attributes} <= {*rows.columns}
    assert rows["uid"].is_unique
    assert rows["uid"].str.startswith(f"{name}:").all()
    assert rows["patient"].notna().all()
    used = rows[rows["drop"] == ""]
    assert len(used) > 1
    for path in used["path"]:
        pixels = kind().image(tmp_path, path)
        assert pixels.shape[:2] == (32, 40)
    for label in kind.labels:
        assert used[label].notna().all()
        assert rows[label].dtype == "Int8"


@pytest.mark.parametrize("name", NAMES)
def test_names_are_found_in_any_case_and_folder(tmp_path, name):
    plain = table(tmp_path / "plain", name)
    for file in filter(Path.is_file, (tmp_path / "plain").rglob("*")):
        place = file.relative_to(tmp_path / "plain")
        moved = tmp_path / "moved" / "a" / place.with_name(file.name.upper())
        moved.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, moved)
    moved = read(tmp_path / "moved", name)
    assert column(moved, "drop") == column(plain, "drop")
    assert moved["path"].ne(plain["path"])[plain["drop"] == ""].all()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_and_where_it_is_had(tmp_path, name):
    access = re.escape(registry.DATASETS.load(name).access)
    with pytest.raises(DataMissing, match=rf"table \S+\.csv .*not found\. {access}"):
        registry.DATASETS.build(name).table(tmp_path)
    trees.TREES[name](tmp_path)
    for file in [*tmp_path.rglob("*.jpg"), *tmp_path.rglob("*.JPG"), *tmp_path.rglob("*.png")]:
        file.unlink()
    with pytest.raises(DataMissing, match=rf"\d+ images, first \S+, in .*not found\. {access}"):
        read(tmp_path, name)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_changes_the_table(tmp_path, name):
    kind = registry.DATASETS.load(name)
    plain = table(tmp_path, name)
    for field in dataclasses.fields(kind):
        changed = read(tmp_path, f"{name}:{field.name}={field.metadata['other']}")
        assert not changed.equals(plain), field.name


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_says_what_it_is(name):
    assert 20 < len(registry.DATASETS.load(name).__doc__.splitlines()[0]) <= 100


@pytest.mark.parametrize("name", ["skin-tone", "skin-gender", "cxr-gender", "cxr-age"])
def test_the_tasks_of_the_paper_read_their_tables(tmp_path, name):
    task = TASKS[name]
    for set_name, rows in {"source": task.source, **task.ood}.items():
        extra = {"tones": True} if rows.dataset == "isic" else {}
        trees.TREES[rows.dataset](tmp_path / rows.dataset, **extra)
        dataset = registry.DATASETS.build(rows.dataset)
        sample = sample_table(dataset, tmp_path / rows.dataset, rows.where, task.label, task.attribute, set_name)
        assert set(sample["y"]) == {0, 1}, set_name
        assert set(sample["a"]) <= {-1, 0, 1}
        assert ((sample["a"] == -1) == (sample["no_group"] != "")).all()


def test_tables_are_read_without_torch():
    modules = ", ".join(NAMES)
    code = f"import sys; from bench.datasets import {modules}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"


def test_the_task_of_the_documentation_is_one(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "skin.toml").write_text(block)
    task = taskfile.resolve(str(tmp_path / "skin.toml"))
    assert (task.recipe, task.label) == (TASKS["skin-tone"].recipe, NOT_MELANOMA)
    for rows in (task.source, *task.ood.values()):
        registry.DATASETS.build(rows.dataset)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_and_its_values_are_documented(name):
    table = DOCS.read_text(encoding="utf-8").partition("| option | default |")[2]
    kind = registry.DATASETS.load(name)
    for field in dataclasses.fields(kind):
        (line,) = (line for line in table.splitlines() if f"`{name}:{field.name}`" in line)
        for value in typing.get_args(typing.get_type_hints(kind)[field.name]):
            assert f"`{value}`" in line


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"<!DOCTYPE html><title>Log in</title>",
            snapshot(
                "<tmp>/t.csv begins with b'<!DOCTYPE html><title>Log in</title>', which is not a CSV table (a login page or a Git LFS pointer?): download the file itself"
            ),
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            snapshot(
                "<tmp>/t.csv begins with b'version https://git-lfs.github.com/spec/', which is not a CSV table (a login page or a Git LFS pointer?): download the file itself"
            ),
        ),
        (
            b"",
            snapshot(
                "<tmp>/t.csv begins with b'', which is not a CSV table (a login page or a Git LFS pointer?): download the file itself"
            ),
        ),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\r",
            snapshot(
                "<tmp>/t.csv begins with b'\\x89PNG\\r\\n\\x1a\\n\\x00\\x00\\x00\\r', which is not a CSV table (a login page or a Git LFS pointer?): download the file itself"
            ),
        ),
        (
            gzip.compress(b"name,age\na,1\n" * 500, mtime=0)[:-20],
            snapshot(
                "<tmp>/t.csv is not a complete CSV table (Compressed file ended before the end-of-stream marker was reached): download it again"
            ),
        ),
        (
            b"name,age\na,1,2\nb,1\n",
            snapshot(
                "<tmp>/t.csv is not a complete CSV table (Length of header or names does not match length of data. This leads to a loss of data with index_col=False.): download it again"
            ),
        ),
        (
            b"name,age\na,1\nb,1,2\n",
            snapshot("""\
<tmp>/t.csv is not a complete CSV table (Error tokenizing data. C error: Expected 2 fields in line 3, saw 3
): download it again\
"""),
        ),
        (
            b"name,ages\na,1\n",
            snapshot("<tmp>/t.csv: no column 'age': did you mean 'ages' or 'name'? it has: name, ages"),
        ),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataInvalid) as error:
        read_table(tmp_path / "t.csv", ["name", "age"])
    assert plain(error.value, tmp_path) == words
    assert str(tmp_path / "t.csv") in str(error.value)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_a_table_is_read_zipped_or_not_whatever_its_name(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(b"\xef\xbb\xbfname,b,Age\nNA,1, 7 \nx,2, \n"))
    rows = files_below(tmp_path).table(["T.CSV"], ["name", "age"], get_it="", other_names={"Age": "age"})
    # Words are kept as they are, spaces around them are not.
    assert rows["name"].tolist() == ["NA", "x"]
    assert rows["age"].fillna("").tolist() == ["7", ""]


def test_of_two_files_of_one_name_the_least_deep_is_taken(tmp_path):
    for folder in ("a/b", "c"):
        trees.write_image(tmp_path / folder / "one.png")
    files = files_below(tmp_path)
    assert files.images() == {"one": "c/one.png"}
    assert files.images(prefer="a/") == {"one": "a/b/one.png"}
    assert files.images(parts=2) == {"b/one": "a/b/one.png", "c/one": "c/one.png"}


def test_links_are_followed_and_circles_end(tmp_path):
    trees.write_image(tmp_path / "disk" / "one.png")
    trees.write_image(tmp_path / "root" / "two.png")
    (tmp_path / "root" / "images").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "again").symlink_to(tmp_path / "root")
    assert files_below(tmp_path / "root").paths == ("two.png", "images/one.png")


def test_closed_folders_are_listed_but_not_entered(tmp_path):
    trees.write_image(tmp_path / "p10" / "p10000001" / "s1" / "one.png")
    assert files_below(tmp_path, closed=r"p\d{8}").paths == ("p10/p10000001",)


def test_ages():
    given = pd.DataFrame({"age": pd.array(["058Y", "013M", "004D", "58.0", "0", "120", "121", "412Y", None], "string")})
    age, impossible = years(given, "age")
    expected = [58, 13 / 12, 4 / 365, 58, 0, 120, np.nan, np.nan, np.nan]
    np.testing.assert_allclose(age.astype("float64").to_numpy(na_value=np.nan), expected, rtol=1e-6)
    assert impossible.tolist() == [False] * 6 + [True, True, False]
    with pytest.raises(DataInvalid) as error:
        years(pd.DataFrame({"age": pd.array(["1", "old"], "string")}), "age")
    assert str(error.value) == snapshot(
        "table: row 3, column 'age': 'old': years, or a number with Y, M or D, expected"
    )


# --- skin --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (
            "pad_ufes_20",
            "FEMALE",
            "WOMAN",
            snapshot("<tmp>/metadata.csv: row 4, column 'gender': 'WOMAN': allowed: female, f, male, m, unknown"),
        ),
        (
            "pad_ufes_20",
            ",BCC,",
            ",XYZ,",
            snapshot("<tmp>/metadata.csv: row 4, column 'diagnostic': 'XYZ': allowed: bcc, scc, mel, ack, nev, sek"),
        ),
        (
            "ddi",
            ",34,",
            ",33,",
            snapshot("<tmp>/ddi_metadata.csv: row 4, column 'skin_tone': '33' (2 such rows): allowed: 12, 34, 56"),
        ),
        (
            "fitzpatrick17k",
            "f4,6",
            "f4,7",
            snapshot("<tmp>/fitzpatrick17k.csv: row 5, column 'fitzpatrick_scale': '7': 1 to 6 expected, or -1"),
        ),
        (
            "isic",
            "IP_9000001,IL_9950002,male,45.0",
            "IP_9000001,IL_9950002,male,old",
            snapshot(
                "<tmp>/ISIC_2020_Training_GroundTruth_v2.csv: row 3, column 'age_approx': 'old': years, or a number with Y, M or D, expected"
            ),
        ),
    ],
)
def test_values_that_the_releases_do_not_have_are_refused(tmp_path, name, old, new, words):
    trees.TREES[name](tmp_path)
    file = next(file for file in tmp_path.rglob("*.csv") if old in file.read_text())
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(DataInvalid) as error:
        read(tmp_path, name)
    assert plain(error.value, tmp_path) == words


# --- chest -------------------------------------------------------------------------------------


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
    trees.write_table(tmp_path / "hosp" / "patients.csv.gz", header, [row, row])
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
    trees.write_image(tmp_path / path, "RGB")
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
  CheXpert-v1.0-small/train/patient90002/study2/view1_frontal.jpg (chexpert:patient90002/study2/view1_frontal): OSError: image file is truncated (11 bytes not processed)\
""")


# --- the real tables ---------------------------------------------------------------------------


def shared(name):
    """Return the folder of real files `name`, or skip: BENCH_SHARED, else the folder `shared` beside the checkout."""
    home = Path(os.environ.get("BENCH_SHARED") or Path(__file__).parents[3] / "shared")
    folder = home / "data" / name
    if not folder.is_dir():
        pytest.skip(f"real tables not at hand: no folder {folder} (set BENCH_SHARED)")
    return folder


def counts(rows, by, label):
    """Return {group: (positives, images)} of the rows in use whose group is known."""
    used = rows[rows["drop"] == ""].dropna(subset=[by])
    return {int(group): (int(part.sum()), len(part)) for group, part in used.groupby(by)[label]}


def test_real_isic():
    root = shared("metadata")
    rows = Isic().rows(Isic().read(files_below(root)))
    named = rows[rows["drop"] != "DUP_NAME"]
    used = rows[rows["drop"] == ""]
    # All 2,000 images of 2017 are in 2019, 374 of them melanoma in both.
    repeated = rows[rows["drop"] == "DUP_NAME"]
    assert (len(repeated), repeated["melanoma"].sum()) == (2000, 374)
    assert len(named) == 25_331 + 33_126 == 58_457
    assert len(used) == 58_032
    assert used["melanoma"].sum() == 5103
    assert counts(rows, "female", "melanoma") == {0: (2824, 30_155), 1: (2198, 27_452)}
    assert used["female"].isna().sum() == 425
    assert used["patient"].nunique() == 15_987
    assert used["source"].value_counts().to_dict() == {"ISIC2020": 32_701, "BCN": 12_413, "HAM": 10_015, "MSK": 2903}
    kept = Isic(duplicates="keep")
    assert (kept.rows(kept.read(files_below(root)))["drop"] == "").sum() == 58_457


@pytest.mark.parametrize(
    ("label", "total", "light", "dark"),
    [("melanoma9", 573, 439, 107), ("melanoma_name", 490, 370, 95), ("malignant", 2263, 1651, 509)],
)
def test_real_fitzpatrick17k(label, total, light, dark):
    official = Fitzpatrick17k().read(files_below(shared("metadata")))
    rows = Fitzpatrick17k(label=label).rows(official)
    assert len(rows) == 16_577
    assert rows["fst"].value_counts().to_dict() == {1: 2947, 2: 4808, 3: 3308, 4: 2781, 5: 1533, 6: 635}
    assert rows["fst"].isna().sum() == 565
    assert rows["melanoma"].sum() == total
    assert counts(rows, "dark", "melanoma") == {0: (light, 11_063), 1: (dark, 4949)}
    reference = Fitzpatrick17k(label=label, unknown="light").rows(official)
    assert reference["dark"].value_counts().to_dict() == {0: 11_628, 1: 4949}
    assert (Fitzpatrick17k(wrongly_labelled="drop").rows(official)["drop"] == "QC_WRONG_LABEL").sum() == 17


def test_real_pad_ufes_20():
    official = PadUfes20().read(files_below(shared("metadata")))
    rows = PadUfes20().rows(official)
    assert len(rows) == 2298
    assert rows["female"].value_counts().to_dict() == {1: 753, 0: 741}
    assert rows["melanoma"].sum() == 52
    assert rows["patient"].nunique() == 1373


@pytest.mark.parametrize(
    ("split", "rule", "positive", "negative"),
    [
        ("test", "exclusive", 953, 9861),
        ("test", "inclusive", 12_526 - 9861, 9861),
        ("all", "exclusive", 2194, 60_361),
        ("all", "inclusive", 5302, 60_361),
    ],
)
def test_real_nih_cxr14(tmp_path, split, rule, positive, negative):
    root = shared("metadata")
    (tmp_path / "test_list.txt").symlink_to(root / "NIH_test_list.txt.gz")
    (tmp_path / "Data_Entry_2017_v2020.csv").symlink_to(root / "Data_Entry_2017_v2020.csv.gz")
    dataset = NihCxr14(split=split, rule=rule)
    rows = dataset.rows(dataset.read(files_below(tmp_path)))
    assert len(rows) == 112_120
    used = rows[rows["drop"] == ""]
    assert used["pneumothorax"].value_counts().to_dict() == {1: positive, 0: negative}
    if (split, rule) == ("test", "exclusive"):
        assert counts(rows, "female", "pneumothorax") == {0: (498, 6208), 1: (455, 4606)}
        old = rows.assign(old=(rows["age"] > 65).astype(int))
        assert counts(old, "old", "pneumothorax") == {0: (829, 9551), 1: (124, 1263)}
        assert used["patient"].nunique() == 2566
        assert used["source"].value_counts().to_dict() == {"AP": 5415, "PA": 5399}
        assert rows["drop"].value_counts().to_dict()["NOT_IN_TEST_LIST"] == 86_524


def test_real_nih_extract(tmp_path):
    root = shared("nih-cxr14-small")
    dataset = NihCxr14(split="all")
    sample = sample_table(dataset, root, {}, PNEUMOTHORAX, SEX, "source")
    assert sample["y"].value_counts()[0] == 499
    assert sample.attrs["left_out"] == {"LABEL_OTHER_FINDING": 1000 - len(sample)}
    assert len(sample_table(dataset, root, {}, PNEUMOTHORAX, OLD, "source")) == len(sample)
    cache = image_cache(Pixels(dataset, "nih_cxr14", root, 64, 1, "none", tmp_path / "cache"), sample)
    assert cache.array.shape == (len(sample), 64, 64, 1)
    assert cache.array.reshape(len(sample), -1).std(axis=1).min() > 0


def test_real_fitzpatrick17k_malignant_is_a_column_of_its_own():
    official = Fitzpatrick17k().read(files_below(shared("metadata")))
    rows = Fitzpatrick17k().rows(official)
    assert MALIGNANT.column == "malignant"
    assert rows["malignant"].sum() == 2263
