"""How often the interval over folds and patients covers what models show on average over many trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bench.scoring.bootstrap import interval, redrawn
from bench.scoring.gaps import behind_rates, gap_difference, gap_of, gap_rates
from bench.scoring.retraining import drawn_folds, over_folds, student_factor
from tests.simulate.gap_claims import FAIR, GAPS, NEVER
from tests.simulate.world import SIGNAL, Kind, World, true_gap


@dataclass(frozen=True)
class Covered:
    """Shares of data sets whose interval covers, and mean widths: over patients alone, and over folds and patients."""

    patients: float
    both: float
    width_patients: float
    width_both: float


def eodds(world: World, kinds: list[Kind], runs: int) -> Covered:
    """Compare two kinds of models, whose folds are trainings of their own, in EOdds."""
    found = []
    average = [
        true_gap(kind, kind.shifts(np.random.default_rng(0), 20_000, len(world.shares)), "eodds") for kind in kinds
    ]
    truth = average[1] - average[0]
    for run in range(runs):
        rng = np.random.default_rng((run, 7))
        sample = world.sample(rng)
        logits, _ = world.models(rng, sample, kinds)
        values = redrawn(sample, [*logits[0], *logits[1]], gap_rates("eodds"), run, draws=500)
        base, method = np.split(values, 2)
        behind = behind_rates(sample, "eodds")
        chosen = drawn_folds(world.folds, 500, run)
        drawn = [gap_of(over_folds(one, chosen), "eodds", behind) for one in (base, method)]
        wider = student_factor(method[:, 0] - base[:, 0], drawn[1].size - drawn[0].size)
        plain = [gap_of(one.mean(axis=0), "eodds", behind) for one in (base, method)]
        found.append([*gap_difference(plain[1], plain[0])[:2], *gap_difference(drawn[1], drawn[0], wider=wider)[:2]])
    return _covered(np.array(found), truth)


def auc(patients: int, folds: int, between: float, runs: int) -> Covered:
    """Compare two methods in AUC whose trainings differ in how well they separate the classes, by std `between`."""
    found, world = [], World(patients, folds=1)
    for run in range(runs):
        rng = np.random.default_rng((run, 8))
        sample = world.sample(rng)
        models = []
        for signal in SIGNAL + between * rng.normal(size=2 * folds):
            kind = Kind(signals=(signal, signal))
            models.append(kind)
        logits, _ = world.models(rng, sample, models)
        values = redrawn(sample, list(logits[:, 0]), lambda model: [model.auc], run, draws=500)[:, 0]
        base, method = np.split(values, 2)
        differences = method - base
        drawn = over_folds(differences[:, None], drawn_folds(folds, 500, run))[0]
        wider = student_factor(differences, drawn)
        found.append([*interval(differences.mean(axis=0))[:2], *interval(drawn, wider)[:2]])
    return _covered(np.array(found), 0.0)


def _covered(found: np.ndarray, truth: float) -> Covered:
    covers = [(low <= truth) & (truth <= high) for low, high in (found.T[:2], found.T[2:])]
    widths = found.T[1] - found.T[0], found.T[3] - found.T[2]
    return Covered(*(float(np.mean(one)) for one in (*covers, *widths)))


def table(runs: int) -> Mapping[str, Covered]:
    """Return the rows of the table by what is compared."""
    some, much = 0.15, 0.4
    rows = {
        f"AUC, {n} patients, {folds} folds, trainings vary {word}": auc(n, folds, between, runs)
        for n, folds, word, between in (
            (300, 5, "little", 0.03),
            (300, 5, "much", 0.2),
            (1000, 5, "much", 0.2),
            (300, 4, "much", 0.2),
        )
    }
    pairs = {"no gap, alike": (FAIR, FAIR), ".31 -> 0": (GAPS[0.31], FAIR), "no gap -> never positive": (FAIR, NEVER)}
    for word, lean in (("some", some), ("much", much)):
        for says, both in pairs.items():
            kinds = [replace(kind, lean=lean) for kind in both]
            rows[f"EOdds, 300 patients, 5 folds, trainings vary {word}: {says}"] = eodds(World(300), kinds, runs)
    return rows
