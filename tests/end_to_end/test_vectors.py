"""`bench prepare --features`: images become vectors, on which the methods of the head run."""

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from sklearn.linear_model import LogisticRegression

from bench.data.task_data import open_data
from bench.settings import Settings

DECAY = 0.1
RIDGE = (
    f"llft:prediction=plain,alpha=0,head_dropout=0,initial=zero,lr=0.05,halve_every=0,patience=0,weight_decay={DECAY}"
)
"""Ridge logistic regression on the external set: the loss of LLFT without its constraint, dropout and class weights."""


@pytest.fixture(scope="module")
def embedded(new_place):
    place = new_place("embedded")
    place.prepared = place.bench("prepare", "tiny.toml", "--features", "small", "--out", "vectors.parquet")
    place.ran = place.bench("run", "--task", "vectors.toml", "--methods", f"all,{RIDGE},max_epochs=3000")
    return place


def test_head_only_methods_run_and_the_others_say_why_not(embedded):
    assert embedded.told(embedded.prepared.stdout) == snapshot("""\
440 vectors of 128 numbers, by small with random weights
vectors.parquet
vectors.toml
""")
    assert embedded.ended(embedded.ran.stdout) == {"done": 6, "cells": 6, "computed": 6, "recomputed": 0}
    assert [line for line in embedded.ran.stderr.splitlines() if "not defined" in line] == snapshot(
        [
            "left out: fullft_rw is not defined for vector: it changes the extractor and the statistics, and a vector has no network",
            "left out: fullft_reg is not defined for vector: it changes the extractor and the statistics, and a vector has no network",
            "left out: fullft_fdr is not defined for vector: it changes the extractor and the statistics, and a vector has no network",
            "left out: diff_gda is not defined for vector: it changes the extractor and the statistics, and a vector has no network",
            "left out: fair_prune is not defined for vector: it changes the extractor, and a vector has no network",
            "left out: diff_prune is not defined for vector: it changes the extractor, and a vector has no network",
            "left out: bmft is not defined for vector: it changes the extractor and the statistics, and a vector has no network",
            "left out: swift is not defined for vector: it changes the extractor and the statistics, and a vector has no network",
            "left out: swift:apply=update is not defined for vector: it changes the extractor and the statistics, and a vector has no network",
        ]
    )
    assert "SYNTHETIC" in embedded.ran.stderr


def test_logits_are_those_of_a_logistic_regression_on_the_same_vectors(embedded):
    where = embedded.folder
    data = open_data(Settings(str(where / "vectors.toml"), where / "results", where / "cache", where))
    vectors = pd.read_parquet(where / "vectors.parquet")
    x = np.column_stack(
        [np.stack(list(vectors["vector"])), np.ones(len(vectors))]
    )  # the last is the bias, which decays too
    row = pd.Series(range(len(vectors)), index="embeddings:vectors/" + vectors["id"])
    (folder,) = (where / "results/cells/tiny-small/vector").glob("llft+*")
    for fold in (0, 1):
        external = data.split("external", fold)
        model = LogisticRegression(C=1 / (DECAY * len(external)), fit_intercept=False, tol=1e-10, max_iter=10_000)
        model.fit(x[row[external["uid"]]], external["y"])
        found = pd.read_parquet(folder / f"f{fold}-s0.parquet")
        np.testing.assert_allclose(found["logit"], model.decision_function(x[row[found["image_id"]]]), atol=2e-4)


@pytest.mark.slow
def test_the_report_has_a_dash_and_a_reason_for_the_others(embedded):
    embedded.bench("report", "--task", "vectors.toml", "--only", "main")
    text = (embedded.folder / "reports/tiny-small/main.md").read_text()
    assert [line for line in text.splitlines() if "Not defined" in line] == snapshot(
        [
            "- – Not defined on vector: FullFT-RW, FullFT-Reg, FullFT-FDR, DiffGda, BMFT and SWiFT: it changes the extractor and the statistics, and a vector has no network.",
            "- – Not defined on vector: FairPrune and DiffPrune: it changes the extractor, and a vector has no network.",
        ]
    )
    assert "| SWiFT | – |" in text


def test_the_same_vectors_are_written_again_and_a_task_is_never_overwritten(embedded):
    before = pd.read_parquet(embedded.folder / "vectors.parquet")
    task = embedded.folder / "vectors.toml"
    task.write_text(task.read_text() + "# mine\n")
    embedded.bench("prepare", "tiny.toml", "--features", "small", "--out", "vectors.npz")
    assert task.read_text().endswith("# mine\n")
    with np.load(embedded.folder / "vectors.npz") as arrays:
        assert np.array_equal(arrays["vector"], np.stack(list(before["vector"])))
        assert arrays["id"].tolist() == before["id"].tolist()
