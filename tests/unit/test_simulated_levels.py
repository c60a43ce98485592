"""Marks of levelling down and intervals over folds and patients: the short form of `make simulate`."""

import pytest

from tests.simulate.gap_claims import FAIR
from tests.simulate.levels import CASES, share
from tests.simulate.other_training import auc, eodds
from tests.simulate.world import Kind, World

RUNS = 150
ERROR = 3 * (0.05 * 0.95 / RUNS) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_only_what_is_levelled_down_is_marked(case: str) -> None:
    found = share(case, World(300), RUNS)
    if case.startswith("levelled down"):
        assert found >= 0.6
    else:
        assert found <= (0 if "shifted" in case else 0.05 + ERROR)


@pytest.mark.slow
@pytest.mark.parametrize("between", [0.03, 0.2])
def test_intervals_over_folds_and_patients_cover_other_trainings(between: float) -> None:
    found = auc(300, 5, between, RUNS)
    assert found.both >= 0.92 - ERROR
    assert found.width_both > found.width_patients


@pytest.mark.slow
def test_intervals_of_gaps_over_folds_and_patients_cover_other_trainings() -> None:
    kind = Kind(lean=0.4)
    assert eodds(World(300), [kind, kind], RUNS).both >= 0.92 - ERROR
    assert eodds(World(300), [kind, Kind(shift=-1.65, lean=0.4)], RUNS).both >= 0.92 - ERROR


def test_folds_drawn_together_with_patients_widen_an_interval() -> None:
    found = auc(100, 5, 0.4, 4)
    assert found.width_both > 1.5 * found.width_patients
    assert eodds(World(100, folds=4), [FAIR, FAIR], 2).width_both > 0
