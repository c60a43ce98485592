"""Bootstrap samples of the patients of every test set, on which all models are scored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bench.cells.predictions import Scored
from bench.cells.record import Record
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.suppression import suppressed
from bench.reporting.numbers.task_info import TaskInfo
from bench.scoring.bootstrap import DRAWS, Read, Sample, redrawn
from bench.scoring.definitions import METRICS
from bench.scoring.gaps import Behind, behind_rates, gap_rates
from bench.scoring.levelling import performance
from bench.scoring.metrics import VALIDATION
from bench.scoring.statistics import LEVEL
from bench.scoring.threshold import tune_threshold
from bench.seeds import seed_of

GONE, UNREADABLE, OTHER = "that are not here", "that cannot be read", "of other images"
"""Why no intervals are computed from predictions."""
FARES = "performance of groups"
"""Name of `bench.scoring.levelling.performance` among the quantities."""
PER_CLAIM = 20
"""Bootstrap samples in the tail that a claim of the family needs, at the level of the first step of Holm's rule."""
MOST = 2**27
"""Most numbers that are kept of a test set, 1 GiB; with very many models there are fewer samples."""

Spec = tuple[str, str]
"""Backbone and spec."""
Samples = Mapping[str, Mapping[tuple[int, int], np.ndarray]]
"""Quantities (k, B) of a model by name, then fold and seed: a metric, for a gap followed by its rates, or `FARES`."""
PredictionsOf = Callable[[Record], Scored]
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Redrawn:
    """The models of a test set on bootstrap samples of its patients.

    `every` has `DRAWS` samples of each model, `primary` the many that the family of claims needs, of its models and
    metrics. `behind` are the patients and images behind the rates of a gap, by metric.
    """

    every: Mapping[Spec, Samples]
    primary: Mapping[Spec, Samples]
    behind: Mapping[str, Behind]
    sample: Sample
    draws: int

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.sample.y)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return self.sample.patients

    def same_images(self, other: Redrawn) -> bool:
        """Tell whether both have the same images, by label, group and patient, so that their samples are paired."""
        one, two = ((of.y, of.a, of.patient) for of in (self.sample, other.sample))
        return all(map(np.array_equal, one, two))


@dataclass(frozen=True)
class Bootstrapped:
    """All test sets by name; `without` names the models that have no samples, by reason."""

    sets: Mapping[str, Redrawn] = field(default_factory=dict)
    without: Mapping[str, frozenset[Spec]] = field(default_factory=dict)


def enough(claims: int, parts: int) -> int:
    """Return how many bootstrap samples a family of `claims` needs, if a gap has `parts`.

    At the smallest level, `LEVEL` / claims, at least `PER_CLAIM` of them are in the tails. So are four for each part.
    """
    return max(DRAWS, round(max(PER_CLAIM, 4 * parts) * claims / LEVEL))


def bootstrap_patients(
    cells: Sequence[Record],
    info: TaskInfo,
    read: PredictionsOf,
    watch: Watch = lambda name, done, total: None,
    *,
    family: Collection[Spec] = (),
    claims: int = 0,
) -> Bootstrapped:
    """Draw the patients of every test set with replacement, the same for all cells, and score the printed metrics.

    `family` are the models of the primary claims, Baseline among them, and `claims` is the number of these claims.
    Sets with suppressed metrics are left out. The seed of a set derives from the names of task and set.
    """
    models, without = [], []
    for item in cells:
        try:
            models.append((item, read(item)))
        except (OSError, ValueError) as error:  # for a truncated file pyarrow raises a ValueError
            without.append((GONE if isinstance(error, FileNotFoundError) else UNREADABLE, spec_of(item)))
    gone = suppressed(cells, info)
    thresholds = {id(item): _threshold(scored) for item, scored in models}
    sets = {}
    for name in (name for name in info.ood if name not in gone):
        sample, logits, others = aligned(models, name, len(info.group_names))
        without += [(OTHER, spec) for spec in others]
        if sample is not None:
            sets[name] = _redrawn(sample, logits, thresholds, info, name, watch, family, claims)
    return Bootstrapped(sets, {why: frozenset(specs) for why, specs in grouped(without).items()})


