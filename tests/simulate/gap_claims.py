"""How often a claim that one gap is smaller than another is false, and how often its interval covers the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import ndtr

from bench.scoring.bootstrap import redrawn
from bench.scoring.gaps import behind_rates, gap_difference, gap_of, gap_rates, own_gap
from bench.scoring.statistics import LEVEL
from tests.simulate.world import SIGNAL, Kind, World, true_gap


def spread_of(gap: float) -> float:
    """Return the shift of logits of two groups, up and down, that makes an EOdds of `gap` at the usual threshold."""
    return root_scalar(lambda s: ndtr(SIGNAL / 2 + s) - ndtr(SIGNAL / 2 - s) - gap, bracket=(0, 3)).root


FAIR, NEVER = Kind(), Kind(shift=-50.0)
RARE = {".15/.012": Kind(-1.65), ".07/.004": Kind(-2.09), ".008/.0001": Kind(-3.02)}
"""Models without a gap that rarely predict the finding, by TPR and FPR."""
GAPS = {gap: Kind(spread=spread_of(gap)) for gap in (0.31, 0.15, 0.07)}


@dataclass(frozen=True)
class Setting:
    """Two kinds of models on one kind of test set."""

    says: str
    world: World
    base: Kind
    method: Kind
    metric: str = "eodds"
    draws: int = 500


@dataclass(frozen=True)
class Outcome:
    """Shares of data sets in which the gap is claimed to be smaller or larger, the interval covers, and is how wide.

    `false` is the share of false claims in either direction, `apart` that in which Baseline's gap is told from 0, and
    `own` that in which the interval of Baseline's gap covers. `truth` is the mean true difference, and `refused` the
    share of data sets without an interval, which no other share of intervals counts.
    """

    truth: float
    lower: float
    higher: float
    false: float
    covers: float
    width: float
    apart: float
    own: float
    refused: float


def simulate(setting: Setting, runs: int) -> Outcome:
    """Draw `runs` data sets, and compare the two kinds on each as a report does."""
    found = np.array([_one(setting, run) for run in range(runs)], dtype=float)
    truth, low, high, p, apart, own_low, own_high, own = found.T
    lower, higher = (p <= LEVEL) & (high < 0), (p <= LEVEL) & (low > 0)
    false = (lower & (truth >= -1e-12)) | (higher & (truth <= 1e-12))
    there = np.isfinite(low)
    covers = ((low <= truth) & (truth <= high))[there]
    covers_own = ((own_low <= own) & (own <= own_high))[np.isfinite(own_low)]
    return Outcome(
        *(float(np.mean(part)) for part in (truth, lower, higher, false)),
        *(float(np.mean(part)) if len(part) else np.nan for part in (covers, (high - low)[there], apart, covers_own)),
        refused=float(1 - there.mean()),
    )


def _one(setting: Setting, run: int) -> tuple[float, ...]:
    rng, kinds = np.random.default_rng((run, crc32(setting.says.encode()))), [setting.base, setting.method]
    sample = setting.world.sample(rng)
    logits, shifts = setting.world.models(rng, sample, kinds)
    read = gap_rates(setting.metric)
    values = redrawn(sample, [*logits[0], *logits[1]], read, run, draws=setting.draws)
    behind = behind_rates(sample, setting.metric)
    base, method = (gap_of(part.mean(axis=0), setting.metric, behind) for part in np.split(values, 2))
    gaps = [true_gap(kind, shift, setting.metric) for kind, shift in zip(kinds, shifts, strict=True)]
    low, high, p, *_ = gap_difference(method, base)
    own = own_gap(base)
    return gaps[1] - gaps[0], low, high, p, own.distinct, own.low, own.high, gaps[0]


PAIRS = {
    "no gap -> never positive": (FAIR, NEVER),
    **{f"no gap -> {name}": (FAIR, kind) for name, kind in reversed(RARE.items())},
    "no gap, both alike": (FAIR, FAIR),
    ".31 -> .31": (GAPS[0.31], GAPS[0.31]),
    ".31 -> 0": (GAPS[0.31], FAIR),
    ".31 -> .15": (GAPS[0.31], GAPS[0.15]),
    ".15 -> 0": (GAPS[0.15], FAIR),
    ".15 -> .07": (GAPS[0.15], GAPS[0.07]),
    "0 -> .31": (FAIR, GAPS[0.31]),
}
"""Baseline and method of the main tables, by EOdds; rates are TPR/FPR."""
TUNED, OPPOSED = Kind(lean=0.25), replace(GAPS[0.31], opposed=True)
ODD = {
    "tuned thresholds: no gap, alike": (TUNED, TUNED),
    "tuned thresholds: no gap -> .07/.004": (TUNED, replace(RARE[".07/.004"], lean=0.25)),
    "tuned thresholds: .31 -> 0": (replace(GAPS[0.31], lean=0.25), TUNED),
    "folds lean opposite ways: .31 -> .31": (OPPOSED, OPPOSED),
    "folds lean opposite ways: .31 -> 0": (OPPOSED, FAIR),
    "folds lean opposite ways: 0 -> .31": (FAIR, OPPOSED),
}
AUCS = {
    "AUC .81 and .81 -> .5 and .5": (FAIR, Kind(signals=(0.0, 0.0))),
    "AUC .81 and .81, both alike": (FAIR, FAIR),
    "AUC .90 and .70 -> .81 and .81": (Kind(signals=(1.81, 0.74)), FAIR),
    "AUC .90 and .70 -> .90 and .70": (Kind(signals=(1.81, 0.74)),) * 2,
}
FEW = ("no gap -> never positive", "no gap -> .15/.012", ".31 -> .31", ".31 -> 0", ".15 -> 0")
FOUR, UNEQUAL, SMALL = (0.25,) * 4, (0.9, 0.1), (0.55, 0.2, 0.15, 0.1)
SHARP = Kind(signals=(2.8, 2.8))
"""TPR .92 and FPR .08."""
EXACT = {
    "TPR .92, no gap -> never positive": (SHARP, NEVER),
    "TPR .92, no gap, both alike": (SHARP, SHARP),
    "TPR .97 and .82 -> .92": (replace(SHARP, spread=0.5), SHARP),
}
OTHER_SETS = {
    "few": World(60),
    "few, one fold": World(60, folds=1),
    "a group of 8, one fold": World(200, (0.96, 0.04), folds=1),
    "five groups": World(250, (0.2,) * 5),
    "some patients have very many images": World(300, heavy=True),
    "many equal scores": World(300, step=0.5),
}
SINGLE = World(300, UNEQUAL, folds=1, images=1)
"""Groups of 270 and 30 patients with one image each: of some rates, no image is predicted otherwise by chance."""


def tables() -> dict[str, list[Setting]]:
    """Return the settings of all tables, by title."""

    def of(world: World, pairs: Mapping[str, tuple[Kind, Kind]], metric: str = "eodds") -> list[Setting]:
        draws = 500 * (len(world.shares) // 2)
        return [Setting(f"{world.patients}: {says}", world, *both, metric, draws) for says, both in pairs.items()]

    few = {name: PAIRS[name] for name in FEW}
    return {
        "Two groups of equal size, five folds, EOdds": [one for n in (100, 300) for one in of(World(n), PAIRS)],
        "Two groups, five folds, SPD": [one for n in (100, 300) for one in of(World(n), few, "spd")],
        "Two groups, five folds, gap of AUC": [one for n in (100, 300) for one in of(World(n), AUCS, "gap_auc")],
        "One fold": [one for n in (100, 300) for one in of(World(n, folds=1), few)],
        "Tuned thresholds, and folds that differ": [one for n in (100, 300) for one in of(World(n), ODD)],
        "A group of a tenth": [one for n in (300, 1000) for one in of(World(n, UNEQUAL), few)],
        "Four groups of equal size": [one for n in (200, 600) for one in of(World(n, FOUR), PAIRS)],
        "Four groups, 55, 20, 15 and 10 %": of(World(600, SMALL), few),
        "Other test sets": [
            *(
                one
                for name, world in OTHER_SETS.items()
                for one in of(world, {f"{name}: {k}": v for k, v in few.items()})
            ),
            *of(SINGLE, {f"one image each: {k}": v for k, v in EXACT.items()}),
        ],
    }
