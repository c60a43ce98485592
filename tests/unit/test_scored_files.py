"""Files of predictions made elsewhere: columns, codings, probabilities and logits, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import score
from bench.errors import BenchError, DataError, DataInvalid, UnknownName, UsageError
from bench.scoring.definitions import METRICS
from bench.share.scored_cells import spec_of_name
from bench.share.scored_file import logits
from tests.prose import plain

HAND = pd.DataFrame(
    {
        "image_id": [f"i{number}" for number in range(8)],
        "sex": ["F"] * 4 + ["M"] * 4,
        "y": [1, 1, 0, 0] * 2,
        "score": [0.9, 0.4, 0.2, 0.6, 0.8, 0.7, 0.3, 0.1],
    }
)
"""F: TPR 1/2, FPR 1/2; M: TPR 1, FPR 0. Both are selected at 1/2. Of 16 pairs, one is in the wrong order."""


@pytest.fixture
def scored(tmp_path):
    """Scores a frame, or its text in a file, in a folder of its own."""

    def run(table, **given):
        if isinstance(table, str):
            (tmp_path / "films.csv").write_text(table)
            table = tmp_path / "films.csv"
        given = {"attributes": ("sex",), **given}
        return score(table, results=tmp_path / "results", **given).set_index(["spec", "metric"])

    return run


def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "docs/your-predictions.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(text.partition("```python\n")[2].partition("```")[0], {})
    assert len(capsys.readouterr().out.splitlines()) == 3


def of(table, metric, spec="baseline"):
    return table.loc[(spec, metric)]


def test_a_file_that_was_scored_by_hand(scored, capsys):
    found = scored(HAND)
    found = found[found["set"] == "test"]
    assert of(found, "auc")["mean"] == 15 / 16
    assert of(found, "spd")["mean"] == 0
    assert of(found, "eodds")["mean"] == (1 / 2 + 1 / 2) / 2
    assert of(found, "gap_auc")["mean"] == pytest.approx(1 - 3 / 4)
    assert np.isnan(of(found, "auc")["std"])
    tuned = [name for name, metric in METRICS.items() if metric.threshold == "tuned"]
    assert found.loc[[("baseline", name) for name in tuned], "mean"].isna().all()
    assert capsys.readouterr().err.splitlines()[:9] == snapshot(
        [
            "no column of the set: all rows are of one",
            "no column of the method: all rows are of one",
            "no column of the fold: all rows are of one",
            "no column of the patient: each image counts as a patient, and intervals are too narrow if it is not",
            "score: taken for probabilities, as all are in [0, 1]",
            "test: 8 rows, 8 images used, 4 of them y 1 (50.0%)",
            "  y, y 0: '0' (4)",
            "  y, y 1: '1' (4)",
            "  sex, F: 'F' (4)",
        ]
    )


def test_a_file_of_logits_of_which_the_same_decisions_follow(scored):
    shifted = HAND.assign(score=(HAND["score"] - 0.5) * 7)
    by_name = HAND.assign(score=(HAND["score"] - 0.5) * 7 / 7).rename(columns={"score": "logit"})
    names = ["auc", "spd", "eodds", "gap_auc"]
    wanted = scored(HAND)["mean"].loc["baseline"].loc[names].dropna()
    for table in (shifted, by_name):
        assert scored(table)["mean"].loc["baseline"].loc[names].dropna().equals(wanted)


def test_a_table_is_read_as_a_table_of_images_is(scored):
    text = HAND.assign(score=HAND["score"].astype(str).str.replace(".", ",")).to_csv(index=False, sep=";")
    text = text.replace("F", " F ") + ";;;\n" + "i8;unknown;1;0,9\ni9;M;;0,5\n"
    assert of(scored("\ufeff" + text), "spd")["mean"] == 0
    found = of(scored("\ufeff" + text), "auc")
    assert found["mean"] == pytest.approx((15 + 3.5 + 0.5) / 20)  # i8 has no group, but counts here; i9 has no label


def test_probabilities_of_0_and_1_keep_their_order_and_are_counted():
    method = pd.Series(["a"] * 5)
    table = pd.DataFrame({"p": [0, 5e-324, 0.5, np.nextafter(1, 0), 1]})
    found, said = logits(table, "p", method, "auto", "here")
    assert (np.diff(found) > 0).all()
    assert (found[0], found[2], found[4]) == (-1000, 0, 1000)
    assert said == snapshot(
        "p: taken for probabilities, as all are in [0, 1]; 2 of exactly 0 or 1 became logits of ±1000"
    )


def test_a_comma_is_read_as_a_decimal_point_and_counted():
    table = pd.DataFrame({"p": ["0,25", "0.5", "0,75"]})
    found, said = logits(table, "p", pd.Series(["m"] * 3), "auto", "the table")
    assert found == pytest.approx([-math.log(3), 0, math.log(3)])
    assert said == snapshot(
        "p: taken for probabilities, as all are in [0, 1]; 2 with a comma, which was read as a decimal point"
    )


@pytest.mark.parametrize(
    ("change", "given", "kind"),
    [
        ({"score": [50, 60, 70, 80, 10, 20, 30, 40]}, {}, DataInvalid),
        ({"score": [0.1, 1.2, 0, 0, 0, 0, 0, 0]}, {"scale": "probability"}, DataInvalid),
        ({"score": ["0.1", "high", "", "inf", "1", "0", "0", "0"]}, {}, DataInvalid),
        ({"score": [np.nan] + [0.5] * 7}, {}, DataInvalid),
        ({"score": [-2, 2, -1, 1, 0.1, 0.2, 0.3, 0.4], "method": ["a"] * 4 + ["b"] * 4}, {"reference": "a"}, DataInvalid),
        ({"image_id": ["i1"] * 2 + list("abcdef")}, {}, DataInvalid),
        ({"image_id": ["", *list("abcdefg")]}, {}, DataInvalid),
        ({"fold": ["one"] * 8}, {}, DataInvalid),
        ({"fold": [0] * 5 + [1] * 3}, {}, DataInvalid),
        ({"set": ["val"] * 8}, {}, DataInvalid),
        ({"set": ["ood"] * 8}, {}, UsageError),
        ({"set": ["a/b"] * 8}, {}, UsageError),
        ({"sex": ["F"] * 8}, {}, DataInvalid),
        ({"sex": list("abcdefgh"), "age": range(8)}, {"attributes": ("agee",)}, DataInvalid),
        ({"age": [10 + year for year in range(8)] }, {"attributes": ("ages",)}, DataInvalid),
        ({"y": [2] * 8}, {}, DataInvalid),
        ({"y": [None] * 8}, {}, DataInvalid),
        ({}, {"label": "pneumonia"}, DataInvalid),
        ({}, {"attributes": ()}, UsageError),
        ({}, {"score": "none"}, UsageError),
        ({"method": ["swift"] * 4 + ["bmft"] * 4}, {}, UnknownName),
        ({}, {"reference": "erm"}, UnknownName),
        ({}, {"colour": "x"}, UnknownName),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_and_nothing_is_stored(scored, tmp_path, change, given, kind):
    with pytest.raises(kind) as error:
        scored(HAND.assign(**change), **given)
    assert error.value.exit_code in (2, 3)
    assert not (tmp_path / "results").exists()


def test_what_the_messages_say(scored, tmp_path):
    twice, fold = HAND.assign(image_id=["i1"] * 2 + list("abcdef")), HAND.assign(fold=[0] * 4 + [1] * 4)
    other = pd.concat([HAND.assign(fold=0), HAND.assign(fold=1, sex=["M", *list(HAND["sex"][1:])])])
    few = HAND.loc[HAND.index.repeat(2)].assign(image_id=range(16), score=[-0.2] + [0.5] * 15)
    refused = [
        (HAND.assign(score=HAND["score"] * 100), {}),
        (few, {}),
        (HAND, {"label": "yy"}),
        (twice, {}),
        (fold, {}),
        (other, {}),
        (HAND.assign(age=range(40, 48)), {"attributes": ("sex", "agee")}),
        (pd.concat([HAND.assign(method=name) for name in ("ERM", "mine")]), {"reference": "erm"}),
        (HAND.assign(set="a b/c"), {}),
    ]
    told = []
    for table, given in refused:
        with pytest.raises(BenchError) as error:
            scored(table, **given)
        told.append(plain(str(error.value), tmp_path))
    assert told == snapshot(
        [
            "the table: column 'score' goes from 10 to 90: neither probabilities nor, without a negative value, logits: divide percentages by 100, or say --scale logit",
            "the table: column 'score' has 1 of 16 values outside of [0, 1], from -0.2 to 0.5: mend them if the others are probabilities, or say --scale logit",
            "the table: no column 'yy': did you mean 'y'? it has: image_id, sex, y, score",
            "the table: image 'i1' is there twice for method 'predictions', fold 0, seed 0, set 'test' (1 such rows): keep one",
            "the table: method 'predictions', fold 0, seed 0 has 4 of the 8 images of test, without 'i4': all methods and folds must predict the same images of a set. If each image was predicted in one fold only, --fold none takes all of them as one fold",
            "the table: rows of image 'i0' in test differ in 'sex' (2 such rows): one image has one value",
            "the table: no column 'agee': did you mean 'age' or 'image_id'? it has: image_id, sex, y, score, age",
            "unknown method 'erm'; --reference names the one that others are compared with: did you mean ERM? allowed: ERM, mine",
            "predictions: test set 'a b/c': a name begins with a letter or digit, ends with one or with '_', and holds at most 100 letters, digits, spaces, '.', '-' and '_'",
        ]
    )


def test_a_missing_file_and_a_file_that_is_no_table(tmp_path):
    for name, content in (("none.csv", None), ("a.csv", b""), ("b.csv", b"image_id,y\n"), ("c.parquet", b"x")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError):
            score(tmp_path / name, attributes=("sex",), results=tmp_path / "results")


def test_a_name_of_a_method_becomes_a_folder_of_its_own():
    names = [
        "baseline",
        "swift",
        "a b",
        "a_b",
        "../../etc",
        "a@tuned",
        "a:b=c",
        "x" * 300,
        "",
        ".hidden",
        "é",
        "=1+1",
        "A",
    ]
    specs = [spec_of_name(name) for name in names]
    assert len({spec.casefold() for spec in specs}) == len(specs)
    assert specs[1] == "swift"
    for spec in specs:
        assert spec != "baseline"
        assert not set(spec) & set("/:@=, ")
        assert spec[0] not in ".-"
        assert len(spec) < 100
