"""Rows of a table are marked as levelled down where a smaller gap comes with losses in the groups and no gain."""

import pytest

from bench.cells.predictions import Scored
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.patient_intervals import over_patients, planned
from bench.reporting.numbers.redraws import bootstrap_patients, spec_of
from bench.scoring.metrics import evaluate
from tests.factory import record
from tests.unit.test_patients import INFO, predictions


def stored(method: str, fold: int):
    """Baseline, the same with a smaller gap, and that with a weaker signal in every group."""
    frame = predictions("baseline" if method == "baseline" else "good", fold)
    weaker = 1.5 * (method == "worse")
    return frame.assign(logit=frame["logit"] - weaker * (frame["y"] - 0.5))


@pytest.mark.parametrize(("method", "levelled"), [("good", False), ("worse", True)])
def test_a_smaller_gap_with_losses_in_the_groups_is_marked(method, levelled):
    cells = []
    for place, name in enumerate(("baseline", method)):
        for fold in range(3):
            scores = {
                str(part): evaluate(*(rows[column].to_numpy() for column in ("logit", "y", "a")), INFO.group_names)
                for part, rows in stored(name, fold).groupby("set")
            }
            cells.append(record(name, fold, task=INFO.name, row=place, synthetic=False, scores=scores))

    def read(item):
        frame = stored(item.cell.spec, item.cell.fold)
        return Scored(frame.drop(columns="logit").reset_index(drop=True), frame["logit"].to_numpy())

    results = collect(cells, [], INFO)
    drawn = bootstrap_patients(
        cells, INFO, read, family={spec_of(item) for item in cells}, claims=len(planned(results))
    )
    (row,) = (row for row in over_patients(results, drawn).column("small", "near", "eodds") if row.spec == method)
    assert row.difference < 0
    assert row.levelled_down is levelled
