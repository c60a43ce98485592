"""Claims of the paper are judged over patients, as every other table, where predictions are there."""

import io
from dataclasses import replace
from math import isnan

import numpy as np
import pandas as pd
import pytest

from bench import taskfile
from bench.cells.identity import cells_folder
from bench.cells.predictions import Scored
from bench.reporting.numbers.claim_intervals import Drawn
from bench.reporting.numbers.claim_tests import Claim
from bench.reporting.numbers.claims import CLAIMS, findings
from bench.reporting.task_results import TaskResults
from bench.scoring.bootstrap import interval, redrawn
from bench.scoring.gaps import behind_rates, gap_difference, gap_of, gap_rates
from bench.scoring.statistics import LEVEL, interval_over_folds
from tests.factory import changed
from tests.simulate.gap_claims import FAIR, GAPS
from tests.simulate.world import World
from tests.unit.test_claims import LOWER, place
from tests.unit.test_paper import cells, table, task_results

FOLDS, DRAWS = 3, 400
AUC = replace(LOWER, metrics=("auc",))


@pytest.fixture(scope="module")
def models() -> tuple[Drawn, dict[str, dict[str, np.ndarray]]]:
    """Three models with an EOdds of 0, .15 and .31 on 120 patients, and their samples by metric, (folds, k, B)."""
    rng, world = np.random.default_rng(3), World(120, folds=FOLDS)
    sample = world.sample(rng)
    logits, _ = world.models(rng, sample, [FAIR, GAPS[0.15], GAPS[0.31]])
    read = {"eodds": gap_rates("eodds"), "auc": lambda model: [model.auc]}
    every = {
        name: {metric: redrawn(sample, list(own), reader, 5, draws=DRAWS) for metric, reader in read.items()}
        for name, own in zip(("none", "some", "much"), logits, strict=True)
    }
    samples = {
        name: {metric: {(fold, 0): values[fold] for fold in range(FOLDS)} for metric, values in one.items()}
        for name, one in every.items()
    }
    return Drawn(samples, {"eodds": behind_rates(sample, "eodds")}, "lesions"), every


def of(claim: Claim, models: Drawn | None, metric: str = "eodds", **values: list[float]):
    here = replace(place(metric, **values), drawn=models)
    (item,) = findings(replace(claim, metrics=(metric,)), [here])
    return item


ROWS = {"none": [0.05, 0.06, 0.05], "some": [0.15, 0.16, 0.14], "much": [0.3, 0.31, 0.32]}


def test_a_gap_is_compared_as_in_the_main_table(models) -> None:
    found, every = models
    item = of(replace(LOWER, first=("none",), second=("much",)), found, **ROWS)
    one, other = (
        gap_of(every[name]["eodds"].mean(axis=0), "eodds", found.behind["eodds"]) for name in ("none", "much")
    )
    assert (item.low, item.high) == pytest.approx(gap_difference(one, other)[:2])
    assert (item.over, item.verdict, item.n) == ("lesions", "holds", 3)
    assert item.estimate == pytest.approx(np.mean(ROWS["none"]) - np.mean(ROWS["much"]))


def test_a_mean_of_rows_is_one_side(models) -> None:
    found, every = models
    item = of(replace(LOWER, first=("none", "some"), second=("much",)), found, "auc", **ROWS)
    auc = {name: one["auc"][:, 0].mean(axis=0) for name, one in every.items()}
    assert (item.low, item.high) == pytest.approx(interval((auc["none"] + auc["some"]) / 2 - auc["much"])[:2])
    gap = of(replace(LOWER, first=("none", "some"), second=("much",)), found, **ROWS)
    mean = (every["none"]["eodds"] + every["some"]["eodds"]).mean(axis=0) / 2
    sides = (gap_of(one, "eodds", found.behind["eodds"]) for one in (mean, every["much"]["eodds"].mean(axis=0)))
    assert (gap.low, gap.high) == pytest.approx(gap_difference(*sides)[:2])


def test_a_slope_is_a_weighted_sum(models) -> None:
    found, every = models
    names = {"external*0.2": "none", "external*0.6": "some", "swift": "much"}
    renamed = replace(found, models={new: found.models[old] for new, old in names.items()})
    claim = replace(LOWER, test="trend", first=tuple(names), second=())
    item = of(claim, renamed, "auc", **{new: ROWS[old] for new, old in names.items()})
    curves = np.array([every[old]["auc"][:, 0].mean(axis=0) for old in names.values()])
    slopes = np.polyfit([0.2, 0.6, 1.0], curves, 1)[0]
    assert (item.low, item.high) == pytest.approx(interval(slopes)[:2])
    expected = np.polyfit([0.2, 0.6, 1.0], [np.mean(ROWS[old]) for old in names.values()], 1)[0]
    assert item.estimate == pytest.approx(expected)


def test_being_behind_one_of_several_is_judged_at_a_smaller_level(models) -> None:
    found, _ = models
    weights = {"much": 1.0, "some": -1.0}
    usual, strict = (found.interval(weights, "auc", range(FOLDS), level) for level in (LEVEL, LEVEL / 8))
    assert strict[0] < usual[0] < usual[1] < strict[1]
    item = of(replace(LOWER, test="each", first=("much",), second=("none", "some")), found, **ROWS)
    assert (item.verdict, item.why.partition(":")[0]) == ("does not hold", "Much against None")


