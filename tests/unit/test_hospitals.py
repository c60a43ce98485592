"""The paper's eight sources, together: the contract, names and options, the files they read, the values they refuse."""

import dataclasses
import gzip
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
from bench.data.release_files import files_below, read_table
from bench.datasets._tables import years
from bench.errors import DataInvalid, DataMissing
from bench.tasks import LABELS, TASKS
from tests import official_trees as trees
from tests.prose import plain
from tests.sample_tables import sample_table
from tests.tree_files import write_image
from tests.unit.hospital_tables import CONTRACT, NAMES, column, read, table

NOT_MELANOMA = LABELS["not-melanoma"]


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
        write_image(tmp_path / folder / "one.png")
    files = files_below(tmp_path)
    assert files.images() == {"one": "c/one.png"}
    assert files.images(prefer="a/") == {"one": "a/b/one.png"}
    assert files.images(parts=2) == {"b/one": "a/b/one.png", "c/one": "c/one.png"}


def test_links_are_followed_and_circles_end(tmp_path):
    write_image(tmp_path / "disk" / "one.png")
    write_image(tmp_path / "root" / "two.png")
    (tmp_path / "root" / "images").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "again").symlink_to(tmp_path / "root")
    assert files_below(tmp_path / "root").paths == ("two.png", "images/one.png")


def test_closed_folders_are_listed_but_not_entered(tmp_path):
    write_image(tmp_path / "p10" / "p10000001" / "s1" / "one.png")
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
