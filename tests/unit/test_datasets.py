"""The datasets `manifest` and `ham10000`: on small made-up trees, and on the real files where they are at hand."""

import csv
import dataclasses
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench.api import Attribute, Label
from bench.data.cache import image_cache
from bench.data.external import external_set
from bench.data.folds import folds
from bench.data.pixels import Pixels
from bench.data.sample_table import keep_apart, sample_table, without_group
from bench.data.table_files import SEPARATORS
from bench.datasets.ham10000 import Ham10000
from bench.datasets.manifest import Manifest
from bench.decode import read_image
from bench.errors import DataInvalid, DataMissing
from bench.tasks import TASKS
from tests.prose import plain

CONTRACT = {"uid", "path", "patient", "source", "drop"}


def shared(name):
    """Return the folder of real files `name`, or skip: BENCH_SHARED, else the folder `shared` beside the checkout."""
    home = Path(os.environ.get("BENCH_SHARED") or Path(__file__).parents[3] / "shared")
    folder = home / "data" / name
    if not folder.is_dir():
        pytest.skip(f"real data not at hand: no folder {folder} (set BENCH_SHARED)")
    return folder


def write_image(file, value=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), value, dtype=np.uint8)).save(file)


@pytest.mark.parametrize("kind", [Manifest, Ham10000])
def test_the_first_line_says_what_it_is(kind):
    assert 20 < len(kind.__doc__.splitlines()[0]) <= 100


def test_tables_are_read_without_torch():
    modules = "import decode; from bench.data import sample_table, folds, external, cache, decoding"
    code = f"import sys; from bench {modules}; from bench.datasets import manifest, ham10000; "
    subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=True)


# --- manifest ----------------------------------------------------------------------------------


def manifest(root, text, **options):
    (root / "own.csv").write_text(text, encoding="utf-8")
    for name in ("001", "b.png", "sub/c.png", "NA.png"):
        # Without a suffix the format has to be said.
        (root / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 7, dtype=np.uint8)).save(root / "films" / name, format="PNG")
    return Manifest(**({"csv": "own.csv", "images": "films"} | options))


ROWS = "path,person,site,finding,sex\n001,007,A,None,F\nb.png,7,B,Nodule,M\nsub/c.png,,,Nodule,\nNA.png,NA,A,None,F\n"


def test_manifest_gives_the_contract_and_every_column(tmp_path):
    table = manifest(tmp_path, ROWS, patient_column="person", source_column="site").table(tmp_path)
    assert set(table.columns) == CONTRACT | {"person", "site", "finding", "sex"}
    assert table["uid"].tolist() == [f"manifest:films/{path}" for path in ("001", "b.png", "sub/c.png", "NA.png")]
    assert table["path"].tolist() == ["films/001", "films/b.png", "films/sub/c.png", "films/NA.png"]
    # 007 and 7 are two people; a person who is not known is the image alone; "NA" is a name like any other.
    assert table["patient"].tolist() == ["own.csv:007", "own.csv:7", "image:films/sub/c.png", "own.csv:NA"]
    assert table["source"].tolist() == ["A", "B", "unknown", "A"]
    assert table["finding"].tolist() == ["None", "Nodule", "Nodule", "None"]
    assert (table["drop"] == "").all()


def test_names_that_look_like_numbers_stay_as_written(tmp_path):
    text = "path,person,site\n001,007,01\n"
    table = manifest(tmp_path, text, patient_column="person", source_column="site").table(tmp_path)
    assert table.loc[0, ["path", "patient", "source"]].tolist() == ["films/001", "own.csv:007", "01"]


def test_manifest_without_patients_groups_by_image(tmp_path):
    table = manifest(tmp_path, ROWS).table(tmp_path)
    assert table["patient"].is_unique
    assert set(table["source"]) == {"own"}


def test_manifest_feeds_a_task(tmp_path):
    data = manifest(tmp_path, ROWS, patient_column="person")
    label = Label(column="finding", names=("none", "nodule"), one=("Nodule",), zero=("None",))
    sex = Attribute(column="sex", names=("male", "female"), one=("F",), zero=("M",))
    table = sample_table(data, tmp_path, {}, label, sex, "source")
    assert table["path"].tolist() == ["films/001", "films/NA.png", "films/b.png", "films/sub/c.png"]
    assert table["y"].tolist() == [0, 0, 1, 1]
    assert table["a"].tolist() == [1, 1, 0, -1]
    assert table.attrs["notes"] == ["1 of 4 images have no patient id, and each counts as a patient"]
    assert data.image(tmp_path, table["path"][0]).tolist() == [[7] * 4] * 4


