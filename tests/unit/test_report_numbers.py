"""Numbers of a report from fabricated cells: means, spreads, marks, cost, and what must not be taken together."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from inline_snapshot import snapshot

from bench.cells.record import decode
from bench.errors import BenchError
from bench.files import to_json
from bench.reporting.numbers import frames
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.answer import answer
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.render.table import Column, Table, markdown
from bench.reporting.tables import main_table
from bench.reporting.words.conclusions import findings
from bench.reporting.words.notes import reading
from bench.scoring.definitions import METRICS
from tests import factory
from tests.factory import Record, changed
from tests.prose import sentences_with
from tests.unit.as_tested import as_tested
from tests.unit.report_cells import INFO, cell, constant, failure, marks, scores, table


def test_a_frame_has_one_row_per_cell_set_and_metric() -> None:
    frame = frames.by_fold(collect([cell("A", 0), cell("Baseline", 0)], [], INFO))
    assert len(frame) == 2 * (3 * len(METRICS) + 1)
    assert frame["label"].unique().tolist() == ["Baseline", "A"]
    assert frame[(frame["set"] == "far") & (frame["metric"] == "spd")]["value"].tolist() == [0.2, 0.2]


def test_marks_follow_the_direction_and_ties_share_them() -> None:
    cells = table(
        {
            "Baseline": constant(auc=0.8004, eodds=0.1, spd=0.3),
            "A": constant(auc=0.7996, eodds=0.3, spd=0.1),
            "B": constant(auc=0.79, eodds=0.2, spd=0.2),
            "C": constant(auc=0.7, eodds=0.2, spd=0.2),
        }
    )
    results = collect(cells, [], INFO)
    assert marks(results, "auc") == {"Baseline": "best", "A": "best", "B": "second", "C": ""}
    assert marks(results, "eodds") == {"Baseline": "best", "A": "", "B": "second", "C": "second"}
    assert marks(results, "spd") == {"Baseline": "", "A": "best", "B": "second", "C": "second"}
    assert set(marks(results, "auc", "val").values()) == {""}
    assert set(marks(results, "tpr_gap").values()) == {""}


def test_a_row_on_its_own_is_not_the_best() -> None:
    assert set(marks(collect([cell("A", 0)], [], INFO), "auc").values()) == {""}


def test_mean_std_and_n_are_those_of_the_folds() -> None:
    aucs = [0.60, 0.62, 0.58, 0.61, 0.59]
    row = collect(table({"A": [scores(auc=auc) for auc in aucs]}), [], INFO).column("small", "near", "auc")[0]
    assert (row.mean, row.std, row.n) == (pytest.approx(0.6), pytest.approx(0.0158113883), 5)
    assert markdown(Table([Column("AUC")], [[main_table.entry(row)]])).endswith("\n| 0.600 ± 0.016 |")


def test_a_degenerate_fold_takes_the_row_out_of_the_gaps() -> None:
    cells = table(
        {"Baseline": constant(eodds=0.2), "A": constant(eodds=0.1), "B": [*constant(4, eodds=0), scores(True, eodds=0)]}
    )
    results = collect(cells, [], INFO)
    assert marks(results, "eodds") == {"Baseline": "second", "A": "best", "B": ""}
    assert marks(results, "auc")["B"] == "best"
    row = results.column("small", "near", "eodds")[-1]
    assert (row.excluded, row.compared) == ("degenerate", False)
    assert sentences_with(reading(results), "near") == snapshot(
        [
            "near: 200 images (younger: 60 healthy, 40 ill; older: 75 healthy, 25 ill).",
            "† Gaps not ranked and not compared, nearly every image predicted as the same class; a small gap there means nothing: B (near 1 of 5 folds).",
        ]
    )
    assert "| 0.000 ± 0.000† |" in main_table.files(results)["md"]
    assert sentences_with(findings(as_tested(results))[-2:], "EOdds") == snapshot(
        [
            "near: No difference in EOdds is supported.",
            "Not tested on EOdds: B †.",
            "far: No difference in EOdds is supported.",
        ]
    )


def test_missing_folds_take_the_row_out_of_the_gaps_and_are_named() -> None:
    cells = table({"Baseline": constant(eodds=0.2), "A": constant(eodds=0.15), "B": constant(3, eodds=0.1, auc=0.9)})
    results = collect(cells, [failure("B", 3), failure("A", 0)], INFO)
    assert marks(results, "eodds") == {"Baseline": "second", "A": "best", "B": ""}
    assert marks(results, "auc") == {"Baseline": "second", "A": "second", "B": "best"}
    notes = "\n".join(reading(results))
    assert sentences_with(notes, "near", "far") == snapshot(
        ["‡ Gaps not ranked and not compared, fewer folds than other rows: B (near 3, far 3, val 3 of 5 folds)."]
    )
    assert "Missing: B 3 of 5 folds." in notes
    assert sentences_with(notes, "NonFinite") == snapshot(["Failed: B, fold 3: NonFinite (why: in the results)"])
    assert "layer_3" not in "".join(notes), "a message may name an image"
    assert "second line" not in notes
    assert "Failed: A" not in notes  # a later attempt made it good
    assert [row[-1] for row in main_table.block(results, "small", ("near",)).rows if row[0] == "B"] == [3]


def test_undefined_values_print_as_a_dash() -> None:
    cells = table({"Baseline": constant(eodds=math.nan), "A": constant(eodds=math.nan)})
    cells[0] = changed(cells[0], scores={"val": {"eodds": None}})
    results = collect([decode(to_json(item), Record) for item in cells], [], INFO)
    undefined = main_table.entry(results.column("small", "near", "eodds")[0])
    assert markdown(Table([Column("EOdds")], [[undefined]])).endswith("\n| – |")
    assert sentences_with(findings(as_tested(results))[-2:], "EOdds") == snapshot(
        ["near: Not tested on EOdds: A.", "far: No difference in EOdds is supported."]
    )


def test_all_rows_with_the_same_missing_folds() -> None:
    cells = table({"Baseline": constant(2, eodds=0.2), "A": constant(2, eodds=0.1)})
    results = collect(cells, [], dataclasses.replace(INFO, folds=5))
    assert reading(results)[0] == snapshot("mean ± std over 2 folds (ddof 1).")
    assert sentences_with(reading(results), "Missing") == snapshot(["Missing: every row has 2 of 5 folds."])
    assert marks(results, "eodds")["A"] == "best"


def test_seeds_are_averaged_within_a_fold() -> None:
    cells = [
        cell("A", fold, seed, near=scores(auc=0.7 + 0.1 * seed + 0.01 * fold)) for fold in range(2) for seed in (0, 1)
    ]
    results = collect(cells, [], INFO)
    row = results.column("small", "near", "auc")[0]
    assert row.values == pytest.approx({0: 0.75, 1: 0.76})
    assert row.n == 2
    assert reading(results)[0] == snapshot(
        "mean ± std over 2 folds (ddof 1). Values of 2 seeds are averaged within a fold."
    )


def test_cost_is_epochs_of_full_fine_tuning() -> None:
    cells = [cell("A", 0), changed(cell("B", 0), data={"external": (0, "external")})]
    results = collect(cells, [], INFO)
    assert [row.mean for row in results.costs("small")] == pytest.approx([2.0, math.nan], nan_ok=True)
    lines = markdown(main_table.block(results, "small", ("near",))).splitlines()
    assert [line.split(" | ")[-2] for line in lines[2:]] == ["2.0", "–"]


def test_sizes_say_what_one_image_weighs() -> None:
    notes = "\n".join(reading(collect([cell("A", 0)], [], INFO)))
    assert sentences_with(notes, "near") == snapshot(
        ["near: 200 images (younger: 60 healthy, 40 ill; older: 75 healthy, 25 ill)."]
    )
    assert sentences_with(notes, "4.0") == snapshot(
        [
            "In the smallest stratum (older, ill) one image moves a rate by 4.0 points.",
            "In the smallest stratum (older, ill) one image moves a rate by 4.0 points.",
            "In the smallest stratum (older, ill) one image moves a rate by 4.0 points.",
        ]
    )
    few = cell("A", 0, far=scores(groups=factory.WIDE | {"older": (5, 0)}))
    assert sentences_with(reading(collect([few], [], INFO)), "There") == snapshot(
        ["There is no image of older, ill: its rate, and the gaps made of it, are undefined."]
    )


def test_images_that_cannot_be_read_are_counted_by_set() -> None:
    cells = [
        changed(
            cell("Baseline", 0),
            left_out={"source": {"FILE_CORRUPT": 1}, "far": {"FILE_CORRUPT": 2, "LABEL_NOT_LISTED": 3}},
        ),
        cell("A", 0),
    ]
    assert reading(collect(cells, [], INFO))[-2:] == snapshot(
        [
            "Left out of source: the file cannot be read: 1.",
            "Left out of far: the file cannot be read: 2; the value of the label is in no list of the task: 3.",
        ]
    )
    assert not any("left out" in note for note in reading(collect(cells[1:], [], INFO)))


def test_variants_and_equal_titles_are_told_apart() -> None:
    cells = [cell("A", 0), cell("A:mask=hard", 0)]
    assert [row.label for row in collect(cells, [], INFO).costs("small")] == ["A", "A (mask hard)"]
    cells[1] = changed(cells[1], method="z", spec="z")
    assert [row.label for row in collect(cells, [], INFO).costs("small")] == ["A [a]", "A [z]"]


def test_what_must_not_stand_in_one_table() -> None:
    def refused(match: str, *cells: dict[str, Any], info: TaskInfo = INFO) -> None:
        with pytest.raises(BenchError, match=match):
            collect(cells, [], info)

    real = changed(cell("A", 0), synthetic=False)
    refused("no results of demo: `bench run --task demo --methods all` makes them")
    refused("real and synthetic: the two are never in one table", cell("Baseline", 0), real)
    refused("never in one table", real)
    refused("never in one table", cell("A", 0), info=dataclasses.replace(INFO, synthetic=False))
    refused("two results", cell("A", 0), cell("A", 0))
    other = changed(cell("A", 1), data={"near": (200, "other")})
    refused("different images of near", cell("A", 0), other)
    fewer = cell("A", 1, far=scores(groups=factory.WIDE | {"older": (75, 24)}))
    refused("different images of far", cell("A", 0), fewer)
    elsewhere = changed(cell("A", 0), task="other")
    refused("other", elsewhere)
    refused("no out-of-distribution set", cell("A", 0), info=dataclasses.replace(INFO, ood=()))


@pytest.mark.parametrize(
    ("share", "excluded"), [(0.0, True), (0.009, True), (0.011, False), (0.5, False), (0.995, True)]
)
def test_predictions_that_are_nearly_constant_are_not_compared(share: float, excluded: bool) -> None:
    def groups(positive: float) -> dict[str, dict[str, float]]:
        rates = {"selection_rate": positive, "selection_rate_tuned_threshold": 0.5}
        return {name: {"negatives": 400, "positives": 100, **rates} for name in ("younger", "older")}

    cells = table(
        {"Baseline": [scores(groups=groups(0.5))] * 2, "A": [scores(groups=groups(share)), scores(groups=groups(0.5))]}
    )
    results = collect(cells, [], INFO)
    for metric, expected in (("eodds", excluded), ("eodds_tuned_threshold", False), ("auc", False)):
        row = results.column("small", "near", metric)[-1]
        assert (row.excluded == "degenerate", row.compared) == (expected, not expected)


def test_a_method_is_compared_on_the_seeds_that_baseline_has_too() -> None:
    """On seed 0 the gap of A is .05 less than Baseline's; against Baseline's mean over seeds it would be .05 more."""
    by_seed = {0: 0.3, 1: 0.1, 2: 0.2}
    cells = [
        *(cell("Baseline", fold, seed, near=scores(eodds=gap)) for fold in range(2) for seed, gap in by_seed.items()),
        *(cell("A", fold, 0, near=scores(eodds=0.25)) for fold in range(2)),
        *(cell("B", fold, seed, near=scores(eodds=0.1)) for fold in range(2) for seed in (0, 1, 2, 7)),
    ]
    results = collect(cells, [], INFO)
    _, alone, more = results.column("small", "near", "eodds")
    assert (alone.difference, alone.same_sign, alone.pairs) == (pytest.approx(-0.05), 2, 2)
    assert (more.difference, more.same_sign, more.pairs) == (pytest.approx(-0.1), 4, 6)
    assert sentences_with(reading(results), "Compared with") == snapshot(
        [
            "Compared with Baseline on the seeds that both have: A without seeds 1 and 2 of Baseline; B without seed 7 of its own."
        ]
    )


def test_a_method_that_changed_nothing_says_so() -> None:
    cells = table({"Baseline": constant(2, eodds=0.2), "A": constant(2, eodds=0.2), "B": constant(2, eodds=0.1)})
    results = collect(cells, [], INFO)
    assert sentences_with(reading(results), "Changed nothing") == snapshot(
        ["Changed nothing, the gap and AUC of every model are Baseline's: A (near and far) and B (far)."]
    )
    lines = {line.label: line for line in answer(results, cells)[0].lines}
    assert (lines["A"].why, lines["A"].gap_change) == ("changed nothing", None)
    assert (lines["B"].why, lines["B"].gap_change is None) == ("", False)
