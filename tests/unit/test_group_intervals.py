"""Intervals of groups over patients: the mean over folds on the draws of all models, and where there are none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.cells.predictions import Scored
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.group_intervals import DRAWS, group_intervals
from bench.reporting.render.document import markdown
from bench.reporting.tables.group_table import RATES, frame, section
from bench.scoring.metrics import score_sets
from bench.seeds import seed_of
from tests.factory import record
from tests.unit.test_patients import INFO, METHODS, predictions


def cell(method, fold, seed=0):
    table = predictions(method, fold + 10 * seed)
    sets = {
        str(name): tuple(part[key].to_numpy() for key in ("logit", "y", "a")) for name, part in table.groupby("set")
    }
    row = 1 + list(METHODS).index(method)
    return record(
        method, fold, seed=seed, task=INFO.name, row=row, synthetic=False, scores=score_sets(sets, INFO.group_names)
    )


CELLS = [cell(method, fold, seed) for method in ("baseline", "good") for fold, seed in ((0, 0), (0, 1), (1, 0))]


def read(item):
    table = predictions(item.cell.spec, item.cell.fold + 10 * item.cell.seed)
    return Scored(table.drop(columns="logit").reset_index(drop=True), table["logit"].to_numpy())


@pytest.fixture(scope="module")
def found():
    return group_intervals(CELLS, INFO, read)


def weights(patients):
    """How often each patient is in each draw, (P, draws)."""
    rng = np.random.default_rng(seed_of("bootstrap", INFO.name, "near"))
    drawn = rng.integers(patients, size=(DRAWS, patients))
    return np.array([np.bincount(one, minlength=patients) for one in drawn]).T


@pytest.mark.parametrize("rate", ["brier", "tpr", "net_benefit", "fpr_tuned_threshold"])
def test_an_interval_is_that_of_the_mean_over_folds_with_seeds_averaged(found, rate):
    drawn = []
    for item in CELLS[3:]:
        table = predictions("good", item.cell.fold + 10 * item.cell.seed)
        near = table[(table["set"] == "near")].reset_index(drop=True)
        w = weights(near["cluster"].max() + 1)[near["cluster"]]
        score, y, older = 1 / (1 + np.exp(-near["logit"])), near["y"], near["a"] == 1
        tuned = item.scores["near"].metrics["tuned_threshold"]
        of, value = {
            "brier": (older, (score - y) ** 2),
            "tpr": (older & (y == 1), score > 0.5),
            "net_benefit": (older, np.where(y == 1, 1, -1 / 9) * (score > 0.1)),
            "fpr_tuned_threshold": (older & (y == 0), score > tuned),
        }[rate]
        w = w * of.to_numpy()[:, None]
        drawn.append((w * np.asarray(value, float)[:, None]).sum(axis=0) / w.sum(axis=0))
    mean = ((drawn[0] + drawn[1]) / 2 + drawn[2]) / 2
    assert found["small", "good", "near", "older", rate] == pytest.approx(np.quantile(mean, [0.025, 0.975]))


def test_every_rate_but_the_calibration_error_has_one_that_holds_its_mean(found):
    table = frame(collect(CELLS, [], INFO), CELLS, found)
    ood = table[table["role"] == "ood"]
    kept = ood[ood["rate"] != "calibration_error"]
    assert {*kept["rate"]} == {*RATES} - {"calibration_error"}
    assert ((kept["ci_low"] < kept["mean"]) & (kept["mean"] < kept["ci_high"])).all()
    assert table[table["rate"] == "calibration_error"]["ci_low"].isna().all()
    assert table[table["role"] == "val"]["ci_low"].isna().all()
    assert frame(collect(CELLS, [], INFO), CELLS)["ci_low"].isna().all()


def test_the_page_prints_them(found):
    results = collect(CELLS, [], INFO)
    table = frame(results, CELLS, found)
    text = markdown(section(results, table))
    (one,) = table[
        (table["spec"] == "good") & (table["set"] == "near") & (table["group"] == "older") & (table["rate"] == "brier")
    ].to_dict("records")
    assert f"{one['mean']:.3f} \\[{one['ci_low']:.3f}, {one['ci_high']:.3f}\\]" in text
    assert "## small, near: scores as they are" in text


def test_a_model_without_one_of_its_predictions_and_a_suppressed_set_have_none(found):
    def lacking(item):
        if item is CELLS[-1]:
            raise FileNotFoundError
        return read(item)

    some = group_intervals(CELLS, INFO, lacking)
    assert {place[1] for place in some} == {"baseline"}
    assert some == {place: ends for place, ends in found.items() if place[1] == "baseline"}
    assert group_intervals(CELLS, dataclasses.replace(INFO, min_cell=1000), read) == {}


def test_a_fold_in_which_a_score_is_undefined_is_left_out_as_in_the_mean():
    """In fold 1 the classes of the younger are apart, so that no slope is defined."""

    def apart(item):
        images, logit = read(item)
        return Scored(images, np.where(images["a"] == 0, 9.0 * images["y"] - 4, logit) if item.cell.fold else logit)

    def scored(item):
        images, logit = apart(item)
        table = images.assign(logit=logit)
        sets = {
            str(name): tuple(part[key].to_numpy() for key in ("logit", "y", "a")) for name, part in table.groupby("set")
        }
        return record(
            item.cell.spec, item.cell.fold, task=INFO.name, synthetic=False, scores=score_sets(sets, INFO.group_names)
        )

    cells = [scored(item) for item in CELLS if item.cell.seed == 0 and item.cell.spec == "baseline"]
    place = ("small", "baseline", "near", "younger", "calibration_slope")
    both, one = group_intervals(cells, INFO, apart), group_intervals(cells[:1], INFO, apart)
    assert both[place] == one[place]
    assert np.isfinite(both[place]).all()
    assert np.isnan(group_intervals(cells[1:], INFO, apart)[place]).all()