def test_manifest_outside_the_data_folder(tmp_path):
    manifest(tmp_path, ROWS)
    data = Manifest(csv=str(tmp_path / "own.csv"), images="films")
    table = data.table(tmp_path / "elsewhere")
    assert table["path"][1] == (tmp_path / "films" / "b.png").as_posix()
    assert data.image(tmp_path / "elsewhere", table["path"][1]).shape == (4, 4)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert len(manifest(tmp_path, "\ufeff" + ROWS).table(tmp_path)) == 4


def test_manifest_without_table(tmp_path):
    with pytest.raises(DataMissing) as error:
        Manifest(csv="own.csv").table(tmp_path)
    assert plain(error.value, tmp_path) == snapshot(
        "table <tmp>/own.csv not found. Give the table with manifest:csv=PATH, relative to the data folder or absolute."
    )


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (ROWS, {"path_column": "Path"}, ["no column 'Path'", "did you mean 'path'", "path, person, site"]),
        (ROWS, {"patient_column": "persons"}, ["did you mean 'person'"]),
        (ROWS + ",9,A,None,F\n", {}, ["row 6", "'path'", "empty"]),
        (ROWS.replace("person", "patient"), {}, ["'patient'", "rename it", "patient_column"]),
        ("path,x\nb.png,1,2,3\nb,1\n", {}, ["own.csv: line 2 has 4 fields, the header 2"]),
        ("", {}, ["own.csv", "is no CSV table"]),
        ("path,person\n", {}, ["own.csv has no rows below its header"]),
        ("b.png,7\n001,8\n", {}, ["no column 'path'", "The first line looks like data"]),
        ("path,x,x\nb.png,1,2\n", {"patient_column": "x"}, ["column 'x' occurs 2 times"]),
    ],
)
def test_manifest_refuses(tmp_path, text, options, words):
    with pytest.raises(DataInvalid) as error:
        manifest(tmp_path, text, **options).table(tmp_path)
    assert all(word in str(error.value) for word in words), error.value


def test_a_column_may_have_a_name_of_the_suite_if_it_is_said_what_it_is(tmp_path):
    text = ROWS.replace("person", "patient").replace("site", "source")
    table = manifest(tmp_path, text, patient_column="patient", source_column="source").table(tmp_path)
    assert table["patient"].tolist()[:2] == ["own.csv:007", "own.csv:7"]
    assert table["source"].tolist()[:2] == ["A", "B"]


LABEL = Label(column="finding", names=("none", "nodule"), one=("Nodule",), zero=("None",))
SEX = Attribute(column="sex", names=("male", "female"), one=("F",), zero=("M",))


def test_a_missing_image_is_a_counted_reason_inside_of_a_set_and_nothing_outside(tmp_path):
    more = "".join(f"sub/c.png,{i},C,None,F\n" for i in range(10)) + "gone.png,9,C,None,F\nnowhere/x.png,9,D,None,F\n"
    data = manifest(tmp_path, ROWS + more, source_column="site")
    assert data.table(tmp_path)["drop"].tolist() == [""] * 14 + ["FILE_MISSING"] * 2
    table = sample_table(data, tmp_path, {"site": ("C",)}, LABEL, SEX, "source")
    assert table.attrs["left_out"] == {"FILE_MISSING": 1, "SAME_IMAGE": 9}
    assert table["path"].tolist() == ["films/sub/c.png"]
    with pytest.raises(DataMissing) as error:
        sample_table(data, tmp_path, {"site": ("D",)}, LABEL, SEX, "elsewhere")
    assert plain(error.value, tmp_path) == snapshot(
        "1 of 1 images of set 'elsewhere', first films/nowhere/x.png, not found. Paths are looked up in <tmp>/films: give images=FOLDER, relative to the table, path_column=COLUMN or suffix=.png."
    )


@pytest.mark.parametrize(
    ("combine", "y"), [("any", {"films/001": 0, "films/b.png": 1}), ("all", {"films/001": 0, "films/b.png": 0})]
)
def test_rows_of_one_image_are_combined_or_named(tmp_path, combine, y):
    text = "path,finding,sex\n001,None,F\n./001,None,F\nb.png,Nodule,M\n../films/b.png,None,M\n"
    data = manifest(tmp_path, text)
    table = sample_table(data, tmp_path, {}, dataclasses.replace(LABEL, combine=combine), SEX, "source")
    assert dict(zip(table["path"], table["y"], strict=True)) == y
    with pytest.raises(DataInvalid) as error:
        sample_table(data, tmp_path, {}, LABEL, SEX, "source")
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/own.csv: rows 4 and 5 are one image, 'films/b.png', and differ in the label 'finding' (2 such rows): set combine = \"any\" or \"all\" in [label], or keep one row"
    )


