"""How often a gap is marked as levelled down: of methods like Baseline, of shifts of all logits, and of real ones."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np

from bench.scoring.bootstrap import redrawn
from bench.scoring.gaps import behind_rates, gap_difference, gap_of, gap_rates
from bench.scoring.levelling import levelled_down, performance
from bench.scoring.threshold import tune_threshold
from tests.simulate.gap_claims import FAIR, GAPS
from tests.simulate.world import Kind, World

WORSE = Kind(signals=(0.3, 0.3))
UNEQUAL = Kind(signals=(1.81, 0.74))
"""AUC .90 in one group and .70 in the other."""
BOTH_LOW = Kind(signals=(0.74, 0.74))
SHIFTED = replace(GAPS[0.31], shift=-1.5)
CASES: dict[str, tuple[Kind, Kind, str]] = {
    "like Baseline, no gap": (FAIR, FAIR, "eodds"),
    "like Baseline, gap .31": (GAPS[0.31], GAPS[0.31], "eodds"),
    "like Baseline, AUC .90 and .70": (UNEQUAL, UNEQUAL, "gap_auc"),
    "all logits shifted by -1.5, same ranking": (GAPS[0.31], SHIFTED, "eodds"),
    "levelled up: AUC .90 and .70 -> .90 and .90": (UNEQUAL, Kind(signals=(1.81, 1.81)), "gap_auc"),
    "levelled down: AUC .90 and .70 -> .70 and .70": (UNEQUAL, BOTH_LOW, "gap_auc"),
    "levelled down: EOdds .31 -> 0, AUC .81 -> .58": (GAPS[0.31], WORSE, "eodds"),
}


def share(case: str, world: World, runs: int, draws: int = 500) -> float:
    """Return the share of data sets in which the method of a case is marked."""
    base, method, metric = CASES[case]
    return float(np.mean([_marked(case, world, [base, method], metric, run, draws) for run in range(runs)]))


def _marked(case: str, world: World, kinds: list[Kind], metric: str, run: int, draws: int) -> bool:
    rng = np.random.default_rng((run, crc32(case.encode())))
    sample = world.sample(rng)
    logits, shifts = world.models(rng, sample, kinds)
    if kinds[1].shift and kinds[0] == replace(kinds[1], shift=0.0):
        logits[1] = logits[0] + kinds[1].shift  # the same models, shifted
    flat = [*logits[0], *logits[1]]
    # Thresholds are tuned on other patients.
    other = world.sample(rng)
    kept = shifts[:, :, other.a]
    signal = np.array([kind.signal(other.groups) for kind in kinds])[:, None, other.a] * (other.y - 0.5)
    validation = signal + kept + rng.normal(size=(1, world.folds, len(other.y)))
    scores = [tune_threshold(one, other.y) for models in validation for one in models]
    behind = behind_rates(sample, metric)
    gaps = redrawn(sample, flat, gap_rates(metric), run, draws=draws)
    base, own = (gap_of(part.mean(axis=0), metric, behind) for part in np.split(gaps, 2))
    smaller = gap_difference(own, base).high < 0
    if not smaller:
        return False
    before, after = np.split(redrawn(sample, flat, performance, run, scores=scores, draws=draws), 2)
    return levelled_down(True, (after - before).mean(axis=0))
