"""Differences to Baseline over patients: intervals and p of every column, from stored predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import pandas as pd

from bench.cells.predictions import Scored
from bench.cells.record import Record
from bench.report.numbers.aggregate import BASELINE, Results
from bench.report.numbers.grouping import grouped
from bench.report.numbers.ranking import BOOTSTRAPPED, Row, leading, reference_of
from bench.report.numbers.suppression import suppressed
from bench.report.numbers.task_info import TaskInfo
from bench.report.render.text import listed
from bench.score.bootstrap import DRAWS, Interval, Sample, interval, replicates
from bench.score.statistics import holm
from bench.seeds import seed_of

GONE, UNREADABLE, OTHER = "that are not here", "that cannot be read", "of other images"
"""Why no intervals are computed from predictions."""

Spec = tuple[str, str]
"""Backbone and spec."""
Samples = Mapping[Spec, Mapping[str, Mapping[int, np.ndarray]]]
"""Bootstrapped values (DRAWS,) by backbone and spec, metric, and fold."""
Read = Callable[[Record], Scored]
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Bootstrapped:
    """Metrics of all models on bootstrapped patients.

    `draws` and the numbers of images and of `patients` are by set. `without` names the models that have no draws, by
    reason.
    """

    draws: Mapping[str, Samples]
    patients: Mapping[str, tuple[int, int]]
    without: Mapping[str, frozenset[Spec]]


def bootstrap_patients(
    cells: Sequence[Record], info: TaskInfo, read: Read, watch: Watch = lambda name, done, total: None
) -> Bootstrapped:
    """Draw the patients of every test set with replacement, the same for all cells, and score the printed metrics.

    Sets with suppressed metrics are left out. The seed of a set derives from the names of task and set.
    """
    models, without = [], []
    for item in cells:
        try:
            models.append((item, read(item)))
        except (OSError, ValueError) as error:  # for a truncated file pyarrow raises a ValueError
            without.append((GONE if isinstance(error, FileNotFoundError) else UNREADABLE, _spec(item)))
    gone = suppressed(cells, info)
    draws, patients = {}, {}
    for name in (name for name in info.ood if name not in gone):
        sample, logits, others = _aligned(models, name, len(info.group_names))
        without += [(OTHER, spec) for spec in others]
        if sample is None:
            continue
        values = replicates(
            sample,
            [logit for _, logit in logits],
            info.columns,
            seed_of("bootstrap", info.name, name),
            watch=lambda done, total, name=name: watch(name, done, total),
        )
        draws[name] = _by_spec([cell for cell, _ in logits], values, info.columns)
        patients[name] = len(sample.y), sample.patients
    return Bootstrapped(draws, patients, {why: frozenset(specs) for why, specs in grouped(without).items()})


def over_patients(results: Results, bootstrapped: Bootstrapped) -> Results:
    """Add intervals and p over patients to the rows that may be compared, and p of the first against the second."""
    columns = results.columns
    draws = {place: bootstrapped.draws.get(place[1], {}) for place in columns}
    return replace(
        results,
        rows=tuple(row for place, column in columns.items() for row in _compared(column, draws[place])),
        patients=bootstrapped.patients,
        seconds={
            place: _against(*pair, draws[place]).p for place, column in columns.items() if (pair := leading(column))
        },
        remarks=(*results.remarks, *_without(results, bootstrapped)),
    )


def _compared(column: Sequence[Row], draws: Samples) -> list[Row]:
    base = reference_of(column, BASELINE)
    if base is None or base.excluded or base.direction is None:
        return list(column)
    found = {row.spec: _against(row, base, draws) for row in column if not row.excluded and row is not base}
    found = {spec: item for spec, item in found.items() if item.draws}
    adjusted = dict(zip(found, holm([item.p for item in found.values()]), strict=True))
    return [
        replace(row, **dict(zip(BOOTSTRAPPED, item, strict=True)), p_patients_holm=adjusted[row.spec])
        if (item := found.get(row.spec))
        else row
        for row in column
    ]


def _against(row: Row, base: Row, draws: Samples) -> Interval:
    """Return the interval of the mean difference over the folds that both have, as in the test over folds."""
    first, second = (draws.get((item.backbone, item.spec), {}).get(item.metric, {}) for item in (row, base))
    folds = [fold for fold in row.values if not np.isnan(row.values[fold] - base.values.get(fold, nan))]
    if not folds or not all(fold in first and fold in second for fold in folds):
        return Interval(nan, nan, nan, nan, 0)
    return interval(np.mean([first[fold] - second[fold] for fold in folds], axis=0))


def _aligned(
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
            others.add(_spec(item))
    if first is None:
        return None, [], set()
    patient = np.unique(first["cluster"], return_inverse=True)[1]
    return Sample(first["y"].to_numpy(), first["a"].to_numpy(), patient, groups), logits, others


def _by_spec(cells: Sequence[Record], values: np.ndarray, metrics: Sequence[str]) -> Samples:
    """Return draws by spec, metric and fold; seeds of a fold are averaged."""
    models = grouped((_spec(item), (item.cell.fold, place)) for place, item in enumerate(cells))
    return {
        spec: {
            metric: {fold: values[seeds, number].mean(axis=0) for fold, seeds in grouped(places).items()}
            for number, metric in enumerate(metrics)
        }
        for spec, places in models.items()
    }


def _without(results: Results, bootstrapped: Bootstrapped) -> list[str]:
    """Return which rows have no interval, and how to compute their predictions again."""
    notes = []
    for why, specs in bootstrapped.without.items():
        found = {(row.backbone, row.spec): row.label for row in results.rows if (row.backbone, row.spec) in specs}
        if not found:
            continue
        note = f"No interval over patients with predictions {why}: {listed(dict.fromkeys(found.values()))}."
        for backbone, names in grouped(found).items() if why != GONE else ():
            where = {"backbone": backbone} if len(results.backbones) > 1 else {}
            again = results.info.command("run", methods=",".join(names), force=True, **where)
            note += f" `{again}` makes them anew."
        notes.append(note)
    return notes


def _spec(item: Record) -> Spec:
    return item.cell.backbone, item.cell.spec


def sizes(results: Results) -> str:
    """Return the sizes of the sets: `near 800 images of 500 patients, far 300 images, each on its own`."""
    return ", ".join(
        f"{name} {images} images{f' of {patients} patients' if patients < images else ', each on its own'}"
        for name, (images, patients) in results.patients.items()
    )


def lost(results: Results) -> list[str]:
    """Return the sentence on bootstrap samples in which a rate has no image; empty if there are none."""
    few = [row for row in results.rows if 0 < row.draws < DRAWS]
    says = "Draws of a set in which a group has no image of a class are left out; fewest left:"
    return [f"{says} {min(row.draws for row in few)} of {DRAWS}."] if few else []