def test_a_row_without_predictions_is_judged_over_folds(models) -> None:
    found, _ = models
    for models_left, values in (
        ({name: one for name, one in found.models.items() if name != "much"}, ROWS),
        (found.models, {**ROWS, "much": [*ROWS["much"], 0.3], "none": [*ROWS["none"], 0.05]}),  # a fold more
    ):
        item = of(replace(LOWER, first=("none",), second=("much",)), replace(found, models=models_left), **values)
        differences = [one - other for one, other in zip(values["none"], values["much"], strict=True)]
        assert item.over == "folds"
        assert (item.low, item.high) == pytest.approx(interval_over_folds(differences, 5))


def test_what_is_undefined_in_many_samples_has_no_interval(models) -> None:
    found, _ = models
    holes = {fold: np.where(np.arange(DRAWS) < 40, np.nan, one) for fold, one in found.models["none"]["auc"].items()}
    lacking = replace(found, models={**found.models, "none": {"auc": holes}})
    item = of(replace(AUC, first=("none",), second=("much",)), lacking, "auc", **ROWS)
    assert (item.verdict, item.why, item.over) == (
        "cannot be told",
        "undefined in too many bootstrap samples",
        "lesions",
    )
    assert isnan(item.low)


def test_what_no_patient_has_a_part_in_is_over_folds(models) -> None:
    found, _ = models
    item = of(replace(LOWER, test="spread", first=("none",), second=("much",)), found, **ROWS)
    assert item.over == "folds"
    counted = of(replace(LOWER, test="share", first=("none",), second=(), limit=0.1), found, **ROWS)
    assert (counted.over, counted.low, counted.high) == ("", 0.05, 0.06)


def stored(item):
    """Two images of each of 60 patients; Baseline's scores lie higher in the second group."""
    parts = []
    for at, name in enumerate(item.scores):
        rng = np.random.default_rng(at)
        y, a = np.repeat(rng.random((2, 60)) < 0.4, 2, axis=1).astype("int8")
        own = np.random.default_rng((at, item.cell.fold)).normal(size=120) * 0.1
        logit = 2.0 * y - 1 + (1.5 * a if item.cell.spec == "baseline" else 0) + rng.normal(size=120) + own
        ids = [f"{name}-{number:03d}" for number in range(120)]
        columns = {"set": name, "image_id": ids, "y": y, "a": a, "cluster": np.arange(120) // 2, "logit": logit}
        parts.append(pd.DataFrame(columns))
    frame = pd.concat(parts, ignore_index=True)
    return Scored(frame.drop(columns="logit"), frame["logit"].to_numpy())


def test_the_table_says_what_its_intervals_are_over() -> None:
    found = cells("phantom-cxr-age", "baseline", "swift", folds=3)
    root = task_results("phantom-cxr-age", found)
    vars(root)["scored"] = stored
    made = table("claims", root)
    read = pd.read_csv(io.StringIO(made["csv"]), keep_default_na=False).set_index("claim")
    line = read.loc["less-bias"]
    assert set(line["over"]) == {"patients"}
    assert set(line[line["metric"] == "eodds"]["verdict"]) <= {"holds", "cannot be told"}
    assert {claim.key for claim in CLAIMS if claim.test == "spread"} == {"pruning-varies"}
    assert " | patients | " in made["md"]
    assert "the column over names it" in made["md"]


@pytest.mark.filterwarnings("ignore::pandas.errors.PerformanceWarning")
def test_a_variant_is_paired_with_its_task(tmp_path) -> None:
    known: dict = {}
    root = task_results("phantom-cxr-age", cells("phantom-cxr-age", "baseline", "swift", folds=3), known)
    settings = replace(root.settings, results=tmp_path)
    spec = taskfile.vary("phantom-cxr-age", "epochs", int(0.5 * root.task.recipe.epochs))
    task = taskfile.resolve(spec)
    cells_folder(tmp_path, task.name).mkdir(parents=True)
    found = [changed(item, task=task.name) for item in root.cells if item.cell.spec == "swift"]
    info = replace(root.info, name=task.name)
    root = known["phantom-cxr-age"] = replace(root, settings=settings)
    known[spec] = TaskResults(settings, task, info, found, [], known=known)
    for one in known.values():
        vars(one)["scored"] = stored
    read = pd.read_csv(io.StringIO(table("claims", root)["csv"]), keep_default_na=False).set_index(["claim", "metric"])
    half, whole = (read.loc[(claim, "auc")] for claim in ("early", "better-auc"))
    assert set(half["over"]) == {"patients"}
    assert half[["set", "low", "high"]].to_numpy().tolist() == whole[["set", "low", "high"]].to_numpy().tolist()
    part = next(iter(root.bootstrapped.sets.values()))
    assert part.same_images(part)
    assert not part.same_images(replace(part, sample=replace(part.sample, y=1 - part.sample.y)))
