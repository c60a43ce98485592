"""Slopes by hand, what they are held against, and the measurements that stand in the repository."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.perf import scaling, scaling_fit
from tests.perf.scaling_fit import Point, faults, slope
from tests.perf.scaling_rows import ROWS
from tests.prose import sentences_with

TEN = (1_000, 3_000, 10_000, 30_000, 100_000)
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_slope_of_a_power_is_its_exponent(power):
    # From 0, so that nothing is paid once.
    assert slope((0, *TEN), [n**power for n in (0, *TEN)]) == pytest.approx(power)


def test_what_is_paid_once_does_not_bend_a_line():
    assert slope(TEN, [5 + 0.001 * n for n in TEN]) == pytest.approx(1)


def test_only_the_last_decade_counts():
    # At 3,000 far off the line.
    assert slope(TEN, [1, 50_000, 1 + 9_000, 1 + 29_000, 1 + 99_000]) == pytest.approx(1)


def test_without_growth_there_is_no_slope():
    assert math.isnan(slope(TEN, [1, 1, 1, 1, 2]))


def test_a_slope_by_hand():
    # 100 -> 1, 1,000 -> 3, 10,000 -> 23: added 2 and 22, over 900 and 9,900.
    assert slope((100, 1_000, 10_000), [1, 3, 23]) == pytest.approx(math.log(11) / math.log(11))
    assert slope((100, 1_000, 10_000), [1, 3, 243]) == pytest.approx(math.log(121) / math.log(11))


ROW = next(row for row in ROWS if row.what == "training an epoch, and predicting")


def made(seconds, megabytes, sizes=ROW.sizes):
    return [Point(ROW.what, n, seconds(n), megabytes(n)) for n in sizes]


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (made(lambda n: 1 + n, lambda n: 90), None),
        (made(lambda n: 1 + n**1.5, lambda n: 90), "seconds grow with slope 1.45"),
        (made(lambda n: 1 + n**0.5, lambda n: 90), "seconds grow with slope 0.59"),
        (made(lambda n: 3, lambda n: 90), "seconds grow with slope nan"),
        (made(lambda n: 1 + n, lambda n: 90 + n / 2_000), "50 MB more than at 1,000 images"),
        (made(lambda n: n, lambda n: 90, ROW.sizes[:-1]), "no point at 100,000 images"),
    ],
    ids=["straight", "steeper", "less steep", "constant", "memory", "missing"],
)
def test_a_bent_line_or_a_missing_point_is_named(points, says):
    found = faults([ROW], points)
    assert len(found) == (says is not None)
    assert not found or (found[0].startswith(f"{ROW.what}: ") and says in found[0])


def test_memory_that_grows_less_than_a_straight_line_may():
    row = next(row for row in ROWS if row.megabytes == "at most straight")
    assert faults([row], [Point(row.what, n, n, 10 + n**0.5) for n in row.sizes]) == []
    assert len(faults([row], [Point(row.what, n, n, 10 + n**1.5) for n in row.sizes])) == 1


def test_the_command_measures_nothing_again_and_fails_on_a_bent_line(tmp_path, capsys):
    """On the measurements that are kept, then on the same with one line made a square."""
    kept = scaling.read(scaling.KEPT)
    scaling.write(tmp_path / "scaling.csv", kept)
    assert scaling.complete(tmp_path) == kept
    bent = [replace(one, seconds=one.n**2 / 1e6) if one.what == "scoring predictions" else one for one in kept]
    scaling.write(tmp_path / "scaling.csv", bent)
    assert scaling.main(["--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert sentences_with(told, "1.9") == snapshot(
        ["scaling: scoring predictions: seconds grow with slope 1.92, 0.8 to 1.2 is a straight line"]
    )
    assert sorted(file.name for file in tmp_path.glob("*.png")) == [
        "scaling-cells.png",
        "scaling-images.png",
        "scaling-parameters.png",
    ]


def test_the_kept_measurements_have_every_point_and_are_straight():
    kept = scaling.read(scaling.KEPT)
    assert {(one.what, one.n, one.unit) for one in kept} == {(row.what, n, row.unit) for row in ROWS for n in row.sizes}
    assert faults(ROWS, [one.point for one in kept]) == []


def test_the_page_shows_what_the_measurements_say():
    page, kept = (DOCS / "cost.md").read_text(encoding="utf-8"), scaling.read(scaling.KEPT)
    assert scaling.put(page, scaling.blocks(kept)) == page
    assert scaling_fit.table(ROWS, [one.point for one in kept]) in page
