"""Sample tables: what is checked, coded, left out and counted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.api import Attribute, Dataset, Label
from bench.data.apart import keep_apart
from bench.data.sample_table import fingerprint, without_group
from bench.data.set_facts import Value
from bench.errors import DataInvalid, UnknownName, UsageError
from tests.sample_tables import sample_table

LABEL = Label(column="sick", names=("healthy", "sick"))
AGE = Attribute(column="age", names=("younger", "older"), above=65)
SEX = Attribute(column="sex", names=("male", "female"), one=("F",), zero=("M",))
ROOT = Path("nowhere")


def rows(**changes):
    columns = {
        "uid": ["d:3", "d:1", "d:2", "d:5", "d:4"],
        "path": ["3.png", "1.png", "2.png", "5.png", "4.png"],
        "patient": ["p1", "p1", "p2", "p3", "p4"],
        "source": ["x", "x", "y", "y", "y"],
        "drop": ["", "", None, "FILE_MISSING", ""],
        "sick": [1, 0, 1, 0, 0],
        "age": [65.0, 66.0, 90.0, 20.0, None],
        "sex": ["F", "M", "F", "M", "unknown"],
    }
    return pd.DataFrame({**columns, **changes})


def sample(frame, where=None, label=LABEL, attribute=AGE):
    @dataclass(frozen=True, kw_only=True)
    class Given(Dataset):
        access = licence = citation = "none"

        def table(self, root):
            return frame

    return sample_table(Given(), ROOT, where or {}, label, attribute, "source")


def test_columns_types_and_order():
    table = sample(rows())
    assert list(table.columns) == ["uid", "path", "patient", "source", "y", "a", "no_group"]
    assert table["uid"].tolist() == ["d:1", "d:2", "d:3", "d:4"]
    assert table["y"].tolist() == [0, 1, 1, 0]
    assert table["a"].tolist() == [1, 1, 0, -1], "65 itself is not above 65"
    assert table["no_group"].tolist() == ["", "", "", "ATTRIBUTE_MISSING"]
    assert table["y"].dtype == table["a"].dtype == np.int8
    assert table["path"].tolist() == ["1.png", "2.png", "3.png", "4.png"]


def test_label_and_attribute_may_be_codings_of_one_column():
    attribute = Attribute(column="sick", names=("well", "ill"), one=("1",), zero=("0",))
    table = sample(rows(), attribute=attribute)
    assert table["a"].tolist() == table["y"].tolist()
    assert len({(value.column, value.became) for value in table.attrs["values"]}) >= 4


def test_left_out_rows_are_counted_by_reason():
    table = sample(rows(sick=[1, None, 1, 0, 0]))
    assert table.attrs == snapshot(
        {
            "file": "the table of Given",
            "set": "source",
            "rows": 5,
            "left_out": {"FILE_MISSING": 1, "LABEL_MISSING": 1},
            "prefix": "",
            "notes": [],
            "values": (
                Value(column="sick", value="0", rows=1, became="healthy"),
                Value(column="sick", value="1", rows=2, became="sick"),
                Value(column="sick", value="", rows=1, became="missing"),
                Value(column="age", value="65", rows=1, became="younger", span=True),
                Value(column="age", value="66 to 90", rows=2, became="older", span=True),
                Value(column="age", value="", rows=1, became="missing"),
            ),
        }
    )
    assert table.attrs["rows"] == len(table) + sum(table.attrs["left_out"].values())


def test_row_order_and_index_of_the_dataset_do_not_count():
    shuffled = rows().sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(sample(rows()), sample(shuffled))


def test_values_to_codes():
    assert sample(rows(), attribute=SEX)["a"].tolist() == [0, 1, 1, -1]
    others = Attribute(column="sex", names=("rest", "female"), one=("F",), rest=True)
    assert sample(rows(sex=["F", "M", "X", "M", "Unknown"]), attribute=others)["a"].tolist() == [0, 0, 1, -1]
    both = Attribute(column="sex", names=("male", "female"), one=("F",), zero=("M",))
    table = sample(rows(sex=["F", "M", "X", "M", "F"]), attribute=both)
    assert table["a"].tolist() == [0, -1, 1, 1]
    assert without_group(table) == {"ATTRIBUTE_NOT_LISTED": 1}
    assert table.attrs["left_out"] == {"FILE_MISSING": 1}


def test_a_value_of_the_label_in_no_list_leaves_a_row_out_whatever_its_group():
    listed = Label(column="sick", names=("healthy", "sick"), one=("ill",), zero=("well",))
    table = sample(rows(sick=["ill", "well", "odd", "ill", "odd"], drop=""), label=listed)
    assert table["uid"].tolist() == ["d:1", "d:3", "d:5"]
    assert table.attrs["left_out"] == {"LABEL_NOT_LISTED": 2}
    assert without_group(table) == {}, "the one without an age has no label either"


def test_rows_of_one_image_of_which_one_tells_the_group_agree():
    frame = rows(uid=["d:3", "d:3", "d:2", "d:5", "d:5"], path=["3.png", "3.png", "2.png", "5.png", "5.png"])
    frame = frame.assign(patient=["p1", "p1", "p2", "p3", "p3"], source="x", drop="", sick=[1, 1, 1, 0, 0])
    frame = frame.assign(age=[None, 70.0, 90.0, None, None])
    frame.attrs["looked_in"] = str(ROOT)
    table = sample(frame)
    assert table["uid"].tolist() == ["d:2", "d:3", "d:5"]
    assert table["a"].tolist() == [1, 1, -1]
    assert table["no_group"].tolist() == ["", "", "ATTRIBUTE_MISSING"]
    assert table.attrs["left_out"] == {"SAME_IMAGE": 2}
    assert without_group(table) == {"ATTRIBUTE_MISSING": 1}, "images, not rows"


@pytest.mark.parametrize(
    "values", [[1, 0, 1, 0, 0], [True, False, True, False, False], ["1", "0", "1", "0", "0"], [1.0, 0.0, 1.0, 0.0, 0.0]]
)
def test_zeros_and_ones_of_any_type(values):
    assert sample(rows(sick=values))["y"].tolist() == [0, 1, 1, 0]


def test_numbers_as_text_are_cut():
    assert sample(rows(age=["65", "66.0", "90", "20", "unknown"]))["a"].tolist() == [1, 1, 0, -1]


def test_where_keeps_rows_and_reads_numbers_as_text():
    assert sample(rows(), {"source": ("y",)})["uid"].tolist() == ["d:2", "d:4"]
    assert sample(rows(site=[1, 1, 2, 2, 2]), {"site": ("1",)})["uid"].tolist() == ["d:1", "d:3"]
    assert sample(rows(site=[1, 1, None, 2, 2]), {"site": ("1", "2")})["uid"].tolist() == ["d:1", "d:3", "d:4"]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"sourc": ("x",)}, ["no column 'sourc'", "did you mean 'source'"]),
        ({"sex": ("Female",)}, ["unknown value 'Female'", "column 'sex'", "F, M, unknown"]),
    ],
)
def test_unknown_names_in_where(where, words):
    with pytest.raises((DataInvalid, UnknownName)) as error:
        sample(rows(), where)
    assert all(word in str(error.value) for word in words)


def test_a_coding_none_of_whose_values_occur_is_refused():
    with pytest.raises(UnknownName, match="female"):
        sample(rows(), attribute=Attribute(column="sex", names=("m", "f"), one=("female",), rest=True))
    with pytest.raises(UnknownName, match="male"):
        sample(rows(), attribute=Attribute(column="sex", names=("m", "f"), one=("F",), zero=("male",)))
    with pytest.raises(UsageError, match="above"):
        sample(rows(), attribute=Attribute(column="age", names=("m", "f"), one=("66",), above=3))


def test_a_class_absent_from_one_site_is_not_a_misspelling():
    site = sample(rows(sex=["F", "F", "M", "M", "M"]), {"source": ("x",)}, attribute=SEX)
    assert site["a"].tolist() == [1, 1]


def test_a_set_needs_a_group_somewhere():
    with pytest.raises(DataInvalid) as error:
        sample(rows(age=None))
    assert str(error.value) == snapshot(
        "the table of Given: set 'source' has no usable rows (FILE_MISSING 1, ATTRIBUTE_MISSING 4)"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"uid": ["d:3", "d:1", "d:3", "d:5", "d:4"]}, ["row 3", "'uid'", "'d:3' occurs twice"]),
        ({"uid": ["d:3", None, "d:2", "d:5", "d:4"]}, ["row 2", "'uid'", "empty"]),
        ({"uid": ["d:3", "d:\n1", "d:2", "d:5", "d:4"]}, ["row 2", "printable"]),
        ({"patient": ["p1", "", "p2", "p3", "p4"]}, ["row of d:1", "'patient'", "empty"]),
        ({"source": ["x", "x", None, "y", "y"]}, ["row of d:2", "'source'", "empty"]),
        ({"sick": [1, 2, 1, 0, 0]}, ["row of d:1", "'sick'", "'2'", "0, 1"]),
        ({"sick": ["1", "no", "1", "0", "0"]}, ["row of d:1", "'no'"]),
        ({"age": [1, "old", 3, 4, 5]}, ["row of d:1", "'age'", "'old'", "number"]),
        ({"age": [1, float("inf"), 3, 4, 5]}, ["row of d:1", "'inf'"]),
    ],
)
def test_values_that_break_the_contract(changes, words):
    with pytest.raises(DataInvalid) as error:
        sample(rows(**changes))
    assert all(word in str(error.value) for word in words), error.value


def test_missing_column_gives_the_nearest_spelling_and_the_file():
    frame = rows().rename(columns={"age": "Age"})
    frame.attrs["file"] = "/data/table.csv"
    with pytest.raises(DataInvalid) as error:
        sample(frame)
    assert str(error.value) == snapshot(
        "/data/table.csv: no column 'age': did you mean 'Age'? it has: uid, path, patient, source, drop, sick, Age, sex"
    )


def test_a_set_without_rows_says_why():
    with pytest.raises(DataInvalid) as error:
        sample(rows(drop="FILE_MISSING"))
    assert str(error.value) == snapshot("the table of Given: set 'source' has no usable rows (FILE_MISSING 5)")


def test_groups_of_test_sets_leave_the_source():
    source = sample(rows(age=70.0), {"source": ("x",)})
    other = sample(rows(patient=["p9", "p1", "p1", "p3", "p4"], age=70.0), {"source": ("y",)})
    whole = sample(rows(age=70.0))
    with pytest.raises(DataInvalid, match="every patient"):
        keep_apart(source, [other])
    with pytest.raises(DataInvalid) as error:
        keep_apart(whole, [source])
    assert str(error.value) == snapshot(
        "2 images are in training and in test set 'source', first 1.png: change `where` of the task, or delete their rows from one of the tables"
    )
    kept = keep_apart(whole, [source.assign(uid="d:again-" + source["uid"])])
    assert kept["patient"].tolist() == ["p2", "p4"]
    assert kept.attrs["left_out"] == {"FILE_MISSING": 1, "IN_OTHER_TEST_SET": 2}
    assert "IN_OTHER_TEST_SET" not in whole.attrs["left_out"], "the table given stays as it was"


def test_equal_group_names_of_two_datasets_are_different_people():
    source = sample(rows(age=70.0))
    other = sample(rows(uid=[f"e:{i}" for i in range(5)], age=70.0))
    pd.testing.assert_frame_equal(keep_apart(source, [other]), source)


def test_fingerprint_sees_ids_labels_groups_and_repeats_but_no_order():
    table = sample(rows())
    same = fingerprint(table, {})
    assert same["n"] == 4
    assert len(same["sha"]) == 64
    assert fingerprint(table.iloc[::-1], {}) == same
    assert fingerprint(table.assign(path="elsewhere"), {}) == same
    for changed in (table.assign(y=1 - table["y"]), table.assign(a=0), table.assign(uid="x:" + table["uid"])):
        assert fingerprint(changed, {})["sha"] != same["sha"]
    assert fingerprint(table, {"1.png": "0" * 64})["sha"] != same["sha"]
    assert fingerprint(pd.concat([table, table]), {})["sha"] != same["sha"]


def test_a_fingerprint_without_groups_is_that_of_any_attribute():
    age, sex = (sample(rows(), attribute=one) for one in (AGE, SEX))
    assert age["a"].tolist() != sex["a"].tolist()
    assert fingerprint(age, {}) != fingerprint(sex, {})
    both = [fingerprint(table.drop(columns="a"), {"1.png": "0" * 64}) for table in (age, sex)]
    assert both[0] == both[1]
    assert both[0] != fingerprint(age.drop(columns="a").assign(y=1), {"1.png": "0" * 64})
