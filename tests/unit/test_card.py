"""The card of a model: its scores against the metrics and a bootstrap of one's own, and what it must say."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.errors import DataInvalid
from bench.models.card import About, Source, card
from bench.models.card_scores import Estimate, pooled, sets_on_card, threshold_of
from bench.models.model_config import Config
from bench.scoring.metrics import evaluate
from tests.prose import lines_with
from tests.unit.test_model_folder import FACTS, SEX, members

GROUPS = ("male", "female")


def table(seed=0, weaker=0.0, n=400):
    """Predictions on a validation part and a test set; in the second group the signal is weaker."""
    rng, i = np.random.default_rng(seed), np.arange(2 * n)
    y, a = i % 2, i // 2 % 2
    z = rng.normal(1.5 * y * (1 - weaker * a), 1).astype("float32")
    names = np.where(i < n, "val", "far")
    return pd.DataFrame(
        {"image_id": [f"i{k}" for k in i], "set": names, "cluster": i % n // 2, "y": y, "a": a, "logit": z}
    )


def test_an_ensemble_is_the_mean_on_tests_and_out_of_fold_on_validation():
    one, two = table(0), table(1)
    two.loc[two["set"] == "val", "image_id"] = "other" + two["image_id"]
    both = pooled([one, two])
    val, far = both[both["set"] == "val"], both[both["set"] == "far"]
    assert len(val) == 800
    assert val["logit"].tolist() == [*one["logit"][:400], *two["logit"][:400]]
    assert val["cluster"].nunique() == 400  # patients of two folds are two patients
    np.testing.assert_allclose(far["logit"], (one["logit"][400:] + two["logit"][400:]) / 2, rtol=1e-6)
    assert pooled([one]) is one
    accuracy = lambda t: np.mean([(val["logit"][val["y"] == 1] > t).mean(), (val["logit"][val["y"] == 0] <= t).mean()])  # noqa: E731
    p = threshold_of(both)
    best = max(accuracy(np.log(q / (1 - q))) for q in np.arange(1, 100) / 100)
    assert accuracy(np.log(p / (1 - p))) == pytest.approx(best)
    assert p != threshold_of(one)
    with pytest.raises(DataInvalid):
        pooled([one, two.assign(image_id=two["image_id"].to_numpy()[::-1])])


def test_scores_are_those_of_the_metrics_and_intervals_those_of_patients():
    own, base = table(0), table(3)
    (val, far) = sets_on_card(own, base, 0.6, GROUPS, "t")
    assert (val.name, far.name, far.n, far.patients) == ("val", "far", 400, 200)
    rows = own[own["set"] == "far"]
    scores = evaluate(*(rows[name].to_numpy() for name in ("logit", "y", "a")), GROUPS, 0.6)
    assert far.auc.value == scores["auc"]
    assert far.gap == scores["eodds_tuned_threshold"]
    name, n, positives, auc, other, tpr, fpr = far.groups[1]
    group = scores["groups"]["female"]
    assert (name, n, positives) == ("female", 200, 100)
    assert (auc.value, tpr.value, fpr.value) == tuple(
        group[k] for k in ("auc", "tpr_tuned_threshold", "fpr_tuned_threshold")
    )
    assert other != auc.value
    # A bootstrap of patients, written out.
    rng, patients = np.random.default_rng(5), dict(iter(rows[rows["a"] == 1].groupby("cluster")))
    drawn = []
    for _ in range(600):
        part = pd.concat([patients[p] for p in rng.choice(list(patients), len(patients))])
        drawn.append((part["logit"][part["y"] == 1] > np.log(0.6 / 0.4)).mean())
    assert (tpr.low, tpr.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.03)


def test_a_gap_that_closed_because_a_group_lost_is_levelled_down():
    base = table(0, weaker=0.6, n=2000)
    lost = base.assign(
        logit=np.where(
            base["a"] == 0,
            table(1, weaker=0.6, n=2000)["logit"] * 0 + np.random.default_rng(2).normal(0.45 * base["y"], 1),
            base["logit"],
        )
    )
    gained = base.assign(logit=table(0, n=2000)["logit"])
    found = {}
    for name, own in (("lost", lost), ("gained", gained), ("same", base)):
        (_, far) = sets_on_card(own, base, 0.6, GROUPS, "t")
        found[name] = (far.gap < far.base_gap, far.levelled_down)
    assert found == {"lost": (True, True), "gained": (True, False), "same": (False, False)}


ABOUT = About(
    says="Finding on films.",
    unit="patients",
    sources=[
        Source("train", "mimic_cxr", "PhysioNet 1.5.0", "Johnson 2019", "100, abc"),
        Source("far", "nih_cxr14", "free", "Wang 2017", "50, def"),
    ],
    recipe={"epochs": 2},
    parameters={"swift: mask": "soft|hard"},
    made="It is one network.",
    checked="Checked.",
    agreements=["mimic_cxr"],
)


def test_what_the_card_says():
    config = Config(**{**FACTS, "attribute": SEX, "credentialed": True, "synthetic": False}, members=members((0, 1)))
    sets = sets_on_card(table(0), table(3), 0.5, GROUPS, "t")
    text = card(config, ABOUT, sets)
    _, front, body = text.split("---\n", 2)
    values = {name: json.loads(value) for name, value in (line.split(": ", 1) for line in front.splitlines())}
    assert values["tags"] == ["medical-imaging", "bias-mitigation", "credentialed"]
    assert values["license_name"] == "PhysioNet 1.5.0; free"
    assert lines_with(body, "agreement") + lines_with(body, "needs 'sex'") == snapshot(
        [
            "**Made from data under an agreement (mimic_cxr), which each user must sign. Weights can reveal images that they were trained on: read the agreement before this folder leaves the machine.**",
            "**It needs 'sex' (male, female) of every future patient**, as a column of the table, or as model(pixels, a) with the number of the group.",
        ]
    )
    assert "SYNTHETIC" not in text
    assert lines_with(body, "soft") == ["| swift: mask | soft\\|hard |"]
    assert "**Levelled down**" not in body
    down = [one._replace(levelled_down=True, auc=Estimate(0.8, np.nan, np.nan)) for one in sets]
    assert "**Levelled down**" in card(config, ABOUT, down)
    assert lines_with(card(config, ABOUT, down), "AUC 0.800, baseline")
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(front) == values


def test_a_newline_in_a_name_makes_no_line_of_a_table():
    about = dataclasses.replace(ABOUT, parameters={"a\nb": "c\n| d"})
    config = Config(**FACTS, members=members((0, 1)))
    assert "| a b | c \\| d |" in card(config, about, [])


def test_names_on_a_card_are_text():
    """Hubs show its HTML, and terminals its controls."""
    odd = "\u202egpj.\x1b[31m<script>x</script>"
    config = Config(**{**FACTS, "task": odd, "title": odd}, members=members((0, 1)))
    about = dataclasses.replace(ABOUT, says=odd, parameters={odd: odd})
    text = card(config, about, sets_on_card(table(0), table(3), 0.5, (odd, "male"), "t"))
    assert not set(text) & {"\u202e", "\x1b"}
    assert "<" not in text.partition("---\n\n")[2]
    assert "gpj. [31m&lt;script>x" in text


def few(own):
    """The same predictions, of which 7 positives of the second group are in the test set."""
    gone = own.index[(own["set"] == "far") & (own["y"] == 1) & (own["a"] == 1)][7:]
    return own.drop(index=gone)


def test_small_groups_are_suppressed_on_the_card_and_give_no_count():
    own, base = few(table(0)), few(table(3))
    config = Config(**{**FACTS, "attribute": SEX, "credentialed": True, "synthetic": False}, members=members((0, 1)))
    val, far = sets_on_card(own, base, 0.5, GROUPS, "t", 8)
    assert (val.few, far.few, far.groups) == (0, 8, [])
    text = card(config, ABOUT, [far])
    assert lines_with(text, "far") + lines_with(text, "suppressed") == snapshot(
        [
            'model-index: [{"name": "SWiFT on t", "results": [{"task": {"type": "image-classification"}, "dataset": {"name": "t", "type": "t"}, "metrics": [{"type": "roc_auc", "name": "AUC, far", "value": 0.86}]}]}]',
            "### far (test), 307 images",
            "| far | nih_cxr14 | 50, def | free |",
            "AUC 0.860 [0.810, 0.900], baseline 0.900. Counts and scores by group are suppressed: a group and class has fewer than 8 images.",
        ]
    )
    assert "equalised_odds" not in text
    assert "| female |" not in text
    assert "7" not in text.partition("### far")[2].partition("## Data")[0].replace("307", "")
    assert sets_on_card(own, base, 0.5, GROUPS, "t", 7)[1].groups
    # Those without a group follow from the others.
    lacking = own.assign(a=own["a"].where(own.index != own.index[-1], -1))
    assert sets_on_card(lacking, base, 0.5, GROUPS, "t", 2)[1].few == 2
    # A class that is small in all groups leaves no AUC.
    rare = own[(own["set"] == "val") | (own["y"] == 0) | (own["a"] == 1)]
    assert np.isnan(sets_on_card(rare, base.loc[rare.index], 0.5, GROUPS, "t", 8)[1].auc.value)
