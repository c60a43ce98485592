"""Attributes of more than two groups: coding, choice of the pair, external set, metrics, report."""

import dataclasses
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from sklearn.metrics import roc_auc_score

from bench import listing, taskfile
from bench.api import Attribute, Dataset, Label
from bench.cells.identity import Cell
from bench.data.columns import coded
from bench.data.external import external_set
from bench.data.group_pair import LEAST, Pair, choose, of_pair
from bench.data.sample_table import sample_table, without_group
from bench.data.task_data import TaskData
from bench.errors import DataInvalid, EmptyGroup, UnknownName, UsageError
from bench.report.figures import trade_off
from bench.report.numbers import frames
from bench.report.numbers.aggregate import collect
from bench.report.numbers.task_info import MORE_GROUPS, Undefined
from bench.report.tables import main_table, terminal
from bench.report.words.conclusions import findings
from bench.report.words.notes import reading
from bench.run.plan import build_method, cell_hash, method_specs, plan, undefined
from bench.score.metrics import evaluate
from bench.settings import Settings
from bench.tasks import ATTRIBUTES, TASKS
from tests.factory import record, scores, task_info
from tests.prose import lines_with, plain, sentences_with

AGE_BANDS, SKIN_TYPES = ATTRIBUTES["age-bands"], ATTRIBUTES["skin-types"]
TONES = Attribute(column="fst", names=("light", "middle", "dark"), values=(("1", "2"), ("3",), ("4",)))


# --- coding ------------------------------------------------------------------------------------


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
        "table: row of d:1, column 'age' is 'old': a number expected, or list what means \"not known\" with `unknown`"
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
            snapshot("column 'c': cuts=[40.0, 20.0]: finite numbers in rising order expected"),
        ),
        (
            {"cuts": (40.0, 40.0), "names": ("a", "b", "c")},
            snapshot("column 'c': cuts=[40.0, 40.0]: finite numbers in rising order expected"),
        ),
        (
            {"cuts": (math.nan,), "names": ("a", "b")},
            snapshot("column 'c': cuts=[nan]: finite numbers in rising order expected"),
        ),
        (
            {"cuts": (math.inf,), "names": ("a", "b")},
            snapshot("column 'c': cuts=[inf]: finite numbers in rising order expected"),
        ),
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


TOML = """
image_size = 8
channels = 1
[source]
dataset = "phantom:images=200"
[ood.other]
dataset = "phantom:images=50,hospital=ood_neutral"
[label]
column = "pneumothorax"
names = ["no", "yes"]
[attribute]
"""


def read(tmp_path, attribute):
    file = tmp_path / "mine.toml"
    file.write_text(TOML + attribute)
    return taskfile.resolve(str(file)).attribute


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
        "<tmp>/mine.toml [attribute]: column 'age': cuts=[40.0, 20.0]: finite numbers in rising order expected"
    )
    with pytest.raises(UsageError) as error:
        read(tmp_path, 'column = "age"\ncuts = ["old"]\nnames = ["a", "b"]')
    assert plain(error.value, tmp_path) == snapshot("<tmp>/mine.toml [attribute]: cuts='old': float expected")


def test_the_list_says_what_the_groups_are():
    assert listing._text(TONES) == snapshot("fst (0 light: 1, 2; 1 middle: 3; 2 dark: 4)")
    assert listing._text(AGE_BANDS) == snapshot(
        "age (0 0-19: below 20; 1 20-39: from 20; 2 40-59: from 40; 3 60-79: from 60; 4 80+: from 80)"
    )


# --- the pair ----------------------------------------------------------------------------------


def group(auc, positives=LEAST, negatives=LEAST):
    return {"auc": auc, "positives": positives, "negatives": negatives}


@pytest.mark.parametrize(
    ("aucs", "pair"),
    [
        ((0.7, 0.9, 0.6, 0.8), Pair(best=1, worst=2)),
        ((0.9, 0.6, 0.6, 0.9), Pair(best=0, worst=1)),
        ((0.6, 0.9), Pair(best=1, worst=0)),
        ((0.7, 0.7, 0.7), None),
        ((0.7,), None),
    ],
)
def test_best_and_worst_are_the_first_of_equals(aucs, pair):
    chosen, known = choose({f"g{i}": group(auc) for i, auc in enumerate(aucs)})
    assert chosen == pair
    assert list(known.values()) == list(aucs)


