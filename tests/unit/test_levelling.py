"""Gaps that shrank because the better group got worse; cells scored by metrics of more than one version."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inline_snapshot import snapshot

from bench.report.numbers.aggregate import Results, collect
from bench.report.numbers.levelling import levelled_down
from bench.report.tables import main_table
from bench.report.words.notes import reading
from bench.score.definitions import METRICS, VERSION
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


def flagged(results: Results) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in results.rows:
        if row.levelled_down:
            found.setdefault(row.metric, []).append(row.label)
    return found


def judged(gap: list[float], before: list[float], fares: list, fared: list) -> bool:
    return levelled_down(np.array(gap), np.array(before), np.array(fares, dtype=float), np.array(fared, dtype=float))


@pytest.mark.parametrize(
    ("gap", "fares", "expected"),
    [
        (0.1, (0.8, 0.7), True),  # the better group lost, the worse one stayed
        (0.05, (0.7, 0.65), True),  # both lost
        (0.1, (0.8, 0.7004), True),  # gained nothing that a table would show
        (0.09, (0.8, 0.71), False),  # the worse group gained: one pays for the other
        (0.1, (0.9, 0.8), False),  # levelled up
        (0.1, (0.8996, 0.7), False),  # lost nothing that a table would show
        (0.2, (0.8, 0.6), False),  # the gap is as it was
        (0.3, (0.8, 0.5), False),
    ],
)
def test_the_rule_on_one_fold(gap: float, fares: tuple[float, float], expected: bool) -> None:
    assert judged([gap], [0.2], [fares], [(0.9, 0.7)]) is expected
    assert judged([gap], [0.2], [fares[::-1]], [(0.7, 0.9)]) is expected, "whichever group is the better one"


def test_changes_are_paired_by_fold_and_averaged() -> None:
    fared = [(0.9, 0.7), (0.8, 0.6)]
    assert judged([0.1, 0.1], [0.2, 0.2], [(0.8, 0.72), (0.8, 0.58)], fared), "the worse group stays on average"
    assert not judged([0.1, 0.1], [0.2, 0.2], [(0.8, 0.72), (0.8, 0.6)], fared)
    assert judged([0.1, np.nan], [0.2, 0.2], [(0.8, 0.7), (0.1, 0.9)], fared), "a fold without a gap is left out"
    assert not judged([np.nan], [0.2], [(0.8, 0.7)], [(0.9, 0.7)])


def test_more_groups_are_judged_by_the_best_and_the_worst_of_baseline() -> None:
    fared = [(0.7, 0.9, 0.8)]
    assert judged([0.1], [0.2], [(0.7, 0.85, 0.95)], fared)
    assert not judged([0.1], [0.2], [(0.75, 0.85, 0.7)], fared)


def test_without_a_better_group_nothing_is_levelled_down() -> None:
    assert not judged([0.1], [0.2], [(0.7, 0.7)], [(0.8, 0.8)])


def test_each_gap_is_judged_by_what_it_is_a_gap_of() -> None:
    base = (group(0.8, 0.2, 0.9, 0.1, (0.8, 0.2)), group(0.6, 0.3, 0.8, 0.3, (0.6, 0.2)))
    # A: TPR falls with younger, FPR falls as much: in balanced accuracy no loss. The AUC of the better group falls.
    a = (group(0.7, 0.1, 0.85, 0.2, (0.7, 0.2)), group(0.6, 0.2, 0.8, 0.3, (0.6, 0.2)))
    cells = [cell("baseline", fold, *base, eodds_tuned_threshold=0.1, gap_calibration_error=0.2) for fold in range(3)]
    cells += [cell("a", fold, *a, eodds_tuned_threshold=0.05, gap_calibration_error=0.1) for fold in range(3)]
    found = flagged(collect(cells, [], INFO))
    assert found == {name: ["A"] for name in ("eopp", "gap_auc", "eodds_tuned_threshold", "gap_calibration_error")}


def levelling() -> list[Record]:
    base, worse = (group(0.8, 0.2), group(0.6, 0.3)), (group(0.7, 0.2), group(0.6, 0.3))
    cells = [cell("baseline", fold, *base) for fold in range(3)]
    return cells + [cell("a", fold, *worse) for fold in range(3)]


def test_it_is_told_by_a_column_a_sign_and_a_sentence() -> None:
    results = collect(levelling(), [], INFO)
    lines = list(csv.DictReader(io.StringIO(main_table.csv(results))))
    assert [line["metric"] for line in lines if line["levelled_down"] == "True"] == ["eodds", "eopp"]
    assert "0.100 ± 0.000**§ |" in main_table.files(results)["md"]
    assert r"0.100}{\scriptsize$\pm$0.000}$^\S$" in main_table.latex(results)
    note = next(line for line in reading(results) if line.startswith("§ Levelled down"))
    assert note == snapshot(
        "§ Levelled down: the gap is smaller than Baseline's, but in balanced accuracy the group that was better off lost and the other gained nothing, in the mean over folds: A (near EOdds)."
    )
    assert "§" not in main_table.files(collect(levelling()[:3], [], INFO))["md"]


def test_a_degenerate_or_suppressed_row_is_not_judged() -> None:
    cells = levelling()
    cells[-1] = changed(cells[-1], scores={"near": {"degenerate": True}})
    assert "eodds" not in flagged(collect(cells, [], INFO))
    assert flagged(collect(levelling(), [], replace(INFO, min_cell=51))) == {}


def test_of_a_metric_that_is_defined_anew_older_values_are_left_out_and_named() -> None:
    base = group(0.8, 0.2)
    cells = [cell("baseline", fold, base, base, min_tpr=0.7, auc=0.6 + fold) for fold in range(3)]
    cells[2] = changed(cells[2], metrics_version=1)
    results = collect(cells, [], INFO)
    (row,) = results.column("small", "near", "min_tpr")
    assert (row.values[0], row.n, row.mean) == (0.7, 2, 0.7)
    assert np.isnan(row.values[2])
    assert results.column("small", "near", "auc")[0].n == 3, "what is defined as ever is tabulated"
    (note,) = [line for line in reading(results) if "version of the metrics" in line]
    assert note == snapshot(
        "Scored by another version of the metrics and left out of Min TPR, Max ECE, Gap ECE, SPD, tuned threshold, EOdds, tuned threshold and Min TPR, tuned threshold: Baseline (fold 2). `bench metrics --recompute --task demo` brings it up to date."
    )
    assert all(METRICS[name].title in note for name in METRICS if METRICS[name].version > 1)
    assert "EOdds max" not in note
    cells = [changed(item, metrics_version=1) for item in cells]
    assert ": every cell. " in "\n".join(reading(collect(cells, [], INFO)))


def test_cells_of_today_need_no_such_note() -> None:
    assert not [line for line in reading(collect(levelling(), [], INFO)) if "version of the metrics" in line]


def test_one_class_at_half_does_not_exclude_a_gap_at_the_tuned_threshold() -> None:
    base = group(0.8, 0.2)
    cells = [cell("baseline", f, base, base, degenerate=f == 0) for f in range(2)]
    cells += [cell("a", f, base, base, degenerate_tuned_threshold=f == 0) for f in range(2)]
    rows = {(row.label, row.metric): row.excluded for row in collect(cells, [], INFO).rows if row.set == "near"}
    assert [rows["Baseline", name] for name in ("eodds", "eodds_tuned_threshold")] == ["degenerate", ""]
    assert [rows["A", name] for name in ("eodds", "eodds_tuned_threshold")] == ["", "degenerate"]


@needs_latex
def test_the_sign_compiles(tmp_path: Path) -> None:
    (tmp_path / "main.tex").write_text(main_table.latex(collect(levelling(), [], INFO)))
    compile_tables([tmp_path / "main.tex"], tmp_path)
