"""Two further findings of a chest phantom: what is planted is found, and what was there before stays."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import registry
from bench.errors import DataInvalid, UsageError

SPEC = "phantom:family=chest,images=2000"
PLAIN, MORE = (registry.DATASETS.build(spec) for spec in (SPEC, f"{SPEC},findings=true"))


def log_odds(table, one, other):
    counts = pd.crosstab(table[one].astype(int), table[other].astype(int)).to_numpy() + 0.5
    return np.log(counts[0, 0] * counts[1, 1] / counts[0, 1] / counts[1, 0]), np.sqrt((1 / counts).sum())


def test_a_phantom_without_them_is_as_it_was():
    plain, more = PLAIN.table(Path()), MORE.table(Path())
    assert list(more.columns) == [*plain.columns, "effusion", "nodule"]
    same = [name for name in plain.columns if name != "path"]
    pd.testing.assert_frame_equal(plain[same], more[same])
    assert more["path"].str.partition("-effusion")[0].equals(plain["path"])
    nothing = more[(more["effusion"] == 0) & (more["nodule"] == 0)].index[0]
    assert np.array_equal(MORE.image(Path(), more["path"][nothing]), PLAIN.image(Path(), plain["path"][nothing]))


@pytest.mark.parametrize("hospital", ["source", "ood_neutral", "ood_reversed"])
def test_the_planted_ties_are_found(hospital):
    dataset = registry.DATASETS.build(f"{SPEC},findings=true,hospital={hospital}")
    table = dataset.table(Path())
    planted = {pair: odds for pair, odds in dataset.planted().items() if pair[1] == "female"}
    assert set(planted) == {("effusion", "female"), ("nodule", "female")}
    assert all((odds == 0) == (hospital != "source") for odds in planted.values())
    for (finding, attribute), odds in planted.items():
        found, error = log_odds(table, finding, attribute)
        assert abs(found - odds) < 3 * error
        assert table[finding].mean() == pytest.approx(0.3, abs=0.04)
    assert abs(log_odds(table, "effusion", "nodule")[0]) < (1.5 if hospital == "source" else 0.5)


def test_a_finding_is_seen_where_it_is():
    table = MORE.table(Path())
    path = table["path"][0]
    start = path.partition("-effusion")[0]
    none, fluid, spot = (MORE.image(Path(), f"{start}-effusion{e}-nodule{n}") for e, n in ((0, 0), (1, 0), (0, 1)))
    assert (fluid.astype(int) - none).mean() > 0.5
    assert (fluid[:20] == none[:20]).all(), "fluid is above the diaphragm"
    assert (spot.astype(int) - none).max() > 30
    assert ((spot != none).mean()) < 0.2


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="only the family chest has further findings"):
        registry.DATASETS.build("phantom:family=skin,findings=true")
    with pytest.raises(DataInvalid):
        MORE.image(Path(), "990000000/0-y0-age53.7-female1-type6-effusion1")