def test_groups_with_few_images_of_a_class_are_not_chosen():
    few, many = LEAST - 1, LEAST + 1
    groups = {
        "few positives": group(0.1, few, many),
        "a": group(0.8),
        "few negatives": group(0.99, many, few),
        "b": group(0.7),
        "one class": group(math.nan, 0, many),
    }
    chosen, aucs = choose(groups)
    assert chosen == Pair(best=1, worst=3)
    assert [name for name, auc in aucs.items() if math.isnan(auc)] == ["few positives", "few negatives", "one class"]
    assert choose({**groups, "b": group(0.7, few)})[0] is None, "one group is left"


def validation(seed=0, groups=4, n=400):
    rng = np.random.default_rng(seed)
    a, y = rng.integers(0, groups, n), rng.integers(0, 2, n)
    return pd.DataFrame({"uid": [f"d:{i:03d}" for i in range(n)], "patient": "p", "y": y, "a": a.astype("int8")})


def test_the_worst_is_recoded_one_and_the_best_zero():
    table = pd.DataFrame({"uid": list("pqrstu"), "y": 1, "a": np.array([3, 0, 1, 3, 2, 1], dtype="int8")})
    rows = of_pair(table, Pair(best=3, worst=1))
    unknown = pd.concat([table.assign(uid="?" + table["uid"], a=np.int8(-1)), table], ignore_index=True)
    pd.testing.assert_frame_equal(of_pair(unknown, Pair(best=3, worst=1)), rows)
    assert rows["uid"].tolist() == ["p", "r", "s", "u"]
    assert rows["a"].tolist() == [0, 1, 0, 1]
    assert rows["a"].dtype == np.int8
    assert table["a"].tolist() == [3, 0, 1, 3, 2, 1], "the table given stays as it was"


def grouped_data(attribute=AGE_BANDS, pair=None):
    task = dataclasses.replace(TASKS["phantom-cxr-age"], name="mine", attribute=attribute)
    source = pd.concat([validation(1, 5, 900), validation(2, 5, 100)], ignore_index=True)
    source["uid"] = source["path"] = [f"d:{i:04d}" for i in range(1000)]
    return TaskData(task, {}, {"source": source.assign(fold=[1] * 900 + [0] * 100), "ood_neutral": source}, pair)


def test_the_external_set_is_cut_by_the_usual_rule_from_the_pair():
    data = grouped_data(pair=Pair(best=4, worst=2))
    external, val = data.split("external", 1), data.split("val", 1)
    by_hand = val[val["a"].isin((2, 4))].copy()
    by_hand["a"] = by_hand["a"].map({2: 1, 4: 0}).astype("int8")
    pd.testing.assert_frame_equal(external, external_set(by_hand, (0, "mine", 1, "age")))
    assert sorted(val["a"].unique()) == [0, 1, 2, 3, 4]
    assert sorted(data.split("ood_neutral", 1)["a"].unique()) == [0, 1, 2, 3, 4]
    assert len(set(external.groupby(["y", "a"]).size().unstack().itertuples(index=False))) == 2
    other = grouped_data(pair=Pair(best=2, worst=4)).split("external", 1)
    assert sorted(other["a"].unique()) == [0, 1]
    assert data.fingerprint("external", 1) != grouped_data(pair=Pair(best=2, worst=4)).fingerprint("external", 1)


def test_there_is_no_external_set_before_the_pair():
    assert grouped_data().unpaired
    assert not grouped_data(pair=Pair(0, 1)).unpaired
    assert not grouped_data(attribute=TASKS["phantom-cxr-age"].attribute).unpaired
    with pytest.raises(EmptyGroup) as error:
        grouped_data().split("external", 1)
    assert str(error.value) == snapshot("task mine, fold 1: no pair of groups is chosen for the external set")


# --- which methods, which cells ----------------------------------------------------------------