def test_rows_without_a_patient_id_are_told(tmp_path):
    table = sample_table(manifest(tmp_path, ROWS, patient_column="sex"), tmp_path, {}, LABEL, SEX, "source")
    assert table.attrs["notes"] == snapshot(["1 of 4 images have no patient id, and each counts as a patient"])
    text = "path,person,finding,sex\n001,,None,F\nb.png,7,Nodule,M\n"
    table = sample_table(manifest(tmp_path, text, patient_column="person"), tmp_path, {}, LABEL, SEX, "source")
    assert table.attrs["notes"] == snapshot(["1 of 2 images have no patient id, and each counts as a patient"])


@pytest.mark.parametrize(
    "written",
    ["b.png", "./b.png", "sub/../b.png", ".\\b.png", "sub\\..\\b.png", "B.PNG", "b", "sub//../b.png"],
)
def test_one_image_has_one_identity_however_its_path_is_written(tmp_path, written):
    table = manifest(tmp_path, f"path,x\n{written},1\n").table(tmp_path)
    assert table[["uid", "path", "drop"]].to_numpy().tolist() == [["manifest:films/b.png", "films/b.png", ""]]


def test_names_of_another_unicode_form_and_ids_with_dots_are_found(tmp_path):
    composed, apart = "caf\u00e9.png", "cafe\u0301.png"
    data = manifest(tmp_path, f"path,x\n{composed},1\n1.2.840.1,1\n")
    for name in (apart, "1.2.840.1.png"):
        write_image(tmp_path / "films" / name)
    assert data.table(tmp_path)["path"].tolist() == [f"films/{apart}", "films/1.2.840.1.png"]


def test_a_path_that_fits_two_files_or_a_folder_is_refused(tmp_path):
    data = manifest(tmp_path, "path,x\nb,1\n")
    write_image(tmp_path / "films" / "b.jpg")
    with pytest.raises(DataInvalid) as error:
        data.table(tmp_path)
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/films/b: several files fit, b.jpg and b.png: set suffix=.png, say, or write names as they are on the disk"
    )
    assert dataclasses.replace(data, suffix=".png").table(tmp_path)["path"].tolist() == ["films/b.png"]
    with pytest.raises(DataInvalid) as error:
        manifest(tmp_path, "path,x\nsub,1\n").table(tmp_path)
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/films/sub is a folder: give the table one row for each file in it"
    )


TABLE = [["path", "person", "Befund"], ["b.png", "1", "Rundherd; re\u00e7u"], ["001", "2", "keiner, 3,5 cm"]]


@pytest.mark.parametrize("mark", list(SEPARATORS))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_separators_and_encodings_are_recognised(tmp_path, mark, encoding):
    manifest(tmp_path, ROWS)
    with (tmp_path / "own.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=SEPARATORS[mark]).writerows(TABLE)
    for options in ({}, {"separator": mark, "encoding": encoding}):
        table = Manifest(csv="own.csv", images="films", **options).table(tmp_path)
        assert [["path", "person", "Befund"], *table[["path", "person", "Befund"]].to_numpy().tolist()] == [
            TABLE[0],
            *([f"films/{path}", *rest] for path, *rest in TABLE[1:]),
        ]
    notes = Manifest(csv="own.csv", images="films").table(tmp_path).attrs["notes"]
    assert len(notes) == (mark != "comma") + (encoding == "cp1252")


def test_a_line_that_names_the_separator_and_a_gzipped_table_are_read(tmp_path):
    data = manifest(tmp_path, "sep=;\npath;x\nb.png;1\n")
    assert data.table(tmp_path)["x"].tolist() == ["1"]
    (tmp_path / "own.csv").write_bytes(gzip.compress(b"path,x\nb.png,2\n"))
    assert data.table(tmp_path)["x"].tolist() == ["2"]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("own.parquet", lambda rows, file: rows.to_parquet(file)),
        ("own.dta", lambda rows, file: rows.to_stata(file, write_index=False)),
    ],
)
def test_files_of_statistical_packages_are_read(tmp_path, name, write):
    manifest(tmp_path, ROWS)
    write(pd.DataFrame({"path": ["b.png", "001"], "person": [7.0, 8.0], "sex": ["F", "M"]}), tmp_path / name)
    table = Manifest(csv=name, images="films", patient_column="person").table(tmp_path)
    assert table[["patient", "sex"]].to_numpy().tolist() == [[f"{name}:7", "F"], [f"{name}:8", "M"]]


def test_a_workbook_is_named_with_what_to_do(tmp_path):
    manifest(tmp_path, ROWS)
    for name in ("own.xlsx", "own.csv"):
        (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100))
        with pytest.raises(DataInvalid, match="as CSV, in UTF-8"):
            Manifest(csv=name, images="films").table(tmp_path)


# --- HAM10000 ----------------------------------------------------------------------------------

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\n"
LESIONS = [
    "HAM_1,ISIC_1,mel,histo,80.0,male,scalp,vidir_modern",
    "HAM_1,ISIC_2,mel,histo,80.0,female,scalp,vidir_molemax",
    "HAM_2,ISIC_3,nv,histo,0.0,unknown,back,rosendahl",
    "HAM_3,ISIC_4,akiec,histo,,female,back,vienna_dias",
]


