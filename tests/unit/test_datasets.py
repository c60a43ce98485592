"""The datasets `manifest` and `ham10000`: what they say they are; HAM10000 on a small made-up tree."""

import subprocess
import sys

import pytest
from inline_snapshot import snapshot

from bench.api import Attribute, Label
from bench.data.sample_table import without_group
from bench.datasets.ham10000 import Ham10000
from bench.datasets.manifest import Manifest
from bench.errors import DataInvalid, DataMissing
from bench.tasks import TASKS
from tests.prose import plain
from tests.sample_tables import sample_table
from tests.unit.hospital_tables import CONTRACT
from tests.unit.images import write_image


@pytest.mark.parametrize("kind", [Manifest, Ham10000])
def test_the_first_line_says_what_it_is(kind):
    assert 20 < len(kind.__doc__.splitlines()[0]) <= 100


def test_tables_are_read_without_torch():
    modules = "import decode; from bench.data import sample_table, folds, external, cache, decoding"
    code = f"import sys; from bench {modules}; from bench.datasets import manifest, ham10000; "
    subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=True)


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