def test_methods_that_read_the_groups_of_val_are_not_defined_on_more_than_two():
    methods = method_specs("all")
    task = TASKS["phantom-cxr-age-groups"]
    assert sorted(undefined(methods, task)) == ["diff_gda", "diff_prune", "fair_prune", "fullft_reg"]
    assert undefined(methods, TASKS["phantom-cxr-age"]) == {}
    assert build_method("fullft_reg").undefined(3) == snapshot("it reads the groups of val and is defined on two")
    assert lines_with(listing.show("methods", "fullft_reg"), "two groups") == snapshot(
        ["  more than two groups  it reads the groups of val and is defined on two"]
    )
    assert lines_with(listing.show("methods", "swift"), "two groups") == snapshot(
        [
            "  8. With more than two groups, the best and the worst by validation AUC are recoded to 0 and 1, as in the code (D23).",
            "  more than two groups  defined",
            "  D23   more than two groups: the best and the worst by validation AUC, the worst is 1",
        ]
    )


@pytest.fixture(scope="module")
def small_task(tmp_path_factory):
    file = tmp_path_factory.mktemp("task") / "mine.toml"
    file.write_text(TOML + 'column = "age"\ncuts = [45, 66]\nnames = ["a", "b", "c"]')
    from bench.data.task_data import task_data

    return task_data(taskfile.resolve(str(file)), None)


def test_a_plan_leaves_out_what_is_not_defined(small_task):
    cells = plan(small_task, Settings("mine", backbone="small", folds=(0, 1)))
    assert [p.error for p in cells] == [None] * 14
    assert {p.cell.spec for p in cells} == {
        "baseline",
        "fullft_rw",
        "fullft_fdr",
        "llft",
        "bmft",
        "swift",
        "swift:apply=update",
    }


def test_the_hash_holds_the_rule_and_not_the_pair(small_task, monkeypatch):
    cell = Cell("mine", "small", "swift", 0, 0)
    before = cell_hash(cell, small_task)
    assert cell_hash(cell, dataclasses.replace(small_task, pair=Pair(0, 1))) == before
    monkeypatch.setattr("bench.data.group_pair.RULE", {"by": "auc of the baseline on val", "least": LEAST + 1})
    assert cell_hash(cell, small_task) != before


# --- metrics -----------------------------------------------------------------------------------


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


# --- report ------------------------------------------------------------------------------------

INFO = task_info(
    says="Finding on demo images.",
    group_names=("young", "middle", "old"),
    ood=("near",),
    columns=MORE_GROUPS,
    undefined=(Undefined("reg", "Reg", 2, "it reads val"), Undefined("last", "Last", 90, "it reads val")),
)


def cell(title, fold, worst="old", near=None, **values):
    counts = {"young": (60, 40), "middle": (30, near or 9), "old": (75, 0 if near == 0 else 25)}
    sets = dict.fromkeys(("near", "val"), scores(counts, n=239, **values))
    pair = {"worst": worst, "best": worst and "young", "auc": {}, "skipped": ["middle"] if fold == 1 else []}
    row = {"Baseline": 1, "Reg": 2, "A": 3}[title]
    return record(title.lower(), fold, title=title, row=row, scores=sets, pair=pair)


def five(near=None):
    rng, cells = np.random.default_rng(0), []
    for fold in range(5):
        shift, worst = 0.01 * rng.normal(), (None if fold == 4 else "old" if fold else "middle")
        cells.append(cell("Baseline", fold, worst, near, auc=0.7 + shift, min_auc=0.6, gap_auc=0.3 + shift))
        gap = 0.1 + shift + 0.001 * fold
        cells.append(cell("A", fold, worst, near, auc=0.7 + shift, min_auc=0.6, gap_auc=gap))
    return cells