def ham(root, folders=("images",), table="HAM10000_metadata.csv", lines=LESIONS, suffix=".jpg"):
    (root / table).write_text(HEADER + "\n".join(lines) + "\n")
    for number in range(1, 5):
        write_image(root / folders[number % len(folders)] / f"ISIC_{number}{suffix}")
    return Ham10000()


@pytest.mark.parametrize(
    ("folders", "table", "suffix"),
    [
        (("images",), "HAM10000_metadata.csv", ".jpg"),
        (("HAM10000_images_part_1", "HAM10000_images_part_2"), "HAM10000_metadata", ".JPG"),
    ],
)
def test_ham_layouts(tmp_path, folders, table, suffix):
    data = ham(tmp_path, folders, table, suffix=suffix)
    rows = data.table(tmp_path)
    assert set(rows.columns) >= CONTRACT | {"lesion", "dx", "malignant", "female", "age"}
    assert rows["uid"].tolist() == [f"ham10000:ISIC_{i}" for i in range(1, 5)]
    assert rows["patient"].tolist() == ["HAM_1", "HAM_1", "HAM_2", "HAM_3"]
    assert rows["malignant"].tolist() == [1, 1, 0, 1]
    assert rows["female"].fillna(-1).tolist() == [0, 1, -1, 1]
    assert rows["age"].fillna(-1).tolist() == [80, 80, -1, -1]
    assert all(data.image(tmp_path, path).shape == (4, 4, 3) for path in rows["path"])


def test_ham_by_age_is_cut_above_60_and_unknown_ages_have_no_group(tmp_path):
    lines = [line.replace("80.0", age, 1) for line, age in zip(LESIONS, ("60.0", "65.0", "", ""), strict=True)]
    task = TASKS["ham10000-age"]
    table = sample_table(ham(tmp_path, lines=lines), tmp_path, {}, task.label, task.attribute, "all")
    assert table["uid"].tolist() == [f"ham10000:ISIC_{i}" for i in (1, 2, 3, 4)]
    assert table["a"].tolist() == [0, 1, -1, -1]
    assert table.attrs["left_out"] == {}
    assert without_group(table) == {"ATTRIBUTE_MISSING": 2}


def test_ham_images_that_are_not_there_are_dropped_by_reason(tmp_path):
    data = ham(tmp_path)
    (tmp_path / "images" / "ISIC_2.jpg").unlink()
    assert data.table(tmp_path)["drop"].tolist() == ["", "FILE_MISSING", "", ""]
    label, sex = Label(column="malignant", names=("b", "m")), Attribute(column="female", names=("m", "f"))
    table = sample_table(data, tmp_path, {}, label, sex, "source")
    assert table["uid"].tolist() == ["ham10000:ISIC_1", "ham10000:ISIC_3", "ham10000:ISIC_4"]
    assert table.attrs["left_out"] == {"FILE_MISSING": 1}
    assert without_group(table) == {"ATTRIBUTE_MISSING": 1}


def test_ham_says_what_is_missing_and_where_it_is_had(tmp_path):
    with pytest.raises(DataMissing) as error:
        Ham10000().table(tmp_path)
    assert plain(error.value, tmp_path) == snapshot(
        "table HAM10000_metadata.csv or HAM10000_metadata (plain or .gz) in <tmp> or a folder in it not found. Open download, no account: https://doi.org/10.7910/DVN/DBW86T (metadata and two archives of images)."
    )
    (tmp_path / "HAM10000_metadata.csv").write_text(HEADER + LESIONS[0])
    with pytest.raises(DataMissing) as error:
        Ham10000().table(tmp_path)
    assert plain(error.value, tmp_path) == snapshot(
        "1 images, first ISIC_1, in <tmp> or a folder in it not found. Open download, no account: https://doi.org/10.7910/DVN/DBW86T (metadata and two archives of images)."
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "nv,",
            "naevus,",
            snapshot(
                "<tmp>/HAM10000_metadata.csv: row 4, column 'dx': 'naevus': allowed: mel, bcc, akiec, nv, bkl, df, vasc"
            ),
        ),
        (
            "unknown",
            "woman",
            snapshot("<tmp>/HAM10000_metadata.csv: row 4, column 'sex': 'woman': allowed: female, f, male, m, unknown"),
        ),
    ],
)
def test_ham_refuses_values_that_the_release_does_not_have(tmp_path, old, new, words):
    data = ham(tmp_path, lines=[line.replace(old, new) for line in LESIONS])
    with pytest.raises(DataInvalid) as error:
        data.table(tmp_path)
    assert plain(error.value, tmp_path) == words


# --- the real files ----------------------------------------------------------------------------

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
