"""Predictions made elsewhere as cells: pairs of methods and folds, what is left out, and any text as a name."""

import re

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from sklearn.metrics import roc_auc_score

from bench import score
from bench.cells.identity import cells_folder
from bench.cli import main
from bench.errors import UsageError
from bench.reporting.tables import main_table
from bench.reporting.task_results import read
from bench.reporting.words.answer_text import answered
from bench.settings import Settings
from tests.prose import sentences_with

PATIENTS, FOLDS = 240, 3


def films(*, methods=("baseline",), folds=FOLDS, seed=0, **harm):
    """Two images of each patient; F is separated worse. `harm` adds noise to the logits of M in a method."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(PATIENTS), 2)
    sex, y = np.where(patient % 3 == 0, "F", "M"), rng.integers(0, 2, len(patient))
    frames = []
    for name in ("val", "near"):
        ids = [f"{name}{number}" for number in range(len(patient))]
        for fold in range(folds):
            drawn = np.random.default_rng([seed, fold, name == "val"])
            logit = np.where(sex == "F", 1.0, 2.0) * (2 * y - 1) + drawn.normal(size=len(y))
            for method in methods:
                own = logit + np.where(sex == "M", harm.get(method, 0), 0) * drawn.normal(size=len(y))
                own = own + 0.01 * drawn.normal(size=len(y))
                table = {"image_id": ids, "set": name, "patient": patient, "sex": sex, "y": y, "logit": own}
                frames.append(pd.DataFrame(table).assign(method=method, fold=fold))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def scored(tmp_path):
    def run(table, **given):
        how = {"attributes": ("sex",), "results": tmp_path / "results", **given}
        return score(table, **how).set_index(["label", "set", "metric"])

    return run


def written(tmp_path):
    """The text of the report of the predictions that are stored."""
    found = read(Settings(str(tmp_path / "results" / "scored" / "predictions-sex.toml"), tmp_path / "results"))
    return main_table.files(found.tested(found.results))["md"]


def test_a_method_that_harms_the_better_group_is_supported_and_levels_down(scored):
    table = films(methods=("baseline", "harms", "same"), harms=1.7)
    found = scored(table)
    for method, fold in (("harms", 0), ("same", 2)):
        here = table[(table["method"] == method) & (table["fold"] == fold) & (table["set"] == "near")]
        folds = [part for _, part in table[(table["method"] == method) & (table["set"] == "near")].groupby("fold")]
        wanted = np.mean([roc_auc_score(part["y"], part["logit"]) for part in folds])
        assert found.loc[(method, "near", "auc"), "mean"] == pytest.approx(wanted, abs=1e-12)
        assert len(here) == 2 * PATIENTS
    row = found.loc[("harms", "near", "eodds")]
    assert row["difference"] < 0
    assert row["supported"]
    assert row["levelled_down"]
    assert row["p_holm"] < 0.05
    assert row["pairs"] == FOLDS
    assert not found.loc[("same", "near", "eodds"), "supported"]
    assert not found.loc[("same", "near", "eodds"), "levelled_down"]


def test_images_of_a_patient_are_drawn_together(scored):
    once = films(methods=("baseline", "other"), folds=1, other=1)
    once = once[once["set"] == "near"].drop_duplicates(["patient", "method"])
    table = pd.concat([once.assign(image_id=once["image_id"] + f"-{copy}") for copy in range(4)])
    widths = [
        scored(one).loc[("other", "near", "auc"), ["ci_low", "ci_high"]].diff().iloc[-1]
        for one in (once, table, table.drop(columns="patient"))
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)  # four copies of an image say no more than one
    assert widths[2] < 0.6 * widths[0]


def test_without_a_validation_set_nothing_is_levelled_down_and_that_is_said(scored, tmp_path):
    table = films(methods=("baseline", "harms"), harms=1.7)
    found = scored(table[table["set"] == "near"])
    assert found.loc[("harms", "near", "eodds"), "supported"]
    assert not found["levelled_down"].any()
    text = written(tmp_path)
    assert sentences_with(text, "validation") == snapshot(
        [
            "- There is no validation set (val): no threshold is tuned, metrics at a tuned threshold are not defined, and levelling down, which needs one, is not judged."
        ]
    )
    assert "val:" not in text


def test_folds_that_a_method_lacks_are_named_and_it_is_compared_on_the_others(scored, tmp_path, capsys):
    table = films(methods=("erm", "late", "alone"), late=1, alone=1)
    fold, method = table["fold"], table["method"]
    kept = table[
        ~((method == "late") & (fold == 0)) & ~((method == "erm") & (fold == 2)) & ~((method == "alone") & (fold != 2))
    ]
    kept.to_csv(tmp_path / "films.csv", index=False)
    words = [
        "--attributes",
        "sex",
        "--reference",
        "erm",
        "--results",
        str(tmp_path / "r"),
        "--reports",
        str(tmp_path / "p"),
    ]
    assert main(["score", str(tmp_path / "films.csv"), *words]) == 3, "what can be compared is reported nevertheless"
    assert list(tmp_path.glob("p/*/main.md"))
    capsys.readouterr()
    found = scored(kept, reference="erm")
    assert [line for line in capsys.readouterr().err.splitlines() if "missing" in line] == snapshot(
        [
            "erm: fold 2 missing; all others are compared with it on the folds that both have",
            "late: fold 0 missing; compared with erm on fold 1",
            "alone: fold 0 and 1 missing; not compared: no common fold",
        ]
    )
    both = [
        roc_auc_score(part["y"], part["logit"])
        for name in ("late", "erm")
        for part in [kept[(kept["method"] == name) & (kept["fold"] == 1) & (kept["set"] == "near")]]
    ]
    row = found.loc[("late", "near", "auc")]
    assert row["difference"] == pytest.approx(both[0] - both[1], abs=1e-12)
    assert (row["n"], row["pairs"]) == (2, 1)
    assert np.isnan(found.loc[("alone", "near", "auc"), "difference"])
    assert sentences_with(written(tmp_path), "Missing") == snapshot(
        ["- Missing: erm 2 of 3 folds, late 2 of 3 folds and alone 1 of 3 folds."]
    )


def test_a_row_with_fewer_folds_than_baseline_is_still_compared(scored):
    table = films(methods=("baseline", "late"), late=1)
    found = scored(table[(table["method"] == "baseline") | (table["fold"] > 0)])
    row = found.loc[("late", "near", "eodds")]
    assert (row["n"], row["pairs"]) == (2, 2)
    assert row[["difference", "ci_low", "p_holm"]].notna().all()


def test_one_fold_has_no_spread_and_no_interval_over_trainings(scored, tmp_path):
    found = scored(films(methods=("baseline", "other"), folds=1))
    assert found["std"].isna().all()
    assert found["trained_low"].isna().all()
    assert found.loc[("other", "near", "auc"), ["ci_low", "ci_high", "p_holm"]].notna().all()
    text = written(tmp_path)
    assert "±" not in text.partition("## How")[0]
    assert sentences_with(text, "one fold") == snapshot(
        ["- values of one fold: there is no ±, and nothing is said on models that are trained again."]
    )


def test_a_group_without_images_of_a_class_has_no_gap_and_is_named(scored, tmp_path):
    table = films(methods=("baseline", "other"), folds=1)
    table = table[(table["sex"] == "M") | (table["y"] == 0)]
    found = scored(table)
    assert np.isnan(found.loc[("other", "near", "eodds"), "mean"])
    text = written(tmp_path)
    assert sentences_with(text, "no image of") == snapshot(
        [
            "There is no image of F, y 1: its rate, and the gaps made of it, are undefined.",
            "There is no image of F, y 1: its rate, and the gaps made of it, are undefined.",
        ]
    )


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (
            "y == 1",
            snapshot(
                "This classifier cannot be judged here: all images have the same label, so that AUC and gaps are undefined."
            ),
        ),
        (
            "sex == 'M' or y == 0",
            snapshot(
                "This classifier cannot be judged here (the images of a group have one label only): its AUC is NUMBER (NUMBER to NUMBER). Gaps are shown and not ranked."
            ),
        ),
    ],
)
def test_a_test_set_without_a_label_cannot_be_judged_and_the_reason_is_said(scored, tmp_path, kept, said):
    table = films(methods=("baseline", "other"), folds=1)
    scored(table[(table["set"] == "val") | table.eval(kept)])
    found = read(Settings(str(tmp_path / "results" / "scored" / "predictions-sex.toml"), tmp_path / "results"))
    ((first, *_),) = answered(found.tested(found.results), found.cells).values()
    assert re.sub(r"\d\.\d\d", "NUMBER", first) == said


def test_a_suppressed_auc_is_not_taken_for_that_of_one_label(scored, tmp_path):
    scored(films(methods=("baseline", "other"), folds=1))
    task = Settings(str(tmp_path / "results" / "scored" / "predictions-sex.toml"), tmp_path / "results")
    found = read(task, min_cell=10_000)
    ((first, *_),) = answered(found.tested(found.results), found.cells).values()
    assert first == snapshot("This classifier cannot be judged here: suppressed.")


def test_any_text_is_a_name_and_does_nothing(scored, tmp_path):
    names = [
        "=1+1",
        "<script>alert(1)</script>",
        "\x1b[31mred\u202e",
        "swift",
        "a@tuned",
        "../../up",
        "$x_{",
        "Baseline | x",
    ]
    table = films(methods=names, folds=1).assign(method=lambda one: one["method"])
    found = scored(table, reference="=1+1", reports=tmp_path / "reports")
    folder = tmp_path / "reports" / "predictions-sex"
    assert {"swift", "../../up", "a@tuned"} <= {label for label, *_ in found.index}
    page = (folder / "index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    for file in (file for file in folder.iterdir() if file.suffix in (".md", ".csv", ".tex", ".html")):
        assert not re.search("[\x1b\u202e]", file.read_text()), file
    assert not any(line.startswith("=") or ",=" in line for line in (folder / "main.csv").read_text().splitlines())
    stored = list(cells_folder(tmp_path / "results").rglob("*.json"))
    assert len(stored) == 2 * len(names)
    assert all(len(file.relative_to(tmp_path / "results").parts) == 5 for file in stored)


def test_another_file_of_the_same_name_replaces_the_cells(scored, tmp_path, capsys):
    scored(films(methods=("baseline", "old", "kept")))
    scored(films(methods=("baseline", "kept"), folds=2, seed=1))
    assert "5 cells of an earlier file are replaced" in capsys.readouterr().err
    results = read(Settings(str(tmp_path / "results" / "scored" / "predictions-sex.toml"), tmp_path / "results"))
    assert sorted((item.cell.spec, item.cell.fold) for item in results.cells) == [
        *(("baseline", fold) for fold in range(2)),
        *(("kept", fold) for fold in range(2)),
    ]
    assert not results.left_out


def test_results_that_were_computed_here_are_never_mixed_with_them(scored, tmp_path):
    (cells_folder(tmp_path / "results", "predictions-sex") / "small").mkdir(parents=True)
    with pytest.raises(UsageError) as error:
        scored(films())
    assert str(error.value).replace(str(tmp_path), "<tmp>") == snapshot(
        "<tmp>/results/cells/predictions-sex holds results that were computed here, and predictions made elsewhere are in no table with them: give another --results folder"
    )


def test_seeds_are_averaged_within_a_fold_and_training_images_are_left_out(scored, capsys):
    table = pd.concat([films(folds=2).assign(seed=0), films(folds=2, seed=5).assign(seed=1)])
    train = table[table["set"] == "val"].assign(set="train", y=0, sex="X")
    table = table[table["set"] == "near"]
    one = table.groupby(["image_id"])[["y"]].transform("first")["y"]
    found = scored(pd.concat([table.assign(y=one), train]))
    assert (found.loc[("baseline", "near", "auc"), "n"]) == 2
    assert [line for line in capsys.readouterr().err.splitlines() if "left out" in line] == snapshot(
        ["left out: 1920 rows of train, on which models are trained"]
    )
