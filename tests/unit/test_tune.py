"""Selection: what is held out, which setting is taken, and that no test image is in reach."""

import dataclasses
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from sklearn.metrics import balanced_accuracy_score

from bench import registry
from bench.api import Rows
from bench.cells.identity import Cell
from bench.cells.record import Choice, decode
from bench.data.external import HOLDOUT, external_set, held_out
from bench.data.task_data import task_data
from bench.errors import BenchError, DataInvalid, DataMissing, UndeclaredSplit, UnknownName
from bench.files import write_json
from bench.running.context import CellRun
from bench.running.objective import Scores, choose, scores_of
from bench.running.plan import cell_hash, choice_file, choice_identity, describe_cell, method_specs, with_choice
from bench.running.tune import make_choice
from bench.scoring import metrics
from bench.settings import Settings
from bench.tasks import TASKS
from tests.factory import record, set_scores
from tests.prose import plain


def validation(images, seed=0):
    """A validation part of so many images of patients of one to four images."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(images), rng.integers(1, 5, images))[:images]
    a = (patients * 7 % 10 < 4).astype("int8")
    y = (rng.random(images) < 0.3 + 0.2 * a).astype("int8")
    names = {"uid": [f"d:{i:04d}" for i in range(images)], "patient": [f"p{p}" for p in patients]}
    return pd.DataFrame({**names, "source": "s", "y": y, "a": a})


@given(st.integers(200, 400), st.integers(0, 20), st.randoms(use_true_random=False))
def test_the_holdout_is_a_stratified_fifth_of_whole_patients_whatever_the_row_order(images, seed, random):
    table = validation(images, seed)
    held = held_out(table, (0, "t", 1))
    assert not set(table["patient"][held]) & set(table["patient"][~held])
    for _, rows in table.assign(held=held).groupby(["a", "y"]):
        assert rows["held"].sum() == pytest.approx(len(rows) / 5, abs=3)
    order = list(range(images))
    random.shuffle(order)
    assert set(table["uid"][held]) == set(table["uid"].iloc[order][held_out(table.iloc[order], (0, "t", 1))])


@pytest.mark.parametrize("other", [(1, "t", 1), (0, "u", 1), (0, "t", 2)])
def test_seed_task_and_fold_count(other):
    table = validation(300)
    assert (held_out(table, (0, "t", 1)) != held_out(table, other)).any()


def test_too_few_patients_to_hold_some_out():
    table = validation(300)
    with pytest.raises(DataInvalid) as error:
        held_out(table[table["patient"].isin(["p0", "p1", "p2", "p3"])], (0, "t", 1))
    assert str(error.value) == snapshot(
        "the validation part has 4 patients (or lesions), but 5 are needed for a holdout of a fifth: take fewer folds"
    )


SMALL = dataclasses.replace(
    TASKS["phantom-cxr-age"],
    name="small",
    folds=2,
    image_size=32,
    source=Rows(dataset="phantom:family=chest,hospital=source,images=240,size=32"),
    ood={"far": Rows(dataset="phantom:family=chest,hospital=ood_neutral,images=100,size=32")},
)


@pytest.fixture(scope="module")
def whole():
    return task_data(SMALL, None)


@pytest.fixture(scope="module")
def selecting():
    return task_data(SMALL, None, selecting=True)


def uids(data, name, fold):
    return list(data.split(name, fold)["uid"])


@pytest.mark.parametrize("fold", [0, 1])
def test_it_is_taken_before_the_external_set_is_cut(whole, selecting, fold):
    held, rest = uids(selecting, HOLDOUT, fold), uids(selecting, "val", fold)
    assert sorted(held + rest) == sorted(uids(whole, "val", fold))
    assert len(held) == pytest.approx(len(held + rest) / 5, abs=2)
    assert uids(selecting, "train", fold) == uids(whole, "train", fold)
    expected = external_set(selecting.split("val", fold), (0, "small", fold, "age"))
    assert uids(selecting, "external", fold) == list(expected["uid"])
    assert not set(uids(selecting, "external", fold)) & set(held)
    # Were the balancer to come first, images of the larger group would be missing from both.
    assert set(uids(whole, "external", fold)) & set(held)


def test_variants_of_a_task_hold_out_the_same_images(selecting):
    variant = task_data(dataclasses.replace(SMALL, name="small:n=10"), None, selecting=True)
    assert uids(variant, HOLDOUT, 0) == uids(selecting, HOLDOUT, 0)


# --- no test image ------------------------------------------------------------------------------


def test_a_test_set_of_another_dataset_is_not_opened(tmp_path):
    task = dataclasses.replace(SMALL, ood={"far": Rows(dataset="ham10000")})
    with pytest.raises(DataMissing):
        task_data(task, tmp_path)
    data = task_data(task, tmp_path, selecting=True)
    assert set(data.tables) == set(data.sources) == {"source"}
    assert list(data.task.ood) == [HOLDOUT]


def test_patients_of_a_test_set_stay_out_of_the_source(tmp_path):
    """The only thing that is read of test sets of the same dataset: whose images they are."""
    rows = [
        {"path": f"{i}.png", "patient": f"p{i % 40}", "site": "AB"[i >= 60], "y": i % 2, "a": i % 3 % 2}
        for i in range(70)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    for row in rows:
        (tmp_path / row["path"]).touch()
    own = "manifest:csv=t.csv,patient_column=patient"
    task = dataclasses.replace(
        SMALL,
        source=Rows(dataset=own, where={"site": ("A",)}),
        ood={"b": Rows(dataset=own, where={"site": ("B",)})},
        label=dataclasses.replace(SMALL.label, column="y", above=None),
        attribute=dataclasses.replace(SMALL.attribute, column="a", above=None),
        also={},
    )
    whole, selecting = (task_data(task, tmp_path, selecting=how) for how in (False, True))
    assert len(whole.tables["source"]) < 60
    pd.testing.assert_frame_equal(selecting.tables["source"], whole.tables["source"])
    assert "b" not in selecting.tables


def test_a_declared_test_set_is_refused():
    from bench.learn.network import build_net

    cell = Cell("small", "small", "peeks", fold=0, seed=0)
    run = CellRun(build_net("small"), SMALL.recipe, {}, frozenset({"far"}), cell)
    with pytest.raises(UndeclaredSplit) as error:
        run.split("far")
    assert str(error.value) == snapshot(
        "peeks reads the split 'far' but declares uses = {far}: add it there if the method is defined on it (only train, val and external exist)"
    )


# --- the setting that is taken ------------------------------------------------------------------


def scored(auc, eodds, balanced=0.7, degenerate=False):
    return Scores(auc, eodds, balanced, degenerate)


BASE = scored(0.80, 0.20)


@pytest.mark.parametrize(
    ("objective", "settings", "best"),
    [
        # Smallest gap of those within 0.01 of the baseline's AUC; 0.78 is too low, 0.795 is not.
        ("constrained", [scored(0.80, 0.20), scored(0.78, 0.01), scored(0.795, 0.10)], 2),
        # None is: the highest AUC, whatever its gap.
        ("constrained", [scored(0.60, 0.01), scored(0.75, 0.30), scored(0.70, 0.02)], 1),
        # Equal gaps: the higher AUC; equal AUCs too: the first.
        ("constrained", [scored(0.80, 0.10), scored(0.82, 0.10), scored(0.82, 0.10)], 1),
        ("constrained", [scored(0.70, 0.10), scored(0.70, 0.05)], 0),
        # NaN is never chosen, alone or beside others.
        ("constrained", [scored(0.80, nan), scored(nan, 0.0), scored(0.60, 0.50)], 2),
        ("constrained", [scored(0.80, nan), scored(nan, nan)], None),
        ("linear", [scored(0.90, nan), scored(0.60, 0.50)], 1),
        ("threshold", [scored(0.90, 0.0, nan), scored(0.60, 0.50)], 1),
        # One class for every image: no gap, no use.
        ("constrained", [scored(0.80, 0.20), scored(0.80, 0.0, 0.5, degenerate=True)], 0),
        # Highest balanced accuracy with a gap below 0.05; 0.05 is too much; none: all are worth 0, the higher AUC.
        ("threshold", [scored(0.80, 0.05, 0.9), scored(0.70, 0.04, 0.6), scored(0.70, 0.03, 0.65)], 2),
        ("threshold", [scored(0.70, 0.20, 0.9), scored(0.75, 0.30, 0.6)], 1),
        # 0.80 - 0.20 = 0.60, 0.75 - 0.10 = 0.65, 0.90 - 0.28 = 0.62.
        ("linear", [scored(0.80, 0.20), scored(0.75, 0.10), scored(0.90, 0.28)], 1),
        ("linear", [scored(0.75, 0.25), scored(1.0, 0.5)], 1),
    ],
)
def test_the_objective_by_hand(objective, settings, best):
    assert choose(objective, settings, BASE) == best


def test_scores_come_from_the_counts_of_both_groups():
    rng = np.random.default_rng(0)
    y, a, z = rng.integers(0, 2, 80), rng.integers(0, 2, 80), rng.normal(size=80)
    one = scores_of(set_scores(metrics.evaluate(z, y, a, ("m", "w"))))
    assert one.balanced_accuracy == pytest.approx(balanced_accuracy_score(y, z > 0))
    alone = scores_of(set_scores(metrics.evaluate(z, np.zeros(80, dtype=int), a, ("m", "w"))))
    assert not alone.defined


def trial(auc, y_true=(1, 0, 1, 0), forward=10, backward=4):
    """A record whose holdout has one image per cell; `auc` 1 or 0 ranks them right or wrong."""
    z = np.array(y_true) * 2.0 - 1
    scores = metrics.evaluate(z if auc else -z, np.array(y_true), np.array([0, 0, 1, 1]), ("m", "w"))
    cost = {"images_forward": forward, "images_backward": backward}
    return record("m", scores={HOLDOUT: scores}, cost=cost, data={HOLDOUT: (4, "s")})


def test_a_choice_counts_trials_and_images_and_names_what_was_never_chosen():
    trials = {"m": trial(0), "m:k=1": trial(1), "m:k=2": None, "m:k=3": trial(1, y_true=(0, 0, 1, 0))}
    choice = make_choice(trials, trial(1), "constrained")
    assert isinstance(choice, Choice)
    assert choice.chosen == "m:k=1"
    assert (choice.trials, choice.failed, choice.undefined) == (4, 1, 1)
    assert (choice.images_forward, choice.images_backward) == (30, 12)
    assert (choice.holdout.n, choice.holdout.sha) == (4, "s")
    assert "no baseline" in str(make_choice(trials, None, "constrained"))
    assert "no setting of 1" in str(make_choice({"m": None}, trial(1), "constrained"))


# --- the choice that is kept --------------------------------------------------------------------


def test_a_choice_holds_until_what_it_was_made_of_changes(tmp_path, whole, selecting):
    settings = Settings("small", tmp_path, tmp_path, None)
    cell = Cell("small", "small", "swift@tuned", 0, 0)
    with pytest.raises(BenchError) as error:
        with_choice(cell, whole, settings)
    assert plain(error.value, tmp_path) == snapshot(
        "nothing has been chosen for swift on fold 0, seed 0: run `bench tune --task small --methods swift --results <tmp> --cache <tmp>`"
    )
    # Written with the data of the trials, read with those of a run.
    identity = choice_identity(cell, selecting, ())
    counts = {"trials": 2, "failed": 0, "undefined": 0}
    choice = Choice(chosen="swift:epsilon=0.3", objective="linear", identity=identity, **counts)
    write_json(choice_file(settings, cell), choice)
    ready = with_choice(cell, whole, settings)
    assert decode(ready.choice.encode(), Choice) == choice
    described = describe_cell(ready, registry.METHODS.build(ready.runs))
    assert (described.method, described.spec) == ("swift", "swift@tuned")
    assert described.parameters["epsilon"] == 0.3

    other = Cell("small", "small", "swift:epsilon=0.3", 0, 0)
    assert with_choice(other, whole, settings) == other
    hashes = {cell_hash(ready, whole), cell_hash(other, whole)}
    hashes.add(cell_hash(dataclasses.replace(ready, choice=ready.choice.replace("linear", "threshold")), whole))
    assert len(hashes) == 3

    recipe = dataclasses.replace(SMALL.recipe, lr_head=SMALL.recipe.lr_head * 2)
    changed = dataclasses.replace(whole, task=dataclasses.replace(SMALL, recipe=recipe))
    with pytest.raises(BenchError) as error:
        with_choice(cell, changed, settings)
    assert plain(error.value, tmp_path) == snapshot(
        "the choice for swift on fold 0, seed 0 is stale: run `bench tune --task small --methods swift --results <tmp> --cache <tmp>` again"
    )


def test_the_spec_of_a_tuned_method():
    assert method_specs("SWiFT@tuned,swift:epsilon=0.2@tuned") == ["swift@tuned", "swift:epsilon=0.2@tuned"]
    assert Cell("t", "small", "swift@tuned", 0, 0).path == Path("t/small/swift@tuned/f0-s0")
    with pytest.raises(UnknownName) as error:
        method_specs("swfit@tuned")
    assert str(error.value) == snapshot(
        "unknown method 'swfit': did you mean swift? allowed: afr, baseline, bmft, dfr, diff_gda, diff_prune, fair_prune, fullft_fdr, fullft_reg, fullft_rw, group_dro, group_thresholds, leace, llft, oxonfair, ssd, swift"
    )
