"""When our number is within the spread of the published one: the sum of both standard deviations decides."""

import pytest

from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.comparison import _number
from tests.unit.report_cells import INFO, TITLES, cell, scores


@pytest.mark.parametrize(
    ("published", "verdict"),
    [(0.84, "yes"), (0.85, "yes"), (0.76, "yes"), (0.851, "no"), (0.749, "no")],
)
def test_ours_is_within_the_sum_of_both_spreads(published, verdict):
    # Five values with mean .8 and a std (ddof 1) of .02; the published std is .03.
    step = 0.02 / 2.5**0.5
    cells = [cell(title, fold, near=scores(auc=0.8 + step * (fold - 2))) for title in TITLES[:2] for fold in range(5)]
    results = collect(cells, [], INFO)
    (row,) = (row for row in results.column("small", "near", "auc") if row.label == "A")
    assert row.std == pytest.approx(0.02)
    item = {"published": published, "published_std": 0.03, "set": "chexpert", "spec": "a", "method": "A"}
    found = _number(item, "auc", row, results, set())
    assert found["verdict"] == verdict
    assert found["difference"] == pytest.approx(0.8 - published)


@pytest.mark.parametrize(
    ("spec", "shown"),
    [("a", "A"), ("a:mask=ones", "A (mask ones)"), ("a:steps=first,rate=0.3", "A (steps first, rate 0.3)")],
)
def test_a_published_number_is_labelled_by_its_own_setting(spec, shown):
    """Also where no row of ours has it."""
    results = collect([cell(title, fold) for title in TITLES[:2] for fold in range(5)], [], INFO)
    item = {"published": 0.8, "published_std": 0.03, "set": "chexpert", "spec": spec, "method": "A"}
    for row in (None, next(row for row in results.column("small", "near", "auc") if row.label == "A")):
        assert _number(item, "auc", row, results, set())["label"] == shown