def _redrawn(
    sample: Sample,
    models: Sequence[tuple[Record, np.ndarray]],
    thresholds: Mapping[int, float],
    info: TaskInfo,
    name: str,
    watch: Watch,
    family: Collection[Spec],
    claims: int,
) -> Redrawn:
    seed = seed_of("bootstrap", info.name, name)
    cells, logits = [item for item, _ in models], [logit for _, logit in models]
    behind = {metric: behind_rates(sample, metric) for metric in info.columns if METRICS[metric].ranges}
    sizes = {metric: 1 + behind[metric].patients.size if metric in behind else 1 for metric in info.columns}
    every = redrawn(sample, logits, _reading(info.columns), seed)
    tuned = [thresholds[id(item)] for item in cells]
    fares = redrawn(sample, logits, performance, seed, scores=tuned)
    fares[np.isnan(tuned), sample.groups :] = np.nan
    found = _by_spec(cells, np.concatenate([every, fares], axis=1), {**sizes, FARES: 2 * sample.groups})
    primary, draws = ("auc", info.gap), DRAWS
    first: Mapping[Spec, Samples] = {}
    if chosen := [place for place, item in enumerate(cells) if spec_of(item) in family]:
        wide = {metric: sizes[metric] for metric in primary}
        most = MOST // (len(chosen) * sum(wide.values()))
        draws = max(DRAWS, min(enough(claims, behind[info.gap].pairs), most))
        values = redrawn(
            sample,
            [logits[place] for place in chosen],
            _reading(primary),
            seed,
            draws=draws,
            watch=lambda done, total: watch(name, done, total),
        )
        first = _by_spec([cells[place] for place in chosen], values, wide)
    return Redrawn(found, first, behind, sample, draws)


def _reading(metrics: Sequence[str]) -> Read:
    """Return a function that reads metrics of a resampled model, gaps with their rates."""
    gaps = {metric: gap_rates(metric) for metric in metrics if METRICS[metric].ranges}

    def read(model):
        found = []
        for metric in metrics:
            found += [*gaps[metric](model)] if metric in gaps else [METRICS[metric].function(model)]
        return found

    return read


def _threshold(scored: Scored) -> float:
    """Return the threshold that is tuned on the validation images of a model; NaN without them."""
    images, logit = scored
    here = (images["set"] == VALIDATION).to_numpy()
    return tune_threshold(logit[here], images["y"][here].to_numpy()) if here.any() else float("nan")


def aligned(
    models: Sequence[tuple[Record, Scored]], name: str, groups: int
) -> tuple[Sample | None, list[tuple[Record, np.ndarray]], set[Spec]]:
    """Return the sample of a set, the logits of the cells with the images of the first one, and the other models."""
    first, logits, others = None, [], set()
    places: dict[int, tuple[np.ndarray, pd.DataFrame]] = {}
    for item, (images, logit) in models:
        if id(images) not in places:
            table = images[images["set"] == name].sort_values("image_id", kind="stable")
            places[id(images)] = table.index.to_numpy(), table.drop(columns="set").reset_index(drop=True)
        rows, known = places[id(images)]
        if known.empty:
            continue
        first = known if first is None else first
        if known is first or known.equals(first):
            logits.append((item, logit[rows]))
        else:
            others.add(spec_of(item))
    if first is None:
        return None, [], set()
    patient = np.unique(first["cluster"], return_inverse=True)[1]
    return Sample(first["y"].to_numpy(), first["a"].to_numpy(), patient, groups), logits, others


def _by_spec(cells: Sequence[Record], values: np.ndarray, sizes: Mapping[str, int]) -> dict[Spec, Samples]:
    """Return quantities by spec, by name, and by fold and seed."""
    models = grouped((spec_of(item), (item.cell, place)) for place, item in enumerate(cells))
    ends = np.cumsum([0, *sizes.values()])
    rows = {name: slice(*ends[place : place + 2]) for place, name in enumerate(sizes)}
    return {
        spec: {name: {(cell.fold, cell.seed): values[place, rows[name]] for cell, place in places} for name in sizes}
        for spec, places in models.items()
    }


def spec_of(item: Record) -> Spec:
    """Return backbone and spec of a cell."""
    return item.cell.backbone, item.cell.spec
