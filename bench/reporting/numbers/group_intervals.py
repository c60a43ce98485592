"""Intervals over patients of the rates and scores of each group: how much they vary with the patients of a test set.

A score of a model is the mean over folds, with seeds averaged, on the same bootstrap samples for all models. Folds in
which it is undefined are left out, as in the mean that is printed. Nothing is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

import numpy as np

from bench.cells.record import Record
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.redraws import PredictionsOf, Watch, aligned, spec_of
from bench.reporting.numbers.suppression import suppressed
from bench.reporting.numbers.task_info import TaskInfo
from bench.scoring.bootstrap import Sample, interval, redrawn
from bench.scoring.drawn_groups import RATES, SCORES, rates, reader
from bench.seeds import seed_of

DRAWS = 1000
Place = tuple[str, str, str, str, str]
"""Backbone, spec, test set, group and rate."""


def group_intervals(
    cells: Sequence[Record], info: TaskInfo, read: PredictionsOf, watch: Watch = lambda name, done, total: None
) -> dict[Place, tuple[float, float]]:
    """Return the 95 % interval of each rate of each group; NaN where it is undefined in too many samples.

    Sets with suppressed metrics, and models of which a cell lacks its predictions, have none.
    """
    models, found, gone = [], dict[Place, tuple[float, float]](), suppressed(cells, info)
    for item in cells:
        try:
            models.append((item, read(item)))
        except (OSError, ValueError):
            continue  # the notes of the main table name it
    for name in (name for name in info.ood if name not in gone):
        sample, logits, _ = aligned(models, name, len(info.group_names))
        if sample is None:
            continue
        here = {id(item) for item, _ in logits}
        lacking = {spec_of(item) for item in cells if name in item.scores and id(item) not in here}
        of_specs = grouped((spec_of(one[0]), one) for one in logits if spec_of(one[0]) not in lacking)
        for done, (spec, same) in enumerate(of_specs.items(), 1):
            found |= {(*spec, name, *key): ends for key, ends in _of_model(same, sample, info, name).items()}
            watch(name, done, len(of_specs))
    return found


def _of_model(
    cells: Sequence[tuple[Record, np.ndarray]], sample: Sample, info: TaskInfo, name: str
) -> dict[tuple[str, str], tuple[float, float]]:
    seed, logits = seed_of("bootstrap", info.name, name), [logit for _, logit in cells]
    thresholds = [item.scores[name].metrics.get("tuned_threshold", nan) for item, _ in cells]
    drawn = redrawn(sample, logits, reader(sample), seed, draws=DRAWS)
    tuned = redrawn(sample, logits, rates, seed, scores=thresholds, draws=DRAWS)
    values = np.concatenate([drawn, tuned], axis=1).reshape(len(cells), -1, sample.groups, DRAWS)
    names = (*RATES, *SCORES, *(f"{rate}_tuned_threshold" for rate in RATES))
    found = {}
    for at, rate in enumerate(names):
        for g, group in enumerate(info.group_names):
            defined = [
                (item.cell.fold, values[place, at, g])
                for place, (item, _) in enumerate(cells)
                if isfinite(item.scores[name].groups[group].metrics.get(rate, nan))
            ]
            folds = [np.mean(same, axis=0) for same in grouped(defined).values()]
            found[group, rate] = interval(np.mean(folds, axis=0))[:2] if folds else (nan, nan)
    return found
