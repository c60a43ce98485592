"""The paper's sources on their real tables, where they are at hand."""

import numpy as np
import pytest

from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.data.release_files import files_below
from bench.data.task_data import task_data
from bench.data.tie import odds_ratio
from bench.datasets.fitzpatrick17k import Fitzpatrick17k
from bench.datasets.isic import Isic
from bench.datasets.nih_cxr14 import NihCxr14
from bench.datasets.pad_ufes_20 import PadUfes20
from bench.taskfile import resolve
from bench.tasks import ATTRIBUTES, LABELS, TASKS
from tests.real import shared
from tests.sample_tables import sample_table

SEX, OLD = ATTRIBUTES["sex"], ATTRIBUTES["over-65"]
PNEUMOTHORAX, MALIGNANT = LABELS["pneumothorax"], LABELS["malignant"]


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


def test_real_melanoma_or_nevus_by_sex_and_its_planted_tie():
    """The numbers of docs/evidence-plan.md; whole lesions are left out until the odds are those that were asked for."""
    root = shared("ham10000").parent
    plain, tied = (task_data(TASKS[f"ham10000-melanoma-{name}"], root).tables for name in ("sex", "sex-tied"))
    assert len(plain["source"]) + len(plain["lesions"]) == 2929
    assert group_counts(plain["rosendahl"]) == [[446, 357], [212, 130]]  # of two the age is not known
    assert tied["rosendahl"]["uid"].equals(plain["rosendahl"]["uid"])
    assert tied["lesions"]["uid"].equals(plain["lesions"]["uid"])
    before, after = (np.array(group_counts(tables["source"])) for tables in (plain, tied))
    assert (after <= before).all()
    assert odds_ratio(before) == pytest.approx(0.61, abs=0.005)
    assert odds_ratio(after) == pytest.approx(1 / 16, rel=0.05)
    assert not set(tied["source"]["patient"]) & set(tied["lesions"]["patient"])


def test_real_diagnoses_each_against_the_others():
    """Every image has one diagnosis; the counts of the release, Vienna less what is held out."""
    root, name = shared("ham10000").parent, "ham10000-diagnoses-sex"
    found = {one: task_data(resolve(f"{name}:label={one}"), root).tables for one in TASKS[name].labels}
    ill = {one: int(tables["rosendahl"]["y"].sum()) for one, tables in found.items()}
    assert ill == {"akiec": 295, "bcc": 296, "bkl": 490, "df": 30, "mel": 342, "nv": 803, "vasc": 3}
    assert {len(tables["rosendahl"]) for tables in found.values()} == {sum(ill.values())} == {2259}
    assert {len(tables["source"]) + len(tables["lesions"]) for tables in found.values()} == {7756}


def group_counts(table):
    """Images of each label and group, those of no group left out."""
    return [[int(((table["y"] == y) & (table["a"] == a)).sum()) for a in (0, 1)] for y in (0, 1)]
