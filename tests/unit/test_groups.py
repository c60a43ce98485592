"""Attributes of more than two groups: coding and metrics."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from sklearn.metrics import roc_auc_score

from bench import listing, taskfile
from bench.api import Attribute, Dataset, Label
from bench.data.columns import coded
from bench.data.sample_table import without_group
from bench.errors import DataInvalid, UnknownName, UsageError
from bench.scoring.metrics import evaluate
from bench.tasks import ATTRIBUTES, TASKS
from tests.prose import plain
from tests.sample_tables import sample_table
from tests.unit.group_task import TOML

AGE_BANDS, SKIN_TYPES = ATTRIBUTES["age-bands"], ATTRIBUTES["skin-types"]
TONES = Attribute(column="fst", names=("light", "middle", "dark"), values=(("1", "2"), ("3",), ("4",)))


def codes(values, attribute):
    table = pd.DataFrame({attribute.column: values, "uid": [f"d:{i}" for i in range(len(values))]})
    return coded(table, attribute, "table")["code"].tolist()


def test_bands_hold_their_lower_bound():
    ages = [0, 19, 19.9, 20, 39.9, 40, 59, 60, 79.9, 80, 101]
    assert codes(ages, AGE_BANDS) == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert codes(["19", "20.0", None, "unknown", "-3", "121"], AGE_BANDS) == [0, 1, pd.NA, pd.NA, pd.NA, pd.NA]
    assert codes([], AGE_BANDS) == []
    with pytest.raises(DataInvalid) as error:
        codes(["3", "old"], AGE_BANDS)
    assert str(error.value) == snapshot(
        "table: row of d:1, column 'age' is 'old': a number expected, or nothing where it is not known (`unknown` of a task file lists other words for that)"
    )


def test_values_become_the_number_of_their_group():
    assert codes([1, 2, 3, 4, 5, 6], SKIN_TYPES) == [0, 1, 2, 3, 4, 5]
    assert codes([4.0, 1.0, None, -1, 2], TONES) == [2, 0, pd.NA, pd.NA, 0], "-1 is in no group"
    assert codes(["unknown", None], TONES) == [pd.NA, pd.NA]
    assert codes([], TONES) == []


def sample(values, attribute):
    rows = {"uid": [f"d:{i}" for i in range(len(values))], "path": "p", "patient": "g", "source": "s", "drop": ""}

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Given(Dataset):
        access = licence = citation = "none"

        def table(self, root):
            return pd.DataFrame({**rows, "sick": 0, attribute.column: values})

    return sample_table(Given(), Path(), {}, Label(column="sick", names=("no", "yes")), attribute, "source")


def test_a_value_that_nobody_has_is_taken_for_a_misspelling():
    table = sample([1, 3, 4, 9], TONES)
    assert table["a"].tolist() == [0, 1, 2, -1]
    assert table["a"].dtype == np.int8
    assert without_group(table) == {"ATTRIBUTE_NOT_LISTED": 1}
    assert table.attrs["left_out"] == {}
    with pytest.raises(UnknownName) as error:
        sample([1, 2, 3], TONES)
    assert str(error.value) == snapshot("unknown value '4' of column 'fst' in the table of Given: allowed: 1, 2, 3")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"cuts": (20.0, 40.0), "names": ("a", "b")},
            snapshot("column 'c': 3 different names expected, one per group, not a, b"),
        ),
        (
            {"cuts": (20.0, 40.0), "names": ("a", "b", "a")},
            snapshot("column 'c': 3 different names expected, one per group, not a, b, a"),
        ),
        (
            {"cuts": (40.0, 20.0), "names": ("a", "b", "c")},
            snapshot("column 'c': cuts=[40, 20]: finite numbers in rising order expected"),
        ),
        (
            {"cuts": (40.0, 40.0), "names": ("a", "b", "c")},
            snapshot("column 'c': cuts=[40, 40]: finite numbers in rising order expected"),
        ),
        (
            {"cuts": (math.nan,), "names": ("a", "b")},
            snapshot("column 'c': cuts=[nan]: finite numbers in rising order expected"),
        ),
        (
            {"cuts": (math.inf,), "names": ("a", "b")},
            snapshot("column 'c': cuts=[inf]: finite numbers in rising order expected"),
        ),
        ({"above": math.nan, "names": ("a", "b")}, snapshot("column 'c': above=nan: a finite number expected")),
        (
            {"cuts": (20.0,), "names": ("a", "b"), "above": 3.0},
            snapshot("column 'c' is coded by `above` and by `cuts`: only one is allowed"),
        ),
        (
            {"cuts": (20.0,), "names": ("a", "b"), "values": (("1",), ("2",))},
            snapshot("column 'c' is coded by `cuts` and by `values`: only one is allowed"),
        ),
        (
            {"names": ("a", "b"), "values": (("1",), ("2",)), "one": ("1",)},
            snapshot("column 'c' is coded by `one` and `zero` and by `values`: only one is allowed"),
        ),
        (
            {"names": ("a", "b"), "values": (("1",), ("2", "1"))},
            snapshot("column 'c': '1' is listed twice: each value belongs to one group"),
        ),
        (
            {"names": ("a", "b"), "values": (("1",), ())},
            snapshot("column 'c': values=[['1'], []]: two or more groups of one or more values expected"),
        ),
        (
            {"names": ("a", "b"), "values": (("1", "2"),)},
            snapshot("column 'c': values=[['1', '2']]: two or more groups of one or more values expected"),
        ),
        ({"names": ("a", "b", "c")}, snapshot("column 'c': 2 different names expected, one per group, not a, b, c")),
    ],
)
def test_codings_that_make_no_sense(fields, words):
    with pytest.raises(UsageError) as error:
        Attribute(column="c", **fields)
    assert str(error.value) == words


def test_a_label_has_two_classes():
    with pytest.raises(UsageError) as error:
        Label(column="c", names=("a", "b", "c"))
    assert str(error.value) == snapshot("column 'c': 2 different names expected, one per group, not a, b, c")


def test_only_groups_without_an_order_are_chosen_among():
    assert [a.grouped for a in (AGE_BANDS, SKIN_TYPES, TASKS["phantom-cxr-age"].attribute)] == [True, True, False]


def read(tmp_path, attribute):
    file = tmp_path / "mine.toml"
    file.write_text(TOML + attribute)
    return taskfile.resolve(str(file)).attribute


@pytest.mark.parametrize("cut", ["above = {}", "cuts = [{}, 80]"])
def test_a_whole_number_is_one_cut_however_it_is_written(tmp_path, cut):
    """Otherwise the cells of a task of one's own would have other hashes than those of the suite's."""
    names = ("a", "b") if "above" in cut else ("a", "b", "c")
    texts = [f'column = "age"\n{cut.format(number)}\nnames = {list(names)}' for number in ("65", "65.0", "65.5")]
    whole, point, other = (repr(read(tmp_path, text)) for text in texts)
    direct = {"above": 65} if "above" in cut else {"cuts": (65, 80)}
    assert whole == point == repr(Attribute(column="age", names=names, **direct))
    assert other != whole


def test_task_files_name_groups(tmp_path):
    bands = read(
        tmp_path, 'column = "age"\ncuts = [20, 40, 60, 80]\nnames = ["0-19", "20-39", "40-59", "60-79", "80+"]'
    )
    assert bands == AGE_BANDS
    tones = read(tmp_path, 'column = "fst"\nvalues = [[1, 2], "3", 4]\nnames = ["light", "middle", "dark"]')
    assert tones == TONES
    with pytest.raises(UsageError) as error:
        read(tmp_path, 'column = "age"\ncuts = [40, 20]\nnames = ["a", "b", "c"]')
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/mine.toml [attribute]: column 'age': cuts=[40, 20]: finite numbers in rising order expected"
    )
    with pytest.raises(UsageError) as error:
        read(tmp_path, 'column = "age"\ncuts = ["old"]\nnames = ["a", "b"]')
    assert plain(error.value, tmp_path) == snapshot("<tmp>/mine.toml [attribute]: cuts='old': float expected")


def test_the_list_says_what_the_groups_are():
    assert listing._text(TONES) == snapshot("fst (0 light: 1, 2; 1 middle: 3; 2 dark: 4)")
    assert listing._text(AGE_BANDS) == snapshot(
        "age (0 0-19: below 20; 1 20-39: from 20; 2 40-59: from 40; 3 60-79: from 60; 4 80+: from 80)"
    )


def test_overall_min_and_gap_are_those_of_scikit_learn():
    rng = np.random.default_rng(4)
    y, a = rng.integers(0, 2, 500), rng.integers(0, 5, 500)
    logit = np.round(rng.normal(size=500) + 0.3 * y * a, 1)
    y[a == 3] = 1
    scores = evaluate(logit, y, a, "vwxyz")
    within = [roc_auc_score(y[a == g], logit[a == g]) for g in (0, 1, 2, 4)]
    assert scores["auc"] == pytest.approx(roc_auc_score(y, logit))
    assert scores["min_auc"] == pytest.approx(min(within))
    assert scores["gap_auc"] == pytest.approx(max(within) - min(within))
    assert math.isnan(scores["groups"]["y"]["auc"])
    assert (scores["groups"]["y"]["negatives"], scores["groups"]["y"]["n"]) == (0, int((a == 3).sum()))


def test_overall_may_be_below_min():
    """Two groups ranked without an error, their scores shifted: pooled, a quarter of the pairs is the wrong way."""
    scores = evaluate(np.array([0.0, 1, 2, 3]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), "ab")
    assert (scores["auc"], scores["min_auc"], scores["gap_auc"]) == (0.75, 1.0, 0.0)
