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
from bench.reporting.artefacts import artefacts
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.patient_intervals import over_patients, planned
from bench.reporting.numbers.redraws import bootstrap_patients, spec_of
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.render.text import md, tex
from bench.reporting.reports import write
from bench.reporting.tables import main_table
from bench.reporting.words.conclusions import findings
from bench.reporting.words.notes import reading
from bench.scoring.metrics import evaluate
from tests.factory import Record, record, task_info
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with, sentences_with
from tests.unit.fabricated import task_results

INFO = task_info("phantom-cxr-age", synthetic=False)
METHODS = {"baseline": 1.0, "good": 0.1, "same": 0.97}
"""How far positives and negatives of the older lie too high."""


def predictions(method: str, fold: int, images: int = 600) -> pd.DataFrame:
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

    results = collect(CELLS, [], info)
    family, claims = {spec_of(item) for item in CELLS}, len(planned(results))
    return over_patients(results, bootstrap_patients(CELLS, info, scored, family=family, claims=claims))


def rows(results: Any, metric: str = "eodds", name: str = "near") -> dict[str, Any]:
    return {row.spec: row for row in results.column("small", name, metric)}


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
    shown = f"{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]*".replace("-", "−")
    block = page.partition("## Differences to Baseline")[2].partition("## How to read")[0]
    assert md(shown) in block
    assert "### near" in block
    assert "| Baseline" not in block
    assert tex(shown) in text
    assert r"\label{tab:phantom-cxr-age-patients}" in text
    covered = [line for content in (page, text) for line in lines_with(content, "near 600", "far 600")]
    assert covered == snapshot(
        [
            "\\* A difference is supported if a test over patients finds it at level 0.05, adjusted by Holm within one family of 8 differences that is fixed beforehand: every method of the table against Baseline, on every test set, in EOdds and in AUC. All other differences are exploratory. The test redraws the patients of a set with replacement, each with all images, 3200 times (near 600 images of 300 patients, far 600 images of 300 patients). Intervals have 95 % each and are not adjusted for their number. Gaps are compared by a lower bound of the larger one, because redrawing makes gaps too large.",
            "{\\sloppy * A difference is supported if a test over patients finds it at level 0.05, adjusted by Holm within one family of 8 differences that is fixed beforehand: every method of the table against Baseline, on every test set, in EOdds and in AUC. All other differences are exploratory. The test redraws the patients of a set with replacement, each with all images, 3200 times (near 600 images of 300 patients, far 600 images of 300 patients). Intervals have 95 \\% each and are not adjusted for their number. Gaps are compared by a lower bound of the larger one, because redrawing makes gaps too large.\\par}",
        ]
    )
    lines = list(csv.DictReader(io.StringIO((tmp_path / "report" / "main.csv").read_text())))
    line = next(item for item in lines if (item["spec"], item["set"], item["metric"]) == ("good", "near", "eodds"))
    assert (float(line["ci_low"]), float(line["p_holm"])) == (row.ci_low, row.p_holm)
    assert (line["supported"], line["draws"], line["same_sign"], line["pairs"]) == ("True", "3200", "3", "3")


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
    assert rows(results)["same"].draws == 3200
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
    assert sentences_with(reading(results), "No interval", "Baseline") == snapshot(
        ["No interval over patients with predictions that are not here: Baseline."]
    )
    assert "Differences to Baseline" not in main_table.files(results)["md"]


def test_the_findings_name_what_is_supported() -> None:
    results = bootstrapped()
    near = next(line for line in findings(results) if line.startswith("near"))
    assert sentences_with(near, "") == snapshot(
        [
            "near: Baseline's EOdds, 0.258, has the interval 0.203 to 0.314.",
            "Supported: EOdds is lower than Baseline's with Good (−0.198; 3 of 3 models).",
            "Not supported: Same.",
            "Supported: AUC is higher than Baseline's with Good (+0.035; 3 of 3 models) and Same (+0.002; 3 of 3 models).",
        ]
    )


@pytest.mark.parametrize(("patients", "others"), [(1, 0), (5, 1)])
def test_draws_without_an_image_of_a_group_and_class_are_counted(patients: int, others: int) -> None:
    def read(item: Record) -> pd.DataFrame:
        frame = stored(item)
        ill = frame[(frame["set"] == "far") & (frame["a"] == 1) & (frame["y"] == 1)]
        frame.loc[ill[ill["cluster"] > ill["cluster"].unique()[patients - 1]].index, "y"] = 0
        return frame

    results = bootstrapped(read)
    row = rows(results, "eodds", "far")["good"]
    # A draw of 300 patients lacks each of so many with probability (1 - patients / 300)^300.
    assert row.draws == pytest.approx(3200 * (1 - (1 - patients / 300) ** 300), abs=90)
    assert rows(results, "auc", "far")["good"].draws == rows(results)["good"].draws == 3200
    # With five patients enough draws are left, but all of their images are predicted alike, maybe by chance.
    assert math.isnan(row.ci_low)
    said = [one for one in results.remarks if "on far" in one and "in a group of fewer than 10 patients" in one]
    assert (len(said) > 0) or not others
    assert f"fewest left: {row.draws} of 3200." in "\n".join(findings(results))
    assert f"too few patients ({row.draws} draws)" in main_table.latex(results)


def test_a_suppressed_set_has_no_interval_and_no_count_of_patients() -> None:
    info = dataclasses.replace(INFO, min_cell=80)
    few = min(
        getattr(group, kind) for group in CELLS[0].scores["near"].groups.values() for kind in ("positives", "negatives")
    )
    assert few < 80
    results = bootstrapped(info=info)
    assert "near" not in results.patients
    for metric in INFO.columns:
        assert all(row.draws == 0 and math.isnan(row.p) for row in rows(results, metric).values())
    assert "near 600" not in "\n".join(findings(results))
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
    errors = [row.error for row in rows(bootstrapped()).values() if row.draws]
    assert f" {2.80158 * np.median(errors):.3f} " in smallest
    assert smallest == snapshot(
        "Minimum detectable on near: with 76 images (older, ill), a TPR gap of 0.118 (at a rate of 0.907); with 154 images (older, healthy), an FPR gap of 0.128 (at a rate of 0.267); a difference to Baseline in EOdds of 0.048 (median of the methods)."
    )
