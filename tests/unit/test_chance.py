"""A classifier whose AUC cannot be told from .5 is not ranked."""

from dataclasses import replace

import pytest

from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.patient_intervals import not_above_chance
from tests.unit.page_cells import INFO, TITLES, cells


def judged(**low):
    """The gaps on the test set near, with the lower end of the interval of the AUC of each row."""
    results = collect(cells(), [], INFO)
    ends = {("small", "near", name.lower()): (low.get(name.lower(), 0.6), 0.9) for name in TITLES}
    return {
        row.spec: row for row in not_above_chance(replace(results, auc_intervals=ends)).column("small", "near", "eodds")
    }


def test_a_method_near_chance_is_not_ranked_and_the_next_is_best():
    assert judged()["gamma"].mark == "best"
    found = judged(gamma=0.5)
    assert (found["gamma"].excluded, found["gamma"].mark, found["gamma"].compared) == ("chance", "", False)
    assert found["alpha"].mark == "best"


@pytest.mark.parametrize(("low", "excluded"), [(0.5, "chance"), (0.501, "")])
def test_where_baseline_is_near_chance_no_gap_is_ranked(low, excluded):
    found = judged(baseline=low)
    assert {row.excluded for row in found.values()} == {excluded}
    assert any(row.mark for row in found.values()) == (not excluded)
