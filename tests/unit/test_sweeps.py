"""Curves of an ablation from results on disk: which cells they need, and what makes those that are missing."""

from __future__ import annotations

import dataclasses
import io
import shlex
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.cells.identity import Cell, predictions_file, slug
from bench.reporting import artefacts
from bench.reporting.figures import curves, sweeps, task_figures
from bench.reporting.numbers import frames
from bench.reporting.task_results import TaskResults
from bench.running import ablate
from bench.scoring.definitions import METRICS
from bench.settings import Settings, of_task, read_settings
from bench.taskfile import resolve
from tests.factory import WIDE, Record, record, scores, task_info
from tests.prose import sentences_with

TASK = "phantom-cxr-age"
INFO = task_info(TASK, folds=5)
FEW = {**WIDE, "older": (95, 5)}


def cell(spec: str, fold: int, task: str = TASK, n: int = 350, auc: float = 0.8, **sets: Any) -> Record:
    by_set = {name: scores(sets.get(name, WIDE), value=0.3, auc=auc + fold / 100) for name in ("near", "far", "val")}
    cost = {"images_forward": 3 * n, "images_backward": 0, "parameters_changed": 1.0}
    log = {"reset_share": 0.4 + fold / 10} if spec == "swift" else {}
    return record(spec, fold, task=task, external=n, scores=by_set, cost=cost, log=log)


def task_results(place: Path, given: dict[str, list[Record]], min_cell: int = 0) -> TaskResults:
    """The results of the task and of its variants, by spec; their cells are not on disk."""
    settings = Settings(TASK, place, place / "cache", None)
    known: dict[str, TaskResults] = {}
    for spec, cells in given.items():
        task = resolve(spec)
        (place / "cells" / slug(spec)).mkdir(parents=True)
        named = dataclasses.replace(INFO, name=spec, min_cell=min_cell)
        known[spec] = TaskResults(Settings(spec, place, place / "cache", None), task, named, cells, [], known=known)
    return known.get(TASK) or TaskResults(settings, resolve(TASK), INFO, [], [])


def external(place: Path, shares: tuple[float, ...] = ablate.EXTERNAL, min_cell: int = 0, **sets: Any) -> TaskResults:
    given = {}
    for share in shares:
        task = TASK if share == 1 else f"{TASK}:external={share}"
        given[task] = [
            cell(spec, fold, task, round(350 * share), 0.8 + share / 10, **sets)
            for spec in ("baseline", "swift")
            for fold in range(3)
        ]
    return task_results(place, given, min_cell)


def entry(results: TaskResults, name: str) -> artefacts.Artefact:
    return next(item for item in artefacts.artefacts(results) if item.name == name)


def test_the_curve_of_the_external_set_has_all_its_sizes(tmp_path: Path) -> None:
    found = external(tmp_path)
    frame = sweeps.of_task(sweeps.variants(found, "external"))
    line = frame[(frame["set"] == "near") & (frame["metric"] == "auc")]
    assert set(line["spec"]) == {"swift"}
    means = line.groupby("x")["value"].mean()
    assert means.to_dict() == pytest.approx({share: 0.81 + share / 10 for share in ablate.EXTERNAL})
    assert sweeps.images(sweeps.variants(found, "external")) == {
        0.0: "0\n0",
        0.2: "0.2\n70",
        0.4: "0.4\n140",
        0.6: "0.6\n210",
        0.8: "0.8\n280",
        1.0: "1\n350",
    }
    item = entry(found, "figure-7")
    assert item.possible(found)
    assert item.count(found) == (18, 30)
    assert set(item.make(found)) == {"pdf", "png", "csv"}


def test_the_numbers_beside_a_figure_are_those_that_are_drawn(tmp_path: Path) -> None:
    found = external(tmp_path)
    read = pd.read_csv(io.BytesIO(entry(found, "figure-7").make(found)["csv"]))
    frame = sweeps.of_task(sweeps.variants(found, "external"))
    figure = curves.draw(frame, found.info, curves.Across("share"))
    assert figure is not None
    panels = list(product(("near", "far"), found.info.columns))
    assert len(read) == len(panels) * 6 * 3
    for panel, (name, metric) in zip(figure.axes, panels, strict=True):
        means = read[(read["set"] == name) & (read["metric"] == metric)].groupby("x")["value"].mean()
        assert list(means.index) == np.asarray(panel.lines[0].get_xdata()).tolist()
        assert means.tolist() == pytest.approx(np.asarray(panel.lines[0].get_ydata()).tolist(), abs=0, rel=1e-15)
    assert dict(zip(read["x"], read["images"], strict=True))[0.2] == 70


def test_what_is_suppressed_in_a_figure_is_not_in_its_numbers(tmp_path: Path) -> None:
    found = external(tmp_path, min_cell=10, val=FEW, near=FEW)
    read = pd.read_csv(io.BytesIO(entry(found, "figure-7").make(found)["csv"]))
    assert set(zip(read["set"], read["metric"], strict=True)) == {
        ("near", "auc"),
        *(("far", metric) for metric in found.info.columns),
    }
    assert read["images"].isna().all()


def test_the_figure_of_epochs_counts_images_passed(tmp_path: Path) -> None:
    """A cell passes 3 * 350 images forward and none backward, whatever the seconds of its host."""
    epochs = ablate.values(resolve(TASK), "epochs")
    given = {
        spec: [cell(method, fold, spec) for method in ("baseline", "swift") for fold in range(2)]
        for spec in (resolve(f"{TASK}:epochs={value}").name for value in epochs)
    }
    found = task_results(tmp_path, given)
    read = pd.read_csv(io.BytesIO(entry(found, "figure-4").make(found)["csv"]), keep_default_na=False)
    costs = read[read["set"] == ""]
    assert set(costs["metric"]) == {"seconds", "images", "cost"}
    assert set(costs[costs["metric"] == "images"]["value"]) == {1050.0}
    assert sorted(set(costs["x"])) == sorted(epochs)


