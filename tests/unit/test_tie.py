"""A planted tie: how many images of each label and group are kept, which ones, and what its control has in common."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import taskfile
from bench.api import NO_GROUP, Attribute, Label, Tie
from bench.data import tie
from bench.data.task_data import task_data
from bench.errors import BenchError, DataInvalid, UsageError
from bench.share.task_toml import from_toml, to_toml
from tests.task_texts import AGE, CHEST

LABEL, SEX = Label(column="ill", names=("well", "ill")), Attribute(column="sex", names=("men", "women"))
SIXTEEN = 'tie = {attribute = "age", odds = 16}'


def table(counts, *, images=1, unknown=0):
    """A sample table of so many images of each label and group, `images` of each patient, and some without a group."""
    cells = [(y, a) for y in (0, 1) for a in (0, 1) for _ in range(counts[y][a])] + [(0, NO_GROUP)] * unknown
    frame = pd.DataFrame(cells, columns=["y", "a"])
    frame["patient"] = [f"p{i // images}" for i in range(len(frame))]
    frame["uid"] = [f"x:{i}" for i in range(len(frame))]
    frame.attrs = {"left_out": {}, "notes": []}
    return frame


def drawn(frame, **values):
    return tie.draw(frame, Tie(attribute="sex", **values), LABEL, SEX)


def counts(frame):
    return [[int(((frame["y"] == y) & (frame["a"] == a)).sum()) for a in (0, 1)] for y in (0, 1)]


def test_a_tie_of_16_keeps_a_quarter_of_the_two_cells_that_speak_against_it():
    frame = table([[400, 400], [100, 100]], unknown=7)
    assert counts(drawn(frame, odds=16)) == [[400, 100], [25, 100]]
    assert counts(drawn(frame, odds=1 / 16)) == [[100, 400], [100, 25]]
    tied = drawn(frame, odds=16)
    assert tied.attrs["left_out"] == {"TIE": 300 + 75 + 7}
    assert "odds ratio 16 planted, 16 found, 1 before" in tied.attrs["notes"][0]


def test_the_control_has_as_many_images_of_each_label_and_group_and_no_tie():
    control = drawn(table([[400, 400], [100, 100]]), odds=16, untied=True)
    # 625 images: 500 and 125 by label, 425 and 200 by group.
    assert counts(control) == [[340, 160], [85, 40]]


def test_tie_and_control_shrink_together_where_a_cell_lacks_images():
    frame = table([[3000, 3000], [200, 3000]])
    one, other = (counts(drawn(frame, odds=60, untied=untied)) for untied in (False, True))
    assert np.abs(np.sum(one, axis=0) - np.sum(other, axis=0)).max() <= 2  # rounded cell by cell
    assert np.abs(np.sum(one, axis=1) - np.sum(other, axis=1)).max() <= 2
    assert other[1][0] == 200  # 3,100 * 3,100 / 7,600 would be 1,264
    assert tie.odds_ratio(np.array(one)) == pytest.approx(60, rel=0.1)


@given(
    seed=st.integers(0, 2**32 - 1),
    odds=st.sampled_from([0.1, 1, 5, 16]),
    untied=st.booleans(),
    images=st.integers(1, 4),
)
def test_patients_are_whole_rows_do_not_depend_on_their_order_and_draws_differ(seed, odds, untied, images):
    rng = np.random.default_rng(seed)
    frame = table(rng.integers(60, 200, (2, 2)), images=images, unknown=3)
    one, shuffled = (drawn(f, odds=odds, untied=untied) for f in (frame, frame.sample(frac=1, random_state=seed)))
    assert set(one["uid"]) == set(shuffled["uid"])
    known = frame[frame["a"] != NO_GROUP]
    assert set(one["uid"]) == set(known[known["patient"].isin(one["patient"])]["uid"])
    assert len(one) == len(known) or set(one["uid"]) != set(drawn(frame, odds=odds, untied=untied, draw=1)["uid"])
    assert np.log(tie.odds_ratio(np.array(counts(one))) / (1 if untied else odds)) == pytest.approx(0, abs=0.15)


def test_patients_of_both_labels_are_drawn_as_a_whole_and_the_odds_that_were_found_are_said():
    frame = table([[60, 60], [60, 60]])
    frame["patient"] = [f"p{i % 60}" for i in range(len(frame))]  # each has an image of every cell
    assert "odds ratio 16 planted, 1 found, 1 before" in drawn(frame, odds=16).attrs["notes"][0]


@pytest.mark.parametrize("cell", [[[9, 9], [9, 0]], [[0, 9], [9, 9]]])
def test_an_empty_cell_is_named(cell):
    with pytest.raises(DataInvalid, match=r"no image of the source has label '(ill|well)' and attribute '(men|women)'"):
        drawn(table(cell), odds=2)


def task(tmp_path, text=SIXTEEN, place="[source]"):
    file = tmp_path / "tied.toml"
    written = CHEST.format(name="tied", images=200, attribute=AGE)
    file.write_text(written.replace(place, f"{place}\n{text}", 1))
    return str(file)


def test_the_source_is_drawn_and_test_sets_stay(tmp_path):
    spec = task(tmp_path)
    tied, control, other = (
        task_data(taskfile.resolve(spec + change), None) for change in ("", ":untied=true", ":draw=1")
    )
    plain = task_data(taskfile.resolve(task(tmp_path, "")), None)
    sources = [len(data.tables["source"]) for data in (tied, control, other, plain)]
    assert max(sources[:3]) - min(sources[:3]) <= 4
    assert sources[3] == 200
    for name in ("ood_neutral", "ood_reversed"):
        assert [data.fingerprint(name, 0) for data in (tied, control, other)] == [plain.fingerprint(name, 0)] * 3
    assert len({data.fingerprint("train", 0)["sha"] for data in (tied, control, other, plain)}) == 4


def test_a_tie_is_part_of_the_task_that_leaves(tmp_path):
    wanted = taskfile.resolve(task(tmp_path) + ":draw=3,untied=true")
    assert from_toml(to_toml(wanted), "task.toml") == wanted
    assert wanted.name == "tied:draw=3,untied=True"


@pytest.mark.parametrize(
    ("text", "place", "change", "says"),
    [
        (SIXTEEN, "[ood.ood_neutral]", "", "a tie is planted in .source. alone"),
        (SIXTEEN.replace("age", "female"), "[source]", "", "the column of the task's attribute expected, 'age'"),
        (SIXTEEN.replace("16", "0"), "[source]", "", "a finite number above 0"),
        (SIXTEEN.replace("16", "nan"), "[source]", "", "a number from 0 to inf expected"),
        (SIXTEEN.replace("16", '"much"'), "[source]", "", "float expected"),
        (SIXTEEN.replace("odds", "odd"), "[source]", "", "did you mean odds"),
        ('tie = "age"', "[source]", "", "a table of attribute, odds, draw, untied expected"),
        (SIXTEEN, "[source]", ":draw=-1", "a number from 0"),
        ("", "[source]", ":untied=true", "the task has no .source.tie."),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, place, change, says):
    with pytest.raises((UsageError, BenchError), match=says):
        taskfile.resolve(task(tmp_path, text, place) + change)
