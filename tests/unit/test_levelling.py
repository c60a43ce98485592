"""Gaps that shrank because the better group got worse; cells scored by metrics of more than one version."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inline_snapshot import snapshot

from bench.reporting.numbers.aggregate import Results, collect
from bench.reporting.tables import main_table
from bench.reporting.words.notes import reading
from bench.scoring.bootstrap import Sample, redrawn
from bench.scoring.definitions import METRICS, VERSION
from bench.scoring.levelling import levelled_down, performance
from bench.scoring.metrics import evaluate
from bench.scoring.threshold import tune_threshold
from tests.factory import Record, changed, record, scores, task_info
from tests.latex import compile_tables, needs_latex

INFO = task_info(synthetic=False, ood=("near",))


def group(
    tpr: float, fpr: float, auc: float = 0.8, error: float = 0.1, tuned: tuple[float, float] = (0.5, 0.5)
) -> dict[str, float]:
    counts = {"positives": 50, "negatives": 50, "tpr": tpr, "fpr": fpr, "auc": auc, "calibration_error": error}
    return counts | {"tpr_tuned_threshold": tuned[0], "fpr_tuned_threshold": tuned[1]}


def cell(method: str, fold: int, younger: dict, older: dict, version: int = VERSION, **values: Any) -> Record:
    tpr, fpr = abs(younger["tpr"] - older["tpr"]), abs(younger["fpr"] - older["fpr"])
    made = {"eodds": (tpr + fpr) / 2, "eopp": tpr, "gap_auc": abs(younger["auc"] - older["auc"])}
    near = scores({"younger": younger, "older": older}, **{"degenerate_tuned_threshold": False} | made | values)
    row = ("baseline", "a").index(method)
    return record(method, fold, row=row, synthetic=False, scores={"near": near}, metrics_version=version)


def changes(*centers: tuple[float, float], error: float = 0.01) -> np.ndarray:
    """AUC and balanced accuracy of each group, less Baseline's, on bootstrap samples about `centers`."""
    return np.array(centers).T.reshape(-1, 1) + error * np.random.default_rng(0).normal(size=(2 * len(centers), 500))


@pytest.mark.parametrize(
    ("centers", "expected"),
    [
        ([(-0.1, -0.1), (0.0, 0.0)], True),  # one group lost, the other has what it had
        ([(-0.1, -0.1), (-0.1, -0.1)], True),  # both lost
        ([(0.0, 0.0), (-0.1, -0.1)], True),  # whichever it is
        ([(-0.1, -0.1), (0.1, 0.0)], False),  # the other gained: one pays for the other
        ([(-0.1, -0.1), (0.0, 0.1)], False),
        ([(-0.1, 0.0), (0.0, 0.0)], False),  # lost in AUC alone
        ([(0.0, -0.1), (0.0, 0.0)], False),  # lost by a threshold alone
        ([(-0.1, 0.0), (0.0, -0.1)], False),  # not the same group
        ([(-0.015, -0.015), (0.0, 0.0)], False),  # within the interval
        ([(-0.1, -0.1), (0.015, 0.015)], True),  # a gain within the interval
        ([(-0.1, -0.1), (0.0, 0.0), (0.1, 0.1)], False),  # a third group gained
        ([(0.0, 0.0), (-0.1, -0.1), (0.0, 0.0)], True),  # the middle group lost
        ([(0.1, 0.1), (0.1, 0.1)], False),
    ],
)
def test_the_rule(centers: list[tuple[float, float]], expected: bool) -> None:
    assert levelled_down(True, changes(*centers)) is expected
    assert levelled_down(False, changes(*centers)) is False, "the gap is not smaller"


def test_a_group_that_lacks_a_class_is_left_out_and_one_that_may_lack_it_decides_nothing() -> None:
    lost = changes((-0.1, -0.1), (0.0, 0.0), (0.0, 0.0))
    lost[[2, 5]] = np.nan
    assert levelled_down(True, lost)
    lost[2, 50:], lost[5, 50:] = 0.0, 0.0
    assert not levelled_down(True, lost)
    assert not levelled_down(True, np.full((4, 500), np.nan))


def world(seed: int, groups: int) -> tuple[Sample, np.ndarray]:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(90), 3)
    sample = Sample(rng.integers(2, size=270), rng.integers(groups, size=90)[patient], patient, groups)
    return sample, 1.5 * sample.y + 0.5 * sample.a + rng.normal(size=270)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shift", [-3.0, -1.0, 0.7])
@pytest.mark.parametrize("groups", [2, 3])
def test_a_shift_of_all_logits_changes_no_performance_and_is_never_marked(seed: int, shift: float, groups: int) -> None:
    sample, logit = world(seed, groups)
    tuned = [tune_threshold(logit, sample.y), 0.5]
    # The threshold of the shifted model is tuned as well, to the same cut.
    tuned[1] = 1 / (1 + math.exp(-(math.log(tuned[0] / (1 - tuned[0])) + shift)))
    before, after = redrawn(sample, [logit, logit + shift], performance, 1, scores=tuned, draws=200)
    np.testing.assert_allclose(before, after, atol=1e-12)
    assert not levelled_down(True, after - before)
    near = redrawn(sample, [logit + shift], performance, 1, scores=[tune_threshold(logit + shift, sample.y)], draws=200)
    assert not levelled_down(True, near[0] - before), "also on the grid of thresholds: no group loses AUC"