def test_the_table_has_overall_min_and_gap_and_dashes():
    made = main_table.files(collect(five(), [], INFO))
    page, text = made["md"], made["tex"]
    assert sentences_with(page, "Overall", "Min") == snapshot(
        [
            "| method | Overall AUC ↑ | Min AUC ↑ | Gap AUC ↓ | cost | folds |",
            "| method | Overall AUC ↑ | Min AUC ↑ | Gap AUC ↓ | cost | folds |",
        ]
    )
    assert sentences_with(page, "young") == snapshot(
        [
            "Disparities between young, middle and old (age).",
            "- External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with 20 images of each class, chosen once per fold before fine-tuning: middle and young (fold 0); old and young (fold 1, 2 and 3); no pair, so that every method is the Baseline (fold 4).",
            "- near: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill).",
            "- val: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill, fewest over the folds).",
        ]
    )
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in lines[2:6]] == ["Baseline", "Reg", "A", "Last"]
    assert lines[3] == "| Reg | – | – | – | – | – |"
    assert r"Reg & -- & -- & -- & -- & -- \\" in text
    stream = io.StringIO()
    terminal.show(collect(five(), [], INFO), stream)
    assert sentences_with(stream.getvalue(), "Min") == snapshot(
        ["method    Overall AUC ↑  Min AUC ↑     Gap AUC ↓     cost  folds"]
    )
    assert sentences_with(stream.getvalue(), "val") == snapshot(
        ["– Not defined on 3 groups: Reg and Last: it reads val."]
    )


def test_the_findings_are_about_gap_auc_and_overall_auc():
    text = findings(collect(five(), [], INFO))
    assert text[-1] == snapshot(
        "near: Gap AUC is lower than Baseline's with A (-0.198, p < 0.001). The best Gap AUC, A (0.102), is significantly different over folds from Baseline. No significant difference from Baseline on Overall AUC: A. The best Overall AUC, Baseline (0.700), is not significantly different over folds from the next best, A (0.700)."
    )
    assert "EOdds" not in " ".join(text)
    assert "Reg" not in " ".join(text), "why it has no numbers is said once, in the notes"
    alone = [item for item in five() if item.cell.title == "Baseline"]
    assert findings(collect(alone, [], INFO)) == snapshot(["There are results of Baseline only: nothing is compared."])


def test_the_notes_say_pairs_sizes_and_what_is_undefined():
    notes = "\n".join(reading(collect(five(), [], INFO)))
    assert sentences_with(notes, "Reg") == snapshot(["– Not defined on 3 groups: Reg and Last: it reads val."])
    assert "Missing" not in notes
    assert sentences_with(notes, "middle", "Baseline") == snapshot(
        [
            "External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with 20 images of each class, chosen once per fold before fine-tuning: middle and young (fold 0); old and young (fold 1, 2 and 3); no pair, so that every method is the Baseline (fold 4)."
        ]
    )
    assert sentences_with(notes, "middle", "Not") == snapshot(
        ["Not eligible, because of too few images: middle (fold 1)."]
    )
    assert sentences_with(notes, "near", "239") == snapshot(
        ["near: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill)."]
    )
    assert lines_with(notes, "10") == snapshot(
        [
            "Images of a fold: validation 239, external 100.",
            "near: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill). Min and Gap AUC are over 3 of 3 groups. Fewer than 10 images of a class: middle (9).",
            "val: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill, fewest over the folds). Min and Gap AUC are over 3 of 3 groups. Fewer than 10 images of a class: middle (9).",
        ]
    )
    lacking = "\n".join(reading(collect(five(near=0), [], INFO)))
    assert sentences_with(lacking, "AUC") == snapshot(
        [
            "External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with 20 images of each class, chosen once per fold before fine-tuning: middle and young (fold 0); old and young (fold 1, 2 and 3); no pair, so that every method is the Baseline (fold 4).",
            "Min and Gap AUC are over 2 of 3 groups, without old, which lack a class.",
            "Min and Gap AUC are over 2 of 3 groups, without old, which lack a class.",
            "Minimum detectable on near: a difference to Baseline in Gap AUC of 0.004 over folds (median of the methods).",
        ]
    )


def test_the_figure_shows_gap_auc():
    results = collect(five(), [], INFO)
    figure = trade_off.draw(frames.by_fold(results), INFO, results.backbones)
    assert figure.axes[0].get_xlabel() == snapshot("Overall AUC (higher is better)")
    assert figure.axes[0].get_ylabel() == snapshot("Gap AUC (lower is better)")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Baseline", "A"]
