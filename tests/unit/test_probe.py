"""What features know: the probe against scikit-learn, on planted features, and in tables."""

import dataclasses

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bench.cells.record import Numbers
from bench.checks.subject import random_net, random_split, trained_net
from bench.learn.predict import predict
from bench.learn.wrappers import GroupShift
from bench.reporting.artefacts import artefacts
from bench.reporting.numbers.known_features import by_chance, correlation
from bench.running.probe import PENALTY, Kept, features_of, fitted, probed
from bench.share.privacy import leaving
from tests.unit import sites


def test_the_probe_is_the_penalised_balanced_regression_of_scikit_learn():
    rng = np.random.default_rng(0)
    member = rng.random(300) < 0.2
    h = rng.normal(size=(300, 6)) * np.arange(1, 7) + member[:, None] * np.arange(6)
    x = (h - h.mean(axis=0)) / h.std(axis=0, ddof=1)
    theirs = LogisticRegression(C=1 / (2 * PENALTY * 300), class_weight="balanced", tol=1e-8, max_iter=1000)
    theirs.fit(x, member)
    found = fitted(torch.from_numpy(h).float(), torch.from_numpy(member))
    expected = theirs.coef_[0] / h.std(axis=0, ddof=1)
    np.testing.assert_allclose(found[:-1], expected, atol=2e-3)
    assert float(found[-1]) == pytest.approx(theirs.intercept_[0] - h.mean(axis=0) @ expected, abs=5e-3)


def planted(groups, strength, seed=0, n=400):
    """A validation and a test set whose features hold the group with a strength, and a group that is not known."""
    rng = np.random.default_rng(seed)
    kept, opened = Kept(), {}
    for name in ("val", "far"):
        a = rng.integers(0, groups, n)
        a[:5] = -1
        h = rng.normal(size=(n, 5)) + strength * np.eye(5)[a] * (a >= 0)[:, None]
        kept.parts[name] = list(torch.from_numpy(h).float().split(100))
        opened[name] = type("Set", (), {"a": torch.from_numpy(a), "__len__": lambda _, n=n: n})()
    return kept, opened


@pytest.mark.parametrize("groups", [2, 3])
def test_planted_knowledge_is_found_and_its_absence_too(groups):
    assert probed(*planted(groups, 3.0))["far"] > 0.95
    assert probed(*planted(groups, 0.0))["far"] == pytest.approx(0.5, abs=0.07)


def test_a_set_of_one_group_has_no_auc_and_a_repeated_batch_no_probe():
    kept, opened = planted(2, 3.0)
    opened["far"].a = torch.zeros(400, dtype=torch.long)
    assert np.isnan(probed(kept, opened)["far"])
    kept.parts["far"].append(kept.parts["far"][0])
    assert "far" not in probed(kept, opened)
    kept.parts["val"].append(kept.parts["val"][0])
    assert probed(kept, opened) == {}


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_features_are_those_of_the_model_and_prediction_is_as_before(wrapped):
    net, split = trained_net(), random_split("val", gap=True)
    model = GroupShift(net, torch.tensor([1.0, -1.0, 0.0])) if wrapped else net
    before = predict(model, split, grouped=wrapped)
    with features_of(model) as kept:
        kept.set = "val"
        after = predict(model, split, grouped=wrapped)
    assert torch.equal(before, after)
    images = split.images(torch.arange(len(split)), torch.zeros(len(split), dtype=torch.long))
    with torch.no_grad():
        torch.testing.assert_close(kept.of("val", len(split)), net.features(images), rtol=1e-4, atol=1e-5)
    predict(model, split, grouped=wrapped)
    assert len(kept.parts["val"]) == 1, "the hook is gone"
    with features_of(torch.nn.Linear(2, 1)) as nothing:
        assert nothing.parts == {}


def test_the_auc_is_that_of_the_scores_of_the_probe():
    net, sets = random_net(), {name: random_split(name, gap=True) for name in ("val", "test")}
    with features_of(net) as kept:
        for name, split in sets.items():
            kept.set = name
            predict(net, split)
    w = fitted(kept.of("val", 96), sets["val"].a == 1)
    score = kept.of("test", 96) @ w[:-1] + w[-1]
    assert probed(kept, sets)["test"] == pytest.approx(roc_auc_score(sets["test"].a, score))


@pytest.fixture
def site():
    """Two methods whose probes are given."""
    made, cells = sites.site("A"), []
    for item in made.cells:
        known = Numbers(dict.fromkeys(made.task.ood, 0.6 + 0.1 * (item.cell.method == "swift") + 0.01 * item.cell.fold))
        cells.append(msgspec.structs.replace(item, probe=known))
    return dataclasses.replace(made, cells=cells)


def test_the_table_has_the_means_over_folds(site):
    here = site.known_features
    first = here[here["set"] == next(iter(site.task.ood))].set_index("spec")
    assert first["probe"].to_dict() == pytest.approx({"baseline": 0.605, "swift": 0.705})
    assert first["probe_std"].tolist() == pytest.approx([0.01 / np.sqrt(2)] * 2)
    made = {item.name: item.make(site) for item in artefacts(site) if item.name.startswith("features")}
    assert "| Swift | 0.705 ± 0.007 | 0.400 |" in made["features"]["md"].decode()
    assert {"pdf", "png", "csv"} == made["features-gap"].keys()


def test_cells_of_before_have_no_probe_and_an_export_leaves_out_that_of_a_suppressed_set(site):
    assert sites.site("A").known_features.empty
    assert leaving(site.cells, site.info)[0].probe == site.cells[0].probe
    assert leaving(site.cells, dataclasses.replace(site.info, min_cell=1000))[0].probe == {}


def test_the_correlation_is_spearmans_and_what_chance_gives_is_said():
    rng = np.random.default_rng(0)
    both = pd.DataFrame(rng.random((10, 2)), columns=["probe", "gap"])
    both.loc[3, "probe"] = both.loc[4, "probe"]
    assert correlation(both) == (pytest.approx(spearmanr(both["probe"], both["gap"]).statistic), 10)
    assert np.isnan(correlation(both.head(4))[0])
    assert by_chance(10) == pytest.approx(0.632, abs=1e-3)
    drawn = rng.random((2, 20_000, 10)).argsort(axis=2).argsort(axis=2)
    r = 1 - 6 * ((drawn[0] - drawn[1]) ** 2).sum(axis=1) / 990
    assert np.mean(np.abs(r) > by_chance(10)) == pytest.approx(0.05, abs=0.01)