def test_sizes_and_costs_go_with_a_small_validation_set_and_gaps_with_a_small_test_set(tmp_path: Path) -> None:
    found = external(tmp_path, min_cell=10, val=FEW, near=FEW)
    kept = sweeps.variants(found, "external")
    assert sweeps.images(kept)[0.4] == "0.4"
    frame = sweeps.of_task(kept)
    assert set(zip(frame["set"], frame["metric"], strict=True)) == {
        ("near", "auc"),
        ("val", "auc"),
        *(("far", metric) for metric in METRICS),
    }
    results = found.results
    assert frames.costs(found.tables[0].cells, results).empty
    assert task_figures.costs(found) == {}
    assert set(frames.by_fold(results).query("set == 'near'")["metric"]) == {"auc"}


def test_curves_are_not_drawn_where_everything_is_suppressed(tmp_path: Path) -> None:
    found = external(tmp_path, min_cell=1000)
    assert sweeps.of_task(sweeps.variants(found, "external")).empty
    assert task_figures.figure_7(found) == {}


def test_curves_of_a_set_with_small_groups_are_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [cell(spec, fold, near=FEW) for spec in ("baseline", "swift") for fold in range(2)]
    found = task_results(tmp_path, {TASK: cells}, min_cell=10)
    others, bare = entry(found, "roc-far").lines(found)
    assert (bare.methods, bare.settings.force) == (("baseline", "swift"), True)
    assert (len(others.methods), others.settings.force) == (9, False)
    assert entry(found, "roc-far").count(found)[0] == 0
    nothing = task_results(tmp_path / "nothing", {TASK: []})
    assert [line.settings.force for line in entry(nothing, "roc-far").lines(nothing)] == [False]
    for item in cells[:3]:
        file = predictions_file(tmp_path, Cell(TASK, "small", item.cell.spec, item.cell.fold, 0))
        file.parent.mkdir(parents=True, exist_ok=True)
        one = pd.DataFrame({"a_age": [0, 0, 1, 1], "y": [0, 1, 0, 1], "logit": [-1.0, 1.0, -2.0, -1.5]})
        one = one.assign(image_id=list("abcd"), cluster=range(4))
        pd.concat([one.assign(set="near"), one.assign(set="far")]).to_parquet(file)
    assert entry(found, "roc-far").possible(found)
    assert task_figures.roc_curves(found, "near") == {}
    assert capsys.readouterr().err == ""
    assert set(task_figures.roc_curves(found, "far")) == {"pdf", "png", "csv"}
    assert sentences_with(capsys.readouterr().err, "ROC") == snapshot(
        ["left out of the ROC curves, no predictions to read: swift f1 (FileNotFoundError)"]
    )


@pytest.mark.parametrize("field", ["epochs", "external", "reset_share"])
def test_what_is_missing_is_made_by_the_line_that_is_printed(tmp_path: Path, field: str) -> None:
    found = task_results(tmp_path, {TASK: [cell(spec, 0) for spec in ("baseline", "swift")]})
    name = {"epochs": "figure-4", "external": "figure-7", "reset_share": "figure-6"}[field]
    (line,) = entry(found, name).lines(found)
    args = cli._parser().parse_args(shlex.split(str(line))[1:])
    settings = read_settings(args)
    assert of_task(settings) == found.settings
    made = {(run.task, spec) for run in ablate.ablation(settings) for spec in run.methods.split(",")}
    if field == "reset_share":
        assert made == {(TASK, "swift"), *((TASK, f"swift:reset_share={share / 10}") for share in range(1, 10))}
    else:
        specs = [f"{TASK}:{field}={value}" for value in ablate.values(resolve(TASK), field)]
        assert made == {(resolve(spec).name, "swift") for spec in specs}
    assert entry(found, name).count(found)[0] == 1


def test_a_setting_that_is_missing_keeps_the_figure_back(tmp_path: Path) -> None:
    found = external(tmp_path, ablate.EXTERNAL[1:])
    (line,) = entry(found, "figure-7").lines(found)
    assert (line.methods, line.settings.ablate) == (("swift",), "external")


def test_the_star_stands_at_the_share_that_was_logged(tmp_path: Path) -> None:
    shares = [f"swift:reset_share={share / 10}" for share in range(1, 10)]
    cells = [cell(spec, fold) for spec in ("baseline", "swift") for fold in range(5)]
    cells += [cell(spec, fold, auc=0.7) for spec in shares for fold in range(2)]
    found = task_results(tmp_path, {TASK: cells})
    frame = sweeps.of_head(found)
    auc = frame[(frame["set"] == "near") & (frame["metric"] == "auc")]
    star, line = auc[auc["own"]], auc[~auc["own"] & (auc["spec"] == "swift")]
    # Two folds, as the line has, though five are there.
    assert dict(zip(star["x"], star["value"], strict=True)) == pytest.approx({0.4: 0.8, 0.5: 0.81})
    assert sorted(set(line["x"])) == [share / 10 for share in range(1, 10)]
    assert set(line["label"]) == {"SWiFT"}
    assert sorted(auc[auc["spec"] == "baseline"]["fold"]) == [0, 1]
    item = entry(found, "figure-6")
    assert item.possible(found)
    assert item.count(found) == (23, 50)
    assert set(item.make(found)) == {"pdf", "png", "csv"}
