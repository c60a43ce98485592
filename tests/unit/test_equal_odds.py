"""Methods at equal fairness in a report: thresholds from validation images, applied to each test set, by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bench.reporting.artefacts import artefacts
from bench.reporting.numbers import equal_odds
from bench.scoring.frontier import chosen, decided, eodds
from tests.unit import sites


def logits(seed, n=200):
    """Logits that separate the classes, shifted up by 2 in group 1, so that one threshold is unfair."""
    rng = np.random.default_rng(seed)
    y, a = np.arange(n) % 2, np.arange(n) // 2 % 2
    return rng.normal(2.0 * y + 2.0 * a, 1.0) - 2, y, a


def table(seed):
    return sites.predictions(f"p{seed}", *logits(seed))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Two folds of Baseline and SWiFT; the images of the test sets are those of every fold, scored anew."""
    first = {fold: table(fold) for fold in (0, 1)}
    test = first[0]["set"] != "val"
    for fold in (0, 1):  # the same test images in both folds
        first[fold].loc[test, ["image_id", "y", "a"]] = first[0].loc[test, ["image_id", "y", "a"]]
    tables = {
        (name, fold): first[fold].assign(logit=first[fold]["logit"] * (1 if name == "baseline" else -1))
        for name in ("baseline", "swift")
        for fold in (0, 1)
    }
    return sites.with_predictions("A", tmp_path_factory.mktemp("sites"), tables)


def rows(task, spec, rule, goal="balanced_accuracy", bound=0.05):
    frame = task.equal_odds
    return frame[
        (frame["spec"] == spec) & (frame["rule"] == rule) & (frame["goal"] == goal) & (frame["bound"] == bound)
    ]


def test_the_numbers_are_those_of_the_rules_that_validation_images_gave(task):
    for rule in ("each", "one"):
        found = {"value": [], "eodds": []}
        for fold in (0, 1):
            z, y, a = logits(fold)
            pair = chosen(z, y, a, [0.05], each=rule == "each")
            positive = decided(z, a, pair)
            found["value"].append((positive[0][y == 1].mean() + 1 - positive[0][y == 0].mean()) / 2)
            found["eodds"].append(eodds(positive, y, a)[0])
        for _, one in rows(task, "baseline", rule).iterrows():
            assert one["value"] == pytest.approx(np.mean(found["value"]))
            assert one["eodds"] == pytest.approx(np.mean(found["eodds"]))
            assert one["low"] < one["value"] < one["high"]


def test_thresholds_per_group_repair_the_shift_and_one_threshold_does_not(task):
    each, one = (rows(task, "baseline", rule).iloc[0] for rule in ("each", "one"))
    assert each["value"] > 0.8 > one["value"] + 0.1
    assert np.isnan(each["difference"]), "Baseline with thresholds is the line itself"
    assert one["difference"] == pytest.approx(one["value"] - each["value"])
    assert one["difference_high"] < 0
    swift = rows(task, "swift", "each").iloc[0]
    assert swift["value"] == pytest.approx(0.5, abs=0.02), "its scores are upside down"


def test_the_interval_is_that_of_the_bootstrap_over_patients(task):
    """Each image is a patient: the standard error of a balanced accuracy of independent images."""
    one = rows(task, "baseline", "each").iloc[0]
    wide = (one["high"] - one["low"]) / 3.92
    assert wide == pytest.approx(np.sqrt(2 * one["value"] * (1 - one["value"]) / 100) / 2, rel=0.35)


def test_sensitivity_keeps_the_specificity_on_validation(task):
    one = rows(task, "baseline", "each", "sensitivity", 0.1).iloc[0]
    assert one["specificity"] > 0.85
    assert rows(task, "baseline", "each", "sensitivity", 0.02).empty


def test_the_artefacts_are_made(task):
    made = {item.name: item.make(task) for item in artefacts(task) if item.name in ("equal-odds", "frontier")}
    text = made["equal-odds"]["md"].decode()
    assert "EOdds at most 0.05 on validation" in text
    assert "line to beat is Baseline with a threshold per group" in text
    row = next(line for line in text.splitlines() if line.startswith("| Baseline"))
    assert row.count("|") == 10
    assert row.split(" | ")[2] == "–"
    assert b"\\begin{tabular}" in made["equal-odds"]["tex"]
    assert {"pdf", "png", "csv"} <= made["frontier"].keys()
    assert len(pd.read_csv(pd.io.common.BytesIO(made["frontier"]["csv"]))) == 2 * 2 * len(task.info.ood) * len(
        equal_odds.BOUNDS
    )


def test_nothing_is_made_of_more_than_two_groups_or_of_suppressed_sets(task):
    info = dataclasses.replace(task.info, group_names=("a", "b", "c"))
    three = dataclasses.replace(task.results, info=info)
    assert equal_odds.frame(three, task.tables[0].cells, task.scored).empty
    few = dataclasses.replace(task, info=dataclasses.replace(task.info, min_cell=1000))
    assert few.equal_odds.empty
