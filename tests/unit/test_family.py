"""The primary family of a task: which differences belong to it, how they are tested, and how they are said."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.cells.predictions import Scored
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.patient_intervals import over_patients, planned
from bench.reporting.numbers.redraws import bootstrap_patients, enough, spec_of
from bench.reporting.words.conclusions import change, findings
from bench.scoring.bootstrap import Interval, Sample, interval, redrawn
from bench.scoring.gaps import behind_rates, gap_difference, gap_of, gap_rates
from bench.scoring.statistics import holm
from bench.seeds import seed_of
from tests.factory import Record
from tests.prose import sentences_with
from tests.unit.test_patients import CELLS, INFO, METHODS, bootstrapped, predictions, rows, stored


def by_hand(name: str, metric: str, draws: int) -> dict[str, Interval]:
    """The intervals of both methods, from the means over folds on the same patients."""
    frame = predictions("good", 0)
    near = frame[frame["set"] == name]
    sample = Sample(near["y"].to_numpy(), near["a"].to_numpy(), near["cluster"].to_numpy(), 2)
    read = gap_rates(metric) if metric == "eodds" else lambda model: [model.auc]
    means = {}
    for method in METHODS:
        models = [predictions(method, fold) for fold in range(3)]
        logits = [model.loc[model["set"] == name, "logit"].to_numpy() for model in models]
        seed = seed_of("bootstrap", INFO.name, name)
        means[method] = redrawn(sample, logits, read, seed, draws=draws).mean(axis=0)
    if metric == "auc":
        return {method: interval(means[method][0] - means["baseline"][0]) for method in ("good", "same")}
    gaps = {method: gap_of(one, metric, behind_rates(sample, metric)) for method, one in means.items()}
    return {method: gap_difference(gaps[method], gaps["baseline"]) for method in ("good", "same")}


def test_the_family_is_the_gap_and_the_auc_of_every_method_on_every_test_set() -> None:
    results = bootstrapped()
    planned_rows = {(row.set, row.metric, row.spec) for row in planned(collect(CELLS, [], INFO))}
    assert planned_rows == set(itertools.product(INFO.ood, ("eodds", "auc"), ("good", "same")))
    # 20 bootstrap samples of each of 8 claims at the level .05.
    draws = 20 * 8 * 20
    assert (results.family.size, results.family.draws) == (8, {"near": draws, "far": draws})
    found = {(name, metric): by_hand(name, metric, draws) for name in INFO.ood for metric in ("eodds", "auc")}
    places = [(*place, method) for place, items in found.items() for method in items]
    adjusted = dict(zip(places, holm([item.p for items in found.values() for item in items.values()]), strict=True))
    for (name, metric, method), p in adjusted.items():
        row, item = rows(results, metric, name)[method], found[name, metric][method]
        assert (row.ci_low, row.ci_high, row.p, row.error, row.draws) == item
        assert (row.p_holm, row.supported) == (p, p < 0.05)
        assert row.ci_low < row.difference < row.ci_high
    assert rows(results)["good"].supported
    assert not rows(results)["same"].supported


def test_only_the_family_has_an_adjusted_p() -> None:
    results = bootstrapped()
    assert {row.metric for row in results.rows if row.supported} == {"eodds", "auc"}
    spd = rows(results, "spd")["good"]
    assert (spd.draws, math.isnan(spd.p_holm), spd.supported) == (2000, True, False)
    assert math.isfinite(spd.p)
    base = rows(results)["baseline"]
    assert (base.draws, math.isnan(base.ci_low)) == (0, True)
    assert rows(results, "eopp")["good"].draws == 0, "only the columns of the table are bootstrapped"
    assert rows(results, "eodds", "val")["good"].draws == 0, "the validation set is no test"
    part = bootstrapped(info=dataclasses.replace(INFO, part="an ablation"))
    assert not any(row.supported or math.isfinite(row.p_holm) for row in part.rows)
    assert math.isfinite(rows(part)["good"].ci_low)


def test_what_cannot_be_tested_counts_in_the_family() -> None:
    def read(item: Record) -> pd.DataFrame:
        if item.cell.spec == "same":
            raise FileNotFoundError
        return stored(item)

    every, some = bootstrapped(), bootstrapped(read)
    assert some.family.size == every.family.size == 8
    first = min((row for row in some.rows if not math.isnan(row.p_holm)), key=lambda row: row.p)
    assert first.p_holm == pytest.approx(8 * first.p)
    assert math.isnan(rows(some)["same"].p_holm)


def test_predictions_of_one_fold_can_be_supported() -> None:
    cells = [item for item in CELLS if item.cell.fold == 0]
    results = collect(cells, [], INFO)

    def scored(item: Record) -> Scored:
        frame = stored(item)
        return Scored(frame.drop(columns="logit"), frame["logit"].to_numpy())

    claims, family = len(planned(results)), {spec_of(item) for item in cells}
    tested = over_patients(results, bootstrap_patients(cells, INFO, scored, family=family, claims=claims))
    row = rows(tested)["good"]
    assert row.supported
    assert (row.same_sign, row.pairs, math.isnan(row.trained_low)) == (1, 1, True)


def test_enough_samples_are_drawn_for_the_first_step_of_holm_and_for_every_part_of_a_gap() -> None:
    assert [enough(claims, 2) for claims in (1, 40, 100)] == [2000, 16_000, 40_000]
    assert enough(40, 10) == 32_000


def test_the_gap_of_baseline_is_bounded_where_it_cannot_be_told_from_0() -> None:
    results = bootstrapped()
    place = ("small", "near", "eodds")
    known = results.leaning[place]
    unsure = dataclasses.replace(known, own=known.own._replace(low=0.0, distinct=False), opposed=True)
    text = findings(dataclasses.replace(results, leaning={**results.leaning, place: unsure}))
    assert sentences_with("\n".join(text), "distinguishable") == snapshot(
        ["near: Baseline's EOdds, 0.258, is not distinguishable from 0; up to 0.314 remains possible."]
    )
    assert sentences_with("\n".join(text), "favour") == snapshot(
        ["The folds of Baseline favour different groups, which makes smaller gaps hard to find: EOdds on near."]
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "Good (−0.100; 3 of 3 models)"),
        ({"trained_low": -0.2, "trained_high": 0.1}, "Good (−0.100; 3 of 3 models; other trainings may not show it)"),
        ({"trained_low": -0.2, "trained_high": -0.1}, "Good (−0.100; 3 of 3 models)"),
        ({"same_sign": 1, "pairs": 1}, "Good (−0.100)"),
    ],
)
def test_a_difference_is_said_with_what_other_trainings_show(changes: dict[str, Any], says: str) -> None:
    row = dataclasses.replace(rows(bootstrapped())["good"], difference=-0.1, same_sign=3, pairs=3)
    assert change(dataclasses.replace(row, **changes)) == says
