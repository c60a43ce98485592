"""Gaps at a common mix of a further attribute, such as view, site or diagnosis, from stored predictions.

Each further attribute of a task gives the strata of one comparison on each test set (`bench.scoring.standardised`).
What is drawn, and how gaps are compared, is the same as in the main table; nothing is claimed. With `--min-cell`, an
attribute is not shown on a set if a group, stratum and label has fewer images there, none or an unknown one included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench.api import Task
from bench.cells.predictions import ATTRIBUTE
from bench.cells.record import Record
from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.frames import METHOD
from bench.reporting.numbers.further import fewest, seen
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.ranking import Row
from bench.reporting.numbers.redraws import PredictionsOf, Spec, aligned, spec_of
from bench.scoring.bootstrap import DRAWS, Sample, redrawn
from bench.scoring.gaps import Gap, gap_difference, gap_of, own_gap
from bench.scoring.standardised import METRIC, Mix, point, reader
from bench.seeds import seed_of

ENDS = ("", "_low", "_high")
NUMBERS = [f"{name}{end}" for name in ("gap", "common", "change", "difference") for end in ENDS]
COLUMNS = ["task", "synthetic", *METHOD, "comparator", "set", "column", "metric", *NUMBERS, "folds", "draws", "why"]
"""Columns of common-mix.csv: EOdds as it is and at the common mix, that less this, and the latter less Baseline's."""


@dataclass(frozen=True)
class Mixed:
    """One attribute on one test set: its strata, and how many images each has that does not enter, by label."""

    set: str
    column: str
    strata: tuple[str, ...] = ()
    mix: Mix | None = None
    unknown: int = 0
    """Images whose group or stratum is not known."""
    why: str = ""
    """Why there are no numbers."""

    def left_out(self, label: int) -> dict[str, int]:
        """Return the images of a label by stratum that does not enter for it, of strata that have any."""
        if self.mix is None:
            return {}
        images = self.mix.images.sum(axis=0)[:, label]
        shown = zip(self.strata, images, self.mix.enters[:, label], strict=True)
        return {name: int(n) for name, n, enters in shown if n and not enters}


@dataclass(frozen=True)
class CommonMix:
    """The numbers, with the columns `COLUMNS`, and the strata that they are of."""

    numbers: pd.DataFrame
    mixed: tuple[Mixed, ...]


def common_mix(results: Results, task: Task, cells: Sequence[Record], read: PredictionsOf) -> CommonMix:
    """Compare all models at a common mix of each further attribute whose groups are known; `results` are tested."""
    here, frames = [], dict[int, pd.DataFrame]()
    for item in cells:
        try:
            frames.setdefault(id(images := read(item).images), images)
        except (OSError, ValueError):
            continue  # the notes of the main table name it
        here.append(item)
    known = [name for name in task.also if frames and all(ATTRIBUTE + name in one for one in frames.values())]
    rows = {(row.backbone, row.set, row.spec): row for row in results.rows if row.metric == METRIC}
    records, mixed = [], []
    for name in results.info.ood:
        for column in known:
            one = _mixed(results, task, name, column, next(iter(frames.values())))
            mixed.append(one)
            if one.mix is not None and not one.why:
                records += _numbers(one, one.mix, results, rows, here, read)
    return CommonMix(pd.DataFrame(records, columns=COLUMNS), tuple(mixed))


def _mixed(results: Results, task: Task, name: str, column: str, images: pd.DataFrame) -> Mixed:
    found = Mixed(name, column, task.also[column].names)
    images = images[images["set"] == name]
    if name in results.suppressed or images.empty:
        return replace(found, why="suppressed" if name in results.suppressed else "no predictions")
    y, a, stratum = _columns(images, column)
    mix = Mix.of(y, a, stratum, len(task.attribute.names), len(found.strata))
    if min(fewest([a, stratum, y]), mix.images.min()) < results.info.min_cell:
        return replace(found, why="suppressed")
    why = "" if mix.defined else "no stratum that all groups have"
    return replace(found, mix=mix, unknown=int(((a < 0) | (stratum < 0)).sum()), why=why)


