"""Metrics against fairlearn, scikit-learn and counting, over any table: groups and classes may be missing.

Wherever a rate has images, all agree. Where it has none, fairlearn takes 0 for it; here it is NaN, by design.
"""

import math
import warnings

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    equalized_odds_difference,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bench.scoring.metrics import evaluate
from tests.unit import slow

NAMES = ("g0", "g1", "g2", "g3", "g4")
# Logits of few values tie often, some exactly at the threshold.
ROW = st.tuples(st.one_of(st.integers(-2, 2).map(float), st.floats(-5, 5)), st.integers(0, 1))
RATES = {"selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}


@st.composite
def tables(draw):
    """Logits, labels, groups and their number; in every second table a group or a class of it may be absent."""
    count = draw(st.integers(2, 5))
    # One row would be no column to fairlearn.
    rows = draw(st.lists(st.tuples(ROW, st.integers(0, count - 1)), min_size=2, max_size=40))
    if draw(st.booleans()):
        rows += [((draw(ROW)[0], label), g) for g in range(count) for label in (0, 1)]
    logit, y, a = zip(*((z, c, g) for (z, c), g in rows), strict=True)
    return np.array(logit), np.array(y), np.array(a), count


def near(expected):
    return pytest.approx(expected, abs=1e-12, nan_ok=True)


def groups_of(logit, y, a, count):
    """(logits of the group, its labels) for each of `count` groups."""
    return [(logit[a == g], y[a == g]) for g in range(count)]


@given(tables())
def test_as_counting(table):
    logit, y, a, count = table
    scores, groups = evaluate(logit, y, a, NAMES[:count]), groups_of(*table)
    selection = [slow.rate(z) for z, _ in groups]
    tpr, fpr = ([slow.rate(z[c == label]) for z, c in groups] for label in (1, 0))
    aucs = [slow.auc(z, c) for z, c in groups]
    for name, found in zip(NAMES, zip(selection, tpr, fpr, aucs, strict=True), strict=False):
        assert [scores["groups"][name][key] for key in ("selection_rate", "tpr", "fpr", "auc")] == near(list(found))
    gap_tpr, gap_fpr = slow.gap(tpr), slow.gap(fpr)
    defined = [auc for auc in aucs if not math.isnan(auc)]
    expected = {
        "auc": slow.auc(logit, y),
        "spd": slow.gap(selection),
        "eodds": (gap_tpr + gap_fpr) / 2,
        "eodds_max": max(gap_tpr, gap_fpr) + 0 * (gap_tpr + gap_fpr),  # NaN where one of them is
        "eodds_sum": gap_tpr + gap_fpr,
        "eodds_signed": abs(tpr[0] - tpr[1] + fpr[0] - fpr[1]) / 2 if count == 2 else slow.NAN,
        "eopp": gap_tpr,
        "tpr_gap": tpr[0] - tpr[1] if count == 2 else slow.NAN,
        "fpr_gap": fpr[0] - fpr[1] if count == 2 else slow.NAN,
        "min_auc": min(defined, default=slow.NAN),
        "gap_auc": max(defined) - min(defined) if len(defined) > 1 else slow.NAN,
    }
    assert {name: scores[name] for name in expected} == near(expected)


@given(tables())
def test_rates_as_fairlearn_where_they_have_images(table):
    logit, y, a, count = table
    scores = evaluate(logit, y, a, NAMES[:count])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rates without images
        frame = MetricFrame(metrics=RATES, y_true=y, y_pred=(logit > 0).astype(int), sensitive_features=a).by_group
    for g in range(count):
        found, images = scores["groups"][NAMES[g]], {"selection_rate": a == g}
        images |= {"tpr": (a == g) & (y == 1), "fpr": (a == g) & (y == 0)}
        for rate, rows in images.items():
            if rows.any():
                assert found[rate] == near(frame.loc[g, rate])
            else:
                assert math.isnan(found[rate])
                assert g not in frame.index or frame.loc[g, rate] == 0


@given(tables())
def test_gaps_as_fairlearn_where_every_rate_has_images(table):
    logit, y, a, count = table
    scores, predicted = evaluate(logit, y, a, NAMES[:count]), (logit > 0).astype(int)
    if all(len(z) for z, _ in groups_of(*table)):
        assert scores["spd"] == near(demographic_parity_difference(y, predicted, sensitive_features=a))
    else:
        assert math.isnan(scores["spd"])
    whole = all(len(set(c)) == 2 for _, c in groups_of(*table))
    for name, rule in (("eodds_max", "worst_case"), ("eodds", "mean")):
        if whole:
            assert scores[name] == near(equalized_odds_difference(y, predicted, sensitive_features=a, agg=rule))
        else:
            assert math.isnan(scores[name])


@given(tables())
def test_areas_as_scikit_learn_where_both_classes_are_there(table):
    logit, y, a, count = table
    scores = evaluate(logit, y, a, NAMES[:count])
    found = [scores["auc"], *(scores["groups"][name]["auc"] for name in NAMES[:count])]
    for auc, (z, c) in zip(found, [(logit, y), *groups_of(*table)], strict=True):
        assert auc == near(roc_auc_score(c, z) if len(set(c)) == 2 else slow.NAN)