@pytest.mark.parametrize("groups", [2, 3])
def test_performance_is_that_of_the_images_of_drawn_patients(groups: int) -> None:
    sample, logit = world(3, groups)
    found = redrawn(sample, [logit], performance, 5, scores=[0.7], draws=15)[0]
    drawn = np.random.default_rng(5).integers(sample.patients, size=(15, sample.patients))
    for draw, members in enumerate(drawn):
        rows = np.concatenate([np.flatnonzero(sample.patient == member) for member in members])
        names = [f"g{g}" for g in range(groups)]
        scored = evaluate(logit[rows], sample.y[rows], sample.a[rows], names, 0.7)["groups"]
        aucs = [scored[name]["auc"] for name in names]
        at = [(scored[n]["tpr_tuned_threshold"] + 1 - scored[n]["fpr_tuned_threshold"]) / 2 for n in names]
        np.testing.assert_allclose(found[:, draw], [*aucs, *at], atol=1e-12)


def levelling(*specs: str) -> Results:
    """The table of two methods, as if `a` had been marked."""
    base, worse = (group(0.8, 0.2), group(0.6, 0.3)), (group(0.7, 0.2), group(0.6, 0.3))
    cells = [cell("baseline", fold, *base) for fold in range(3)] + [cell("a", fold, *worse) for fold in range(3)]
    results = collect(cells, [], INFO)
    marked = [
        replace(row, levelled_down=row.spec in specs and row.set == "near" and row.metric == "eodds")
        for row in results.rows
    ]
    return replace(results, rows=tuple(marked))


def test_it_is_told_by_a_column_a_sign_and_a_sentence() -> None:
    results = levelling("a")
    lines = list(csv.DictReader(io.StringIO(main_table.csv(results))))
    assert [line["metric"] for line in lines if line["levelled_down"] == "True"] == ["eodds"]
    assert "0.100 ± 0.000**§ |" in main_table.files(results)["md"]
    assert r"0.100}{\scriptsize$\pm$0.000}$^\S$" in main_table.latex(results)
    note = next(line for line in reading(results) if line.startswith("§ Levelled down"))
    assert note == snapshot(
        "§ Levelled down: the gap is smaller than Baseline's because a group lost, in AUC and in balanced accuracy at the tuned threshold, and no group gained in either, each beyond its 95 % interval over patients: A (near EOdds)."
    )
    assert "§" not in main_table.files(levelling())["md"]


def test_of_a_metric_that_is_defined_anew_older_values_are_left_out_and_named() -> None:
    base = group(0.8, 0.2)
    cells = [cell("baseline", fold, base, base, min_tpr=0.7, auc=0.6 + fold / 10) for fold in range(3)]
    cells[2] = changed(cells[2], metrics_version=1)
    results = collect(cells, [], INFO)
    (row,) = results.column("small", "near", "min_tpr")
    assert (row.values[0], row.n, row.mean) == (0.7, 2, 0.7)
    assert np.isnan(row.values[2])
    assert results.column("small", "near", "auc")[0].n == 3, "what is defined as ever is tabulated"
    (note,) = [line for line in reading(results) if "version of the metrics" in line]
    assert note == snapshot(
        "Scored by another version of the metrics and left out of Min TPR, Max ECE, Gap ECE, SPD, tuned threshold, EOdds, tuned threshold, Min TPR, tuned threshold, AUPRC, Brier, Sensitivity at 90 % specificity, Net benefit, Calibration in the large and Calibration slope: Baseline (fold 2). `bench metrics --recompute --task demo` brings it up to date."
    )
    assert all(METRICS[name].title in note for name in METRICS if METRICS[name].version > 1)
    assert "EOdds max" not in note
    cells = [changed(item, metrics_version=1) for item in cells]
    assert ": every cell. " in "\n".join(reading(collect(cells, [], INFO)))


def test_cells_of_today_need_no_such_note() -> None:
    assert not [line for line in reading(levelling()) if "version of the metrics" in line]


def test_one_class_at_half_does_not_exclude_a_gap_at_the_tuned_threshold() -> None:
    base = group(0.8, 0.2)
    cells = [cell("baseline", f, base, base, degenerate=f == 0) for f in range(2)]
    cells += [cell("a", f, base, base, degenerate_tuned_threshold=f == 0) for f in range(2)]
    rows = {(row.label, row.metric): row.excluded for row in collect(cells, [], INFO).rows if row.set == "near"}
    assert [rows["Baseline", name] for name in ("eodds", "eodds_tuned_threshold")] == ["degenerate", ""]
    assert [rows["A", name] for name in ("eodds", "eodds_tuned_threshold")] == ["", "degenerate"]


@needs_latex
def test_the_sign_compiles(tmp_path: Path) -> None:
    (tmp_path / "main.tex").write_text(main_table.latex(levelling("a")))
    compile_tables([tmp_path / "main.tex"], tmp_path)
