"""Claims on gaps hold their level and their intervals cover: the short form of `make simulate`."""

import pytest

from tests.simulate.gap_claims import PAIRS, Setting, simulate, tables
from tests.simulate.world import World

RUNS = 250
ERROR = 3 * (0.05 * 0.95 / RUNS) ** 0.5
"""Three standard errors of a share of 5 % of the data sets."""


def cases() -> list[Setting]:
    """Return the settings in which a claim is easiest to get wrong: one of each kind."""
    wanted = (": no gap -> never positive", "100: .31 -> .31", "300: .31 -> 0", ".5 and .5", "thresholds: no gap ->")
    others = ("60: few, one fold: no gap -> never positive", "TPR .97", "250: five groups: no gap -> never positive")
    known = tables()
    few = [one for one in known.pop("Other test sets") if any(part in one.says for part in others)]
    return [one for settings in known.values() for one in settings if any(part in one.says for part in wanted)] + few


@pytest.mark.slow
@pytest.mark.parametrize("setting", cases(), ids=lambda one: f"{one.metric}-{len(one.world.shares)}-{one.says}")
def test_claims_hold_their_level_and_intervals_cover(setting: Setting) -> None:
    found = simulate(setting, RUNS)
    level = 0.08 if setting.world.patients == 100 else 0.05
    assert found.false <= level + ERROR
    assert found.covers >= 0.92 - ERROR
    assert found.own >= 0.92 - ERROR


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patients", "pair", "power"),
    [(100, ".31 -> 0", 0.83), (100, ".31 -> .15", 0.95), (300, ".31 -> .15", 1.0), (300, ".15 -> 0", 0.62)],
)
def test_real_differences_are_found(patients: int, pair: str, power: float) -> None:
    assert simulate(Setting(pair, World(patients), *PAIRS[pair]), RUNS).lower >= power - 0.1


def test_a_single_data_set_is_compared_as_in_a_report() -> None:
    found = simulate(Setting("one", World(100), *PAIRS[".31 -> 0"], draws=100), 3)
    assert -0.32 < found.truth < -0.30
    assert found.width > 0
