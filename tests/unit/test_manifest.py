"""The dataset `manifest`: tables and images of one's own."""

import csv
import dataclasses
import gzip

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench.api import Attribute, Label
from bench.data.table_files import SEPARATORS
from bench.datasets.manifest import Manifest
from bench.errors import DataInvalid, DataMissing
from tests.prose import plain
from tests.sample_tables import sample_table
from tests.unit.hospital_tables import CONTRACT
from tests.unit.images import write_image


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
