"""The distance to the untied model, over draws of a planted tie, beside the same numbers from the predictions."""

from __future__ import annotations

import dataclasses
import io
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from bench import taskfile
from bench.cells.identity import Cell, cells_folder, predictions_file
from bench.cells.predictions import write_predictions
from bench.reporting.artefacts import artefacts
from bench.reporting.figures import task_figures
from bench.reporting.tables import untied_table
from bench.reporting.task_results import TaskResults
from bench.scoring.metrics import evaluate
from bench.settings import Settings
from tests.factory import Record, record, task_info
from tests.task_texts import AGE, CHEST

SHIFTS = {"tied": {"afr": 0.5, "baseline": 1.0, "swift": 0.3}, "untied": {"baseline": 0.0}}
"""How far the logits of group 1 are shifted."""
SETS = ("near", "far", "val")
FOLDS = (0, 1)


@cache
def predictions(kind: str, method: str, draw: int, fold: int) -> pd.DataFrame:
    """Two images of each of 150 patients on every set: labels and groups are the same for all models."""
    parts = []
    for place, name in enumerate(SETS):
        rng = np.random.default_rng(place)
        y, a = np.repeat(rng.random((2, 150)) < 0.4, 2, axis=1).astype("int8")
        own = np.random.default_rng([place, draw, fold, len(kind), len(method)]).normal(size=300)
        logit = 1.2 * y - 0.5 + SHIFTS[kind][method] * a + rng.normal(size=300) + 0.3 * own
        ids = [f"{name}-{number:03d}" for number in range(300)]
        columns = {"set": name, "image_id": ids, "y": y, "a_age": a, "logit": logit, "cluster": np.arange(300) // 2}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def quantities(frame: pd.DataFrame) -> np.ndarray:
    """AUC, signed differences of TPR and FPR at a score of 0.5, and the lowest AUC of a group."""
    groups = [frame[frame["a_age"] == group] for group in (0, 1)]
    rates = [[(one["logit"][one["y"] == y] > 0).mean() for y in (1, 0)] for one in groups]
    aucs = [roc_auc_score(one["y"], one["logit"]) for one in (frame, *groups)]
    return np.array([aucs[0], rates[1][0] - rates[0][0], rates[1][1] - rates[0][1], min(aucs[1:])])


@pytest.fixture(scope="module")
def tmp_path(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("untied"))
        yield folder


@pytest.fixture(scope="module")
def results(tmp_path) -> TaskResults:
    """Two draws with their controls, and a third draw without one."""
    text = CHEST.format(name="tied", images=100, attribute=AGE).replace("ood_neutral]", "near]")
    text = text.replace("ood_reversed]", "far]")
    (tmp_path / "tied.toml").write_text(
        text.replace("[source]", '[source.tie]\nattribute = "age"\nodds = 16\n[source]')
    )
    known: dict[str, TaskResults] = {}
    for draw, untied in ((0, False), (0, True), (1, False), (1, True), (2, False)):
        spec = "tied.toml"
        for field, value in (("draw", draw), ("untied", untied)):
            spec = taskfile.vary(spec, field, value)
        task = taskfile.resolve(spec)
        kind = "untied" if untied else "tied"
        cells = [cell(task.name, kind, method, draw, fold, tmp_path) for method in SHIFTS[kind] for fold in FOLDS]
        info = dataclasses.replace(task_info(task.name), group_names=("younger", "older"))
        settings = Settings(spec, tmp_path, tmp_path / "cache", None)
        known[spec] = TaskResults(settings, task, info, cells, [], known=known)
        cells_folder(tmp_path, task.name).mkdir(parents=True, exist_ok=True)
    return known["tied.toml"]


def cell(task: str, kind: str, method: str, draw: int, fold: int, place) -> Record:
    frame = predictions(kind, method, draw, fold)
    scores = {
        str(name): evaluate(*(part[column].to_numpy() for column in ("logit", "y", "a_age")), ("younger", "older"))
        for name, part in frame.groupby("set")
    }
    file = predictions_file(place, Cell(task, "small", method, fold, 0))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(file, frame)
    return record(method, fold, task=task, scores=scores)


@pytest.fixture(scope="module")
def table(results) -> pd.DataFrame:
    return results.distances


def exact(kind: str, method: str, name: str, draw: int) -> np.ndarray:
    frames = [predictions(kind, method, draw, fold) for fold in FOLDS]
    return np.mean([quantities(frame[frame["set"] == name]) for frame in frames], axis=0)


def test_values_and_differences_are_those_of_the_predictions(table):
    assert set(table["set"]) == {"near", "far"}
    assert set(table["draws"]) == {2}  # the third draw has no control
    for (method, name), rows in table.groupby(["spec", "set"]):
        own = np.array([exact("tied", method, name, draw) for draw in (0, 1)])
        untied = np.array([exact("untied", "baseline", name, draw) for draw in (0, 1)])
        np.testing.assert_allclose(rows["value"], own.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(rows["untied"], untied.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(rows["difference"], (own - untied).mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(rows["std"], (own - untied).std(axis=0, ddof=1), atol=1e-9)


def test_the_interval_is_that_of_patients_drawn_by_hand(table):
    row = table.query("spec == 'baseline' and set == 'near' and quantity == 'tpr_difference'").iloc[0]
    frames = [predictions(kind, "baseline", draw, fold) for kind in SHIFTS for draw in (0, 1) for fold in FOLDS]
    near = [frame[frame["set"] == "near"] for frame in frames]
    above = np.array([frame["logit"] > 0 for frame in near]).reshape(2, 4, 150, 2)  # tied and untied, models, patients
    ill, group = (near[0][name].to_numpy().reshape(150, 2) for name in ("y", "a_age"))
    rng, found = np.random.default_rng(5), []
    for _ in range(1000):
        chosen = rng.integers(150, size=150)  # with both of their images
        tpr = [above[:, :, chosen][:, :, (ill == 1)[chosen] & (group == g)[chosen]].mean(axis=2) for g in (0, 1)]
        tied, untied = (tpr[1] - tpr[0]).mean(axis=1)
        found.append(tied - untied)
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.02)


def test_a_planted_shift_is_found_and_a_smaller_one_is_closer(table):
    changes = table.query("quantity == 'tpr_difference' and set == 'near'").set_index("spec")["difference"]
    assert changes["baseline"] > changes["swift"] > 0


def test_methods_stand_in_the_order_of_the_main_table(table):
    assert list(table["spec"].unique()) == ["baseline", "swift", "afr"]


def test_only_the_task_itself_shows_it(results):
    names = {item.name for item in artefacts(results)}
    other = {item.name for item in artefacts(results.other("tied.toml:untied=True"))}
    assert "untied" in names - other


def test_files_say_what_is_left_out_and_predictions_that_cannot_be_read_are_counted(results, tmp_path):
    predictions_file(tmp_path, results.cells[-1].cell.identity).unlink()
    made = untied_table.files(dataclasses.replace(results))  # without the predictions that it keeps
    text = str(made["md"])
    assert "Means over draws 0 and 1 of the tie" in text
    assert "Left out, without cells of tie and control: draw 2." in text
    assert "Left out, because their predictions cannot be read: 1 model of ties and controls." in text
    assert "With fewer models than the 4 of others: SWiFT; the CSV has their numbers." in text
    assert {"pdf", "png", "csv"} == task_figures.distance(results).keys()
    assert len(pd.read_csv(io.StringIO(str(made["csv"])))) == 3 * 2 * 4
