"""Rates of every group beside the images they rest on: values, marks, what is suppressed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.reporting.artefacts import artefacts
from bench.reporting.numbers.aggregate import collect
from bench.reporting.render.document import markdown
from bench.reporting.render.table import csv
from bench.reporting.tables.group_table import RATES, frame, section
from bench.scoring.metrics import score_sets
from tests.factory import GONE, changed, record, task_info
from tests.unit.fabricated import task_results

INFO = task_info("phantom-cxr-age")
SIZES = {"val": (60, 40, 40, 30), "near": (50, 30, 40, 9), "far": (30, 20, 25, 12)}
"""Images of each set: younger healthy, younger ill, older healthy, older ill."""


def cell(method: str, fold: int, seed: int = 0) -> dict[str, Any]:
    rng, sets = np.random.default_rng([fold, seed, len(method)]), {}
    for name, sizes in SIZES.items():
        y, a = np.repeat([0, 1, 0, 1], sizes), np.repeat([0, 0, 1, 1], sizes)
        sets[name] = (rng.normal(y - 0.3 * a, 1), y, a)
    row, sets = 1 + (method != "Baseline"), score_sets(sets, INFO.group_names)
    return record(method.lower(), fold, task=INFO.name, seed=seed, row=row, scores=sets)


@pytest.fixture
def cells() -> list[dict[str, Any]]:
    return [cell(method, fold) for method in ("Baseline", "A") for fold in range(3)]


def rows(table: pd.DataFrame, **chosen: object) -> pd.DataFrame:
    for column, value in chosen.items():
        table = table[table[column] == value]
    return table


def test_every_rate_has_its_mean_and_spread_and_what_it_rests_on(cells: list[dict[str, Any]]) -> None:
    table = frame(collect(cells, [], INFO), cells)
    assert len(table) == 2 * 3 * 2 * len(RATES)
    for rate, images in (("selection_rate", 49), ("tpr", 9), ("fpr", 40), ("auc", 9), ("calibration_error", 49)):
        (row,) = rows(table, method="a", set="near", group="older", rate=rate).to_dict("records")
        values = [item.scores["near"].groups["older"].metrics[rate] for item in cells[3:]]
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["std"] == pytest.approx(np.std(values, ddof=1))
        assert (row["images"], row["few"], row["folds"], row["role"]) == (images, images < 10, 3, "ood")
        assert (row["n"], row["positives"], row["negatives"]) == (49, 9, 40)


def test_seeds_of_a_fold_are_one_observation() -> None:
    cells = [cell("Baseline", fold, seed) for fold in range(2) for seed in range(2)]
    (row,) = rows(frame(collect(cells, [], INFO), cells), set="far", group="younger", rate="tpr").to_dict("records")
    values = np.array([item.scores["far"].groups["younger"].metrics["tpr"] for item in cells]).reshape(2, 2)
    assert (row["mean"], row["folds"]) == (pytest.approx(values.mean()), 2)
    assert row["std"] == pytest.approx(values.mean(axis=1).std(ddof=1))


def test_what_rests_on_fewer_than_ten_images_is_marked_and_nothing_else(cells: list[dict[str, Any]]) -> None:
    results = collect(cells, [], INFO)
    table = frame(results, cells)
    text = markdown(section(results, table))
    line = next(line for line in text.splitlines() if line.startswith("| A | older | 49 | 9 | 40 |"))
    assert ["¶" in entry for entry in line.split("|")[6:11]] == [False, True, False, True, False]
    assert sum("¶" in line for line in text.splitlines()) == 5, "both methods on near, in both tables, and the note"
    assert {*rows(table, few=True)["set"]} == {"near"}
    ranked = {"auc", "auprc", "sensitivity_at_specificity", "calibration_intercept", "calibration_slope"}
    assert {*rows(table, few=True)["rate"]} == {"tpr", "tpr_tuned_threshold", *ranked}
    assert "SYNTHETIC" in text


def test_a_rate_without_images_is_undefined_and_not_zero(cells: list[dict[str, Any]]) -> None:
    nothing = {
        "n": 40,
        "negatives": 40,
        "positives": 0,
        "true_positives": 0,
        "false_positives": 0,
        "tpr": float("nan"),
        "auc": float("nan"),
    }
    cells = [changed(item, groups={"near": {"older": nothing}}) for item in cells]
    results = collect(cells, [], INFO)
    table = frame(results, cells)
    (row,) = rows(table, method="a", set="near", group="older", rate="tpr").to_dict("records")
    assert (np.isnan(row["mean"]), row["folds"], row["few"]) == (True, 0, True)
    line = next(
        line for line in markdown(section(results, table)).splitlines() if line.startswith("| A | older | 40 | 0 |")
    )
    assert line.split("|")[7].strip() == "–"


def test_cells_of_older_metrics_lack_only_what_came_later(cells: list[dict[str, Any]]) -> None:
    cells = [changed(item, groups={"near": {"older": {"calibration_error": GONE}}}) for item in cells]
    table = rows(frame(collect(cells, [], INFO), cells), method="a", set="near", group="older").set_index("rate")
    assert table["folds"].to_dict()["calibration_error"] == 0
    assert table["folds"].to_dict()["tpr"] == 3


@pytest.mark.parametrize(
    ("least", "left"), [(9, {"near", "far", "val"}), (10, {"far", "val"}), (13, {"val"}), (31, set())]
)
def test_of_a_set_with_a_small_cell_there_is_no_row(cells: list[dict[str, Any]], least: int, left: set[str]) -> None:
    results = collect(cells, [], replace(INFO, min_cell=least))
    table = frame(results, cells)
    assert {*table["set"]} == left
    text = markdown(section(results, table))
    assert {name for name in SIZES if f"## small, {name}" in text} == left
    assert ("Suppressed" in text) is (len(left) < 3)
    assert csv(table).startswith("task,synthetic,backbone,method,label,spec,set,role,group,n,")


def test_it_is_an_artefact_of_every_task_with_cells(cells: list[dict[str, Any]]) -> None:
    made = task_results(cells, [], INFO)
    (item,) = [item for item in artefacts(made) if item.name == "groups"]
    assert {*item.make(made)} == {"md", "html", "csv"}
    assert item.possible(made)
    nothing = task_results([], [], INFO)
    assert [line.methods for line in item.lines(nothing)] == [("all",)]
