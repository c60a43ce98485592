"""Differences to Baseline over other patients: intervals and p of every column, from stored predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import pandas as pd

from bench.cells.predictions import Scored
from bench.cells.record import Record
from bench.report.numbers.aggregate import BASELINE, Results
from bench.report.numbers.ranking import Row, leading, reference_of
from bench.report.numbers.suppression import suppressed
from bench.report.numbers.task_info import TaskInfo
from bench.report.render.text import listed
from bench.score.bootstrap import DRAWS, Interval, Sample, interval, replicates
from bench.score.statistics import holm
from bench.seeds import seed_of

GONE, UNREADABLE, OTHER = "that are not here", "that cannot be read", "of other images"
"""What predictions are that no interval is made of."""

Spec = tuple[str, str]
"""Backbone and spec."""
Read = Callable[[Record], Scored]
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Bootstrapped:
    """Metrics of all models on bootstrapped patients.

    `draws` by set, (backbone, spec), metric and fold, each (DRAWS,); `images` and `patients` count a set; `without`
    says of which predictions no draws were made, by what is the matter with them.
    """

    draws: Mapping[str, Mapping[Spec, Mapping[str, Mapping[int, np.ndarray]]]]
    images: Mapping[str, int]
    patients: Mapping[str, int]
    without: Mapping[str, frozenset[Spec]]


def bootstrap_patients(
    cells: Sequence[Record], info: TaskInfo, read: Read, watch: Watch = lambda name, done, total: None
) -> Bootstrapped:
    """Redraw the patients of every test set, for all cells alike, and score the columns of the task.

    Sets of which something is suppressed are left out whole. The seed of a set is made of the names of task and set.
    """
    models, without = _readable(cells, read)
    gone = suppressed(cells, info)
    draws, images, patients = {}, {}, {}
    for name in (name for name in info.ood if name not in gone):
        sample, logits, wrong = _aligned(models, name, len(info.group_names))
        if wrong:
            without[OTHER] = without.get(OTHER, frozenset()) | wrong
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
        images[name], patients[name] = len(sample.y), sample.patients
    return Bootstrapped(draws, images, patients, without)


def over_patients(results: Results, bootstrapped: Bootstrapped) -> Results:
    """Set intervals and p over patients of the rows that may be compared, and of the first against the second."""
    columns: dict[tuple[str, str, str], list[Row]] = {}
    for row in results.rows:
        columns.setdefault((row.backbone, row.set, row.metric), []).append(row)
    rows = [row for key, column in columns.items() for row in _compared(column, bootstrapped.draws.get(key[1], {}))]
    seconds = {
        key: _against(*pair, bootstrapped.draws.get(key[1], {})).p
        for key, column in columns.items()
        if (pair := leading(column))
    }
    patients = {name: (bootstrapped.images[name], count) for name, count in bootstrapped.patients.items()}
    remarks = (*results.remarks, *_without(results, bootstrapped))
    return replace(results, rows=tuple(rows), patients=patients, seconds=seconds, remarks=remarks)


def _compared(column: Sequence[Row], draws: Mapping[Spec, Mapping[str, Mapping[int, np.ndarray]]]) -> list[Row]:
    base = reference_of(column, BASELINE)
    if base is None or base.excluded or base.direction is None:
        return list(column)
    found = {row.spec: _against(row, base, draws) for row in column if not row.excluded and row is not base}
    found = {spec: item for spec, item in found.items() if item.draws}
    adjusted = holm([item.p for item in found.values()])
    over = {
        spec: {
            "ci_low": item.low,
            "ci_high": item.high,
            "p_patients": item.p,
            "p_patients_holm": p,
            "error_patients": item.error,
            "draws": item.draws,
        }
        for (spec, item), p in zip(found.items(), adjusted, strict=True)
    }
    return [replace(row, **over.get(row.spec, {})) for row in column]


def _against(row: Row, base: Row, draws: Mapping[Spec, Mapping[str, Mapping[int, np.ndarray]]]) -> Interval:
    """The interval of the mean difference over the folds that both have, as the test over folds takes them."""
    first, second = (draws.get((item.backbone, item.spec), {}).get(item.metric, {}) for item in (row, base))
    folds = [fold for fold in row.values if not np.isnan(row.values[fold] - base.values.get(fold, nan))]
    if not folds or not all(fold in first and fold in second for fold in folds):
        return Interval(nan, nan, nan, nan, 0)
    return interval(np.mean([first[fold] - second[fold] for fold in folds], axis=0))


def _readable(cells: Sequence[Record], read: Read) -> tuple[list[tuple[Record, Scored]], dict[str, frozenset[Spec]]]:
    models, without = [], {}
    for item in cells:
        try:
            models.append((item, read(item)))
        except (OSError, ValueError) as error:  # half-written: pyarrow's errors are ValueErrors
            why = GONE if isinstance(error, FileNotFoundError) else UNREADABLE
            without[why] = without.get(why, frozenset()) | {_spec(item)}
    return models, without


def _aligned(
    models: Sequence[tuple[Record, Scored]], name: str, groups: int
) -> tuple[Sample | None, list[tuple[Record, np.ndarray]], frozenset[Spec]]:
    """What the first cell says of the images of a set, the logits of all cells of the same images, and the others."""
    first, logits, wrong = None, [], set()
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
            wrong.add(_spec(item))
    if first is None:
        return None, [], frozenset()
    patient = np.unique(first["cluster"], return_inverse=True)[1]
    return Sample(first["y"].to_numpy(), first["a"].to_numpy(), patient, groups), logits, frozenset(wrong)


def _by_spec(
    cells: Sequence[Record], values: np.ndarray, metrics: Sequence[str]
) -> dict[Spec, dict[str, dict[int, np.ndarray]]]:
    """Draws by spec, metric and fold; seeds of a fold are averaged, as everywhere."""
    places: dict[Spec, dict[int, list[int]]] = {}
    for place, item in enumerate(cells):
        places.setdefault(_spec(item), {}).setdefault(item.cell.fold, []).append(place)
    return {
        spec: {
            metric: {fold: values[seeds, number].mean(axis=0) for fold, seeds in folds.items()}
            for number, metric in enumerate(metrics)
        }
        for spec, folds in places.items()
    }


def _without(results: Results, bootstrapped: Bootstrapped) -> list[str]:
    labels = {(row.backbone, row.spec): row.label for row in results.rows}
    return [
        f"No interval over patients with predictions {why}: {listed(dict.fromkeys(found))}."
        + (" `bench run --force` makes them anew." if why != GONE else "")
        for why, specs in bootstrapped.without.items()
        if (found := [label for spec, label in labels.items() if spec in specs])
    ]


def _spec(item: Record) -> Spec:
    return item.cell.backbone, item.cell.spec


def sizes(results: Results) -> str:
    """`near 800 images of 500 patients, far 300 images, each on its own`."""
    return ", ".join(
        f"{name} {images} images{f' of {patients} patients' if patients < images else ', each on its own'}"
        for name, (images, patients) in results.patients.items()
    )


def lost(results: Results) -> list[str]:
    """The sentence on draws in which a rate has no image, where there are any."""
    few = [row for row in results.rows if 0 < row.draws < DRAWS]
    says = "Draws of a set in which a group has no image of a class are left out; fewest left:"
    return [f"{says} {min(row.draws for row in few)} of {DRAWS}."] if few else []
