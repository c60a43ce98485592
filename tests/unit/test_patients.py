"""Reports of cells whose predictions name patients: intervals, what is said of the best row, and what is left out."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

from bench.cells.identity import Cell, predictions_file
from bench.cells.predictions import Scored, write_predictions
from bench.report.artefacts import artefacts
from bench.report.numbers.aggregate import collect
from bench.report.numbers.patient_intervals import bootstrap_patients, over_patients
from bench.report.numbers.task_info import TaskInfo
from bench.report.render.text import md
from bench.report.reports import write
from bench.report.tables import main_table
from bench.report.words.conclusions import findings
from bench.report.words.notes import reading
from bench.score.bootstrap import Sample, interval, replicates
from bench.score.metrics import evaluate
from bench.score.statistics import holm
from bench.seeds import seed_of
from tests.factory import Record, record, task_info
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with, sentences_with
from tests.unit.fabricated import task_results

INFO = task_info("phantom-cxr-age", synthetic=False)
METHODS = {"baseline": 1.0, "good": 0.1, "same": 0.97}
"""How far positives and negatives of the older lie too high."""


def predictions(method: str, fold: int, images: int = 400) -> pd.DataFrame:
    """Two images of each patient on every set; models of one fold differ by little but their shift."""
    parts = []
    for place, name in enumerate(("near", "far", "val")):
        rng = np.random.default_rng((place, 0))
        y, a = np.repeat(rng.random((2, images // 2)) < 0.4, 2, axis=1).astype("int8")
        noise = rng.normal(size=images) + 0.05 * np.random.default_rng((place, fold, len(method))).normal(size=images)
        logit = 2.0 * y - 1 + METHODS[method] * a + noise
        ids = [f"{name}-{number:04d}" for number in range(images)]
        columns = {"set": name, "image_id": ids, "y": y, "a": a, "logit": logit, "cluster": np.arange(images) // 2}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def cell(method: str, fold: int) -> Record:
    frame = predictions(method, fold)
    scores = {
        str(name): evaluate(*(part[column].to_numpy() for column in ("logit", "y", "a")), INFO.group_names)
        for name, part in frame.groupby("set")
    }
    row = 1 + list(METHODS).index(method)
    return record(method, fold, task=INFO.name, row=row, synthetic=False, scores=scores)


CELLS = [cell(method, fold) for method in METHODS for fold in range(3)]


def stored(item: Record) -> pd.DataFrame:
    return predictions(item.cell.spec, item.cell.fold)


def bootstrapped(read: Any = stored, info: TaskInfo = INFO) -> Any:
    def scored(item: Record) -> Scored:
        frame = read(item)
        return Scored(frame.drop(columns="logit").reset_index(drop=True), frame["logit"].to_numpy())

    return over_patients(collect(CELLS, [], info), bootstrap_patients(CELLS, info, scored))


def rows(results: Any, metric: str = "eodds", name: str = "near") -> dict[str, Any]:
    return {row.spec: row for row in results.column("small", name, metric)}


def test_intervals_are_those_of_the_mean_difference_over_folds() -> None:
    found = rows(bootstrapped())
    frame = predictions("good", 0)
    near = frame[frame["set"] == "near"]
    sample = Sample(near["y"].to_numpy(), near["a"].to_numpy(), near["cluster"].to_numpy(), 2)
    seed = seed_of("bootstrap", INFO.name, "near")
    by_hand = {}
    for method in ("good", "same"):
        draws = []
        for fold in range(3):
            models = [predictions(name, fold) for name in (method, "baseline")]
            logits = [model.loc[model["set"] == "near", "logit"].to_numpy() for model in models]
            method_values, base_values = replicates(sample, logits, ("eodds",), seed)[:, 0]
            draws.append(method_values - base_values)
        by_hand[method] = interval(np.mean(draws, axis=0))
    adjusted = holm([item.p for item in by_hand.values()])
    for (method, item), p in zip(by_hand.items(), adjusted, strict=True):
        row = found[method]
        assert (row.ci_low, row.ci_high, row.p_patients) == (item.low, item.high, item.p)
        assert (row.error_patients, row.draws, row.p_patients_holm) == (item.error, 2000, p)
        assert row.ci_low < row.difference < row.ci_high
    assert found["good"].significant_patients
    assert not found["same"].significant_patients
    assert (found["baseline"].draws, math.isnan(found["baseline"].ci_low)) == (0, True)
    assert rows(bootstrapped(), "eopp")["good"].draws == 0, "only the columns of the table are bootstrapped"
    assert rows(bootstrapped(), "eodds", "val")["good"].draws == 0, "the validation set is no test"


def test_the_order_of_stored_images_and_how_patients_are_numbered_do_not_matter() -> None:
    def shuffled(item: Record) -> pd.DataFrame:
        return stored(item).sample(frac=1, random_state=item.cell.fold)

    assert main_table.csv(bootstrapped(shuffled)) == main_table.csv(bootstrapped())


def test_files_have_a_table_of_intervals_and_say_what_they_cover(tmp_path) -> None:
    for item in CELLS:
        known = item.cell
        file = predictions_file(tmp_path, Cell(INFO.name, "small", known.spec, known.fold, 0))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_predictions(file, stored(item).rename(columns={"a": "a_age"}))
    given = task_results(CELLS, [], INFO, tmp_path)
    write(given, tmp_path / "report", [item for item in artefacts(given) if item.name == "main"])
    page, text = ((tmp_path / "report" / f"main.{kind}").read_text() for kind in ("md", "tex"))
    row = rows(bootstrapped())["good"]
    shown = f"{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]*"
    block = page.partition("## Differences to Baseline over patients")[2].partition("## How to read")[0]
    assert md(shown) in block
    assert "### near" in block
    assert "| Baseline" not in block
    assert shown in text
    assert r"\label{tab:phantom-cxr-age-patients}" in text
    covered = [line for content in (page, text) for line in lines_with(content, "near 400", "far 400")]
    assert covered == snapshot(
        [
            "Over patients: 2000 bootstrap samples of the patients of a set, each with all images (near 400 images of 200 patients, far 400 images of 200 patients), the same for every method and fold; 95 % percentile intervals of the mean difference to Baseline over folds, not adjusted; p two-sided, adjusted by Holm within each column, level 0.05. The intervals cover other patients of the same hospital with the trained models as they are. They do not cover another training, which the folds test, or another hospital. Gaps have no sign: near 0 the bootstrap enlarges them, and intervals are biased upwards.",
            "{\\sloppy Over patients: 2000 bootstrap samples of the patients of a set, each with all images (near 400 images of 200 patients, far 400 images of 200 patients), the same for every method and fold; 95 \\% percentile intervals of the mean difference to Baseline over folds, not adjusted; p two-sided, adjusted by Holm within each column, level 0.05. The intervals cover other patients of the same hospital with the trained models as they are. They do not cover another training, which the folds test, or another hospital. Gaps have no sign: near 0 the bootstrap enlarges them, and intervals are biased upwards.\\par}",
        ]
    )
    lines = list(csv.DictReader(io.StringIO((tmp_path / "report" / "main.csv").read_text())))
    line = next(item for item in lines if (item["spec"], item["set"], item["metric"]) == ("good", "near", "eodds"))
    assert (float(line["ci_low"]), float(line["p_patients_holm"])) == (row.ci_low, row.p_patients_holm)
    assert (line["significant_patients"], line["draws"]) == ("True", "2000")


@needs_latex
def test_the_table_of_intervals_compiles(tmp_path) -> None:
    (tmp_path / "main.tex").write_text(main_table.latex(bootstrapped()))
    compile_tables([tmp_path / "main.tex"], tmp_path)


def test_what_cannot_be_bootstrapped_is_named_and_nothing_else_is_lost() -> None:
    def read(item: Record) -> pd.DataFrame:
        if item.cell.spec == "good" and item.cell.fold == 2:
            raise OSError("an input/output error")
        return stored(item)

    results = bootstrapped(read)
    assert rows(results)["good"].draws == 0
    assert rows(results)["same"].draws == 2000
    assert sentences_with(reading(results), "Good") == snapshot(
        ["No interval over patients with predictions that cannot be read: Good."]
    )

    def gone(item: Record) -> pd.DataFrame:
        if item.cell.spec == "same":
            raise FileNotFoundError if item.cell.fold else pa.ArrowInvalid("half a file")
        frame = stored(item)
        return frame.assign(y=1 - frame["y"]) if item.cell.spec == "good" else frame

    notes = "\n".join(reading(bootstrapped(gone)))
    assert lines_with(notes, "`bench") == snapshot(
        [
            "No interval over patients with predictions that cannot be read: Same. `bench run --task phantom-cxr-age --methods same --force` makes them anew.",
            "No interval over patients with predictions of other images: Good. `bench run --task phantom-cxr-age --methods good --force` makes them anew.",
        ]
    )
    assert lines_with(notes, ": Same.") == snapshot(
        [
            "No interval over patients with predictions that cannot be read: Same. `bench run --task phantom-cxr-age --methods same --force` makes them anew.",
            "No interval over patients with predictions that are not here: Same.",
        ]
    )
    assert sentences_with(notes, "Good") == snapshot(
        ["No interval over patients with predictions of other images: Good."]
    )


def test_without_the_patients_of_baseline_there_are_no_intervals() -> None:
    def read(item: Record) -> pd.DataFrame:
        if item.cell.spec == "baseline":
            raise FileNotFoundError
        return stored(item)

    results = bootstrapped(read)
    assert not any(row.draws for row in results.rows)
    assert sentences_with(reading(results), "older", "Baseline") == snapshot(
        [
            "Minimum detectable on near: with 50 images (older, ill), a TPR gap of 0.163 (at a rate of 0.876); with 96 images (older, healthy), an FPR gap of 0.160 (at a rate of 0.269); a difference to Baseline in EOdds of 0.050 over folds (median of the methods).",
            "Minimum detectable on far: with 72 images (older, ill), a TPR gap of 0.136 (at a rate of 0.896); with 108 images (older, healthy), an FPR gap of 0.169 (at a rate of 0.314); a difference to Baseline in EOdds of 0.049 over folds (median of the methods).",
        ]
    )
    assert sentences_with(reading(results), "No interval", "Baseline") == snapshot(
        ["No interval over patients with predictions that are not here: Baseline."]
    )
    assert "Differences to Baseline over patients" not in main_table.files(results)["md"]


def test_the_best_row_is_told_from_baseline_and_from_the_next_over_folds_and_patients() -> None:
    results = bootstrapped()
    best = rows(results)["good"]
    near = next(line for line in findings(results) if line.startswith("near"))
    assert f"Good ({best.mean:.3f})" in near
    assert sentences_with(near, "EOdds") == snapshot(
        [
            "near: EOdds is lower than Baseline's with Good (-0.181, p 0.009).",
            "No significant difference from Baseline on EOdds: Same.",
            "Over patients, EOdds is lower with Good.",
            "The best EOdds, Good (0.071), is significantly different over folds and over patients from Baseline.",
        ]
    )
    assert sentences_with(near, "AUC") == snapshot(
        [
            "AUC is higher than Baseline's with Good (+0.024, p 0.002).",
            "No significant difference from Baseline on AUC: Same.",
            "Over patients, AUC is higher with Good.",
            "The best AUC, Good (0.931), is significantly different over folds and over patients from Baseline, and significantly different over folds and over patients from the next best, Same (0.907).",
        ]
    )
    following = rows(results, "auc")["same"].mean
    assert f"Same ({following:.3f})" in near


@pytest.mark.parametrize(
    ("folds", "patients", "says"),
    [
        (0.01, 0.01, "significantly different over folds and over patients from Baseline"),
        (0.01, 0.2, "significantly different over folds, not over patients, from Baseline"),
        (0.2, 0.01, "significantly different over patients, not over folds, from Baseline"),
        (0.2, 0.2, "not significantly different over folds or over patients from Baseline"),
        (0.2, math.nan, "not significantly different over folds from Baseline"),
    ],
)
def test_every_way_of_being_significant_has_its_words(folds: float, patients: float, says: str) -> None:
    results = bootstrapped()
    changed = [
        dataclasses.replace(row, p_holm=folds, p_patients_holm=patients) if row.spec == "good" else row
        for row in results.rows
    ]
    text = findings(dataclasses.replace(results, rows=tuple(changed)))
    assert f"is {says}" in next(line for line in text if line.startswith("near")).partition("The best EOdds")[2]


@pytest.mark.parametrize(("patients", "left"), [(1, False), (5, True)])
def test_draws_without_an_image_of_a_group_and_class_are_counted(patients: int, left: bool) -> None:
    def read(item: Record) -> pd.DataFrame:
        frame = stored(item)
        ill = frame[(frame["set"] == "far") & (frame["a"] == 1) & (frame["y"] == 1)]
        frame.loc[ill[ill["cluster"] > ill["cluster"].unique()[patients - 1]].index, "y"] = 0
        return frame

    results = bootstrapped(read)
    row = rows(results, "eodds", "far")["good"]
    # A draw of 200 patients lacks each of so many with probability (1 - patients / 200)^200.
    assert row.draws == pytest.approx(2000 * (1 - (1 - patients / 200) ** 200), abs=70)
    assert rows(results, "auc", "far")["good"].draws == rows(results)["good"].draws == 2000
    assert math.isfinite(row.ci_low) is left
    assert f"fewest left: {row.draws} of 2000." in "\n".join(findings(results))
    assert (f"too few draws ({row.draws})" in main_table.latex(results)) is not left


def test_a_suppressed_set_has_no_interval_and_no_count_of_patients() -> None:
    info = dataclasses.replace(INFO, min_cell=70)
    few = min(
        getattr(group, kind) for group in CELLS[0].scores["near"].groups.values() for kind in ("positives", "negatives")
    )
    assert few < 70
    results = bootstrapped(info=info)
    assert "near" not in results.patients
    for metric in INFO.columns:
        assert all(row.draws == 0 and math.isnan(row.p_patients) for row in rows(results, metric).values())
    assert "near 400" not in "\n".join(findings(results))
    assert not any("Minimum detectable on near" in note for note in reading(results))


def test_the_notes_say_what_could_have_been_found() -> None:
    notes = "\n".join(reading(bootstrapped()))
    groups = CELLS[0].scores["near"].groups
    tpr = np.mean(
        [
            sum(g.true_positives for g in item.scores["near"].groups.values())
            / sum(g.positives for g in item.scores["near"].groups.values())
            for item in CELLS
            if item.cell.spec == "baseline"
        ]
    )
    few, many = sorted(groups[name].positives for name in INFO.group_names)
    least = 2.80158 * math.sqrt(tpr * (1 - tpr) * (1 / few + 1 / many))
    name = next(name for name in INFO.group_names if groups[name].positives == few)
    [smallest] = lines_with(notes, "near", "TPR", f"({name}, ill)")
    assert [part in smallest for part in (f" {few} images", f" {least:.3f} ", f" {tpr:.3f})")] == [True] * 3
    errors = [row.error_patients for row in rows(bootstrapped()).values() if row.draws]
    assert f" {2.80158 * np.median(errors):.3f} " in smallest
    assert smallest == snapshot(
        "Minimum detectable on near: with 50 images (older, ill), a TPR gap of 0.163 (at a rate of 0.876); with 96 images (older, healthy), an FPR gap of 0.160 (at a rate of 0.269); a difference to Baseline in EOdds of 0.050 over folds and 0.055 over patients (median of the methods)."
    )