def _columns(images: pd.DataFrame, column: str) -> list[np.ndarray]:
    return [images[name].to_numpy(int) for name in ("y", "a", ATTRIBUTE + column)]


def _numbers(
    one: Mixed,
    mix: Mix,
    results: Results,
    rows: Mapping[tuple[str, str, str], Row],
    cells: Sequence[Record],
    read: PredictionsOf,
) -> list[dict[str, object]]:
    """Return the records of an attribute on a set, Baseline's first in each backbone."""
    groups, strata, _ = mix.images.shape
    by_cell = seen(read, lambda images: mix.cells(*_columns(images, one.column)))
    here = [(item, by_cell(item)) for item in cells if one.set in item.scores]
    sample, logits, _ = aligned(here, one.set, groups * strata)
    if sample is None:
        return []
    seed = seed_of("bootstrap", results.info.name, one.set)
    models = {spec: _model(same, mix, sample, seed) for spec, same in grouped(map(_by_spec, logits)).items()}
    known = {"task": results.info.name, "synthetic": results.info.synthetic, "set": one.set, "column": one.column}
    found = []
    for (backbone, spec), model in models.items():
        row, base = (rows.get((backbone, one.set, of)) for of in (spec, BASELINE))
        if row is None:
            continue
        named = {name: getattr(row, name) for name in (*METHOD, "comparator")}
        numbers = {"folds": model.folds, "draws": DRAWS, "why": row.excluded}
        numbers |= {"gap": model.gap, "common": model.common, "change": model.common - model.gap}
        if not row.excluded:
            numbers |= _ends("gap", own_gap(model.drawn)[:2]) | _ends("common", own_gap(model.drawn_common)[:2])
            numbers |= _ends("change", gap_difference(model.drawn_common, model.drawn)[:2])
        compared = row is not base and base is not None and not (row.excluded or base.excluded)
        other = models.get((backbone, BASELINE))
        if compared and other is not None and other.pairs == model.pairs:
            numbers["difference"] = model.common - other.common
            numbers |= _ends("difference", gap_difference(model.drawn_common, other.drawn_common)[:2])
        found.append({**known, **named, "metric": METRIC, **numbers})
    return sorted(found, key=lambda record: tuple(record[key] for key in ("backbone", "comparator", "row", "spec")))


def _by_spec(one: tuple[Record, np.ndarray]) -> tuple[Spec, tuple[Record, np.ndarray]]:
    return spec_of(one[0]), one


@dataclass(frozen=True)
class _Model:
    """The gap of a model as it is and at the common mix: means over folds, and those on bootstrap samples."""

    gap: float
    common: float
    drawn: Gap
    drawn_common: Gap
    pairs: frozenset[tuple[int, int]]
    """Folds and seeds."""

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len({fold for fold, _ in self.pairs})


def _model(cells: Sequence[tuple[Record, np.ndarray]], mix: Mix, sample: Sample, seed: int) -> _Model:
    sizes = np.array([point(mix, logit, sample.y, sample.a) for _, logit in cells])
    values = _mean(cells, redrawn(sample, [logit for _, logit in cells], reader(mix), seed))
    drawn, drawn_common = (
        gap_of(half, METRIC, mix.behind(sample.y, sample.a, sample.patient, common=common))
        for common, half in zip((False, True), np.split(values, 2), strict=True)
    )
    gap, common = map(float, _mean(cells, sizes))
    return _Model(gap, common, drawn, drawn_common, frozenset((item.cell.fold, item.cell.seed) for item, _ in cells))


def _mean(cells: Sequence[tuple[Record, np.ndarray]], values: np.ndarray) -> np.ndarray:
    """Return the mean over folds of values (cells, ...), with seeds of a fold averaged."""
    folds = grouped((item.cell.fold, value) for (item, _), value in zip(cells, values, strict=True))
    return np.mean([np.mean(same, axis=0) for same in folds.values()], axis=0)


def _ends(name: str, ends: tuple[float, float]) -> dict[str, object]:
    return dict(zip((f"{name}_low", f"{name}_high"), ends, strict=True))
