"""Cells to numbers: one value per cell, set and metric, then one row per method, set and metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from operator import itemgetter
from statistics import mean
from typing import Any

from bench.cells.record import Failure, Pair, Record, SetScores
from bench.report.numbers.levelling import flagging
from bench.report.numbers.ranking import Row, comparing, excluding, marking
from bench.report.numbers.suppression import suppressed
from bench.report.numbers.task_info import TaskInfo, check, key_of, label_of
from bench.score.definitions import METRICS, current
from bench.score.statistics import summary

IN_DOMAIN = "val"
TRAINED_ON = "source"
COST = "cost"
"""Name of the cost among the metrics: epochs of full fine-tuning on the external set."""
BASELINE = "baseline"
"""The method that every other is compared with: it is what the others start from."""
_NOT_SCORED = SetScores()
SYNTHETIC = "SYNTHETIC PHANTOM DATA: these numbers say nothing about patients."


@dataclass(frozen=True)
class Size:
    """How large a set is: fewest and most images over the cells, fewest by (group, label), none where suppressed."""

    low: int
    high: int
    cells: dict[tuple[str, int], int]


@dataclass(frozen=True)
class Results:
    """All that tables and figures are made of."""

    info: TaskInfo
    rows: tuple[Row, ...]
    """In the order of the table."""
    sizes: dict[str, Size]
    failures: tuple[Failure, ...]
    folds: int
    """How many the task has."""
    found: int
    """How many the most complete row has."""
    seeds: int
    """The most in one fold."""
    unreadable: dict[str, int]
    """How many images of each set were left out because they cannot be read."""
    pairs: Mapping[tuple[str, int, int], Pair] = field(default_factory=dict)
    """What each baseline chose where the groups are without an order, by backbone, fold and seed."""
    remarks: tuple[str, ...] = ()
    """The notes that only this table needs."""
    suppressed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The sets of which little is shown, and the metrics that are not (see `suppression`)."""
    outdated: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    """The cells that lack a metric as it is defined today, by metric."""
    rates: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """How often each baseline predicts positive among negatives and among positives, by backbone and set."""
    patients: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The images and patients of each set, where patients were bootstrapped (see `patient_intervals`)."""
    seconds: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """p of the first row of a column against the second, over patients."""

    @property
    def backbones(self) -> list[str]:
        """Names of the backbones, sorted."""
        return sorted({row.backbone for row in self.rows})

    def column(self, backbone: str, name: str, metric: str) -> list[Row]:
        """One column of the printed table: the rows of a backbone, set and metric."""
        return [row for row in self.rows if (row.backbone, row.set, row.metric) == (backbone, name, metric)]

    def costs(self, backbone: str) -> list[Row]:
        """The column of costs, which every method has whichever sets it was scored on."""
        return self.column(backbone, "", COST)


def collect(cells: Sequence[Record], failures: Iterable[Failure], info: TaskInfo) -> Results:
    """Average the cells of one task over folds, rank them and compare them with Baseline.

    Only out-of-distribution sets are ranked and compared. Failures that a later attempt made good are dropped.

    Raises:
        BenchError: on cells that must not stand in one table (see `checks.check`).
    """
    check(cells, info)
    done = {key_of(cell.cell) for cell in cells}
    failed = sorted((item for item in failures if key_of(item.cell) not in done), key=lambda item: key_of(item.cell))
    folds = info.folds or len({item.cell.fold for item in [*cells, *failed]})
    gone = suppressed(cells, info)
    columns: dict[tuple[str, str, str], list[Row]] = {}
    for row in _rows(_records(cells, info, gone)):
        columns.setdefault((row.backbone, row.set, row.metric), []).append(row)
    for (backbone, name, metric), column in columns.items():
        column += [
            Row(backbone, item.method, item.title, item.method, item.row, name, metric, excluded="undefined")
            for item in info.undefined
        ]
        column.sort(key=lambda row: (row.row, row.method, row.spec))
    rows: list[Row] = []
    for (_, name, _), column in columns.items():
        kept = excluding(column)
        if name in info.ood:
            kept = flagging(comparing(marking(kept), BASELINE, folds), cells, info, BASELINE)
        rows += kept
    return Results(
        info=info,
        rows=tuple(rows),
        sizes=_sizes(cells, info, gone),
        failures=tuple(failed),
        folds=folds,
        found=max(len(row.values) for row in rows),
        seeds=max(Counter(key_of(item.cell)[:-1] for item in cells).values()),
        unreadable=_unreadable(cells, info),
        pairs=_pairs(cells),
        suppressed=gone,
        outdated=_outdated(cells),
        rates=_rates(cells, info),
    )


def _records(cells: Sequence[Record], info: TaskInfo, gone: Mapping[str, frozenset[str]]) -> list[dict[str, Any]]:
    """One record per cell, set ("" for the cost) and metric, in the order of the table; NaN for a lacking score."""
    labels, records = _labels(cells), []
    for item in sorted(cells, key=lambda item: key_of(item.cell)):
        cell = item.cell
        one = {name: getattr(cell, name) for name in ("task", "backbone", "method", "spec", "row", "fold", "seed")}
        one["label"] = labels[cell.spec]
        for name in (*info.ood, IN_DOMAIN):
            scores = item.scores.get(name, _NOT_SCORED)
            for metric in METRICS:
                kept, carried = metric not in gone.get(name, ()), METRICS[metric].threshold == "carried"
                # By another definition it is another metric.
                value = scores.metric(metric) if kept and current(metric, item.metrics_version) else nan
                degenerate = scores.degenerate_carried if carried else scores.degenerate
                shown = {"value": value, "degenerate": degenerate and kept, "suppressed": not kept}
                records.append(one | {"set": name, "metric": metric} | shown)
        kept = IN_DOMAIN not in gone
        shown = {"value": cost(item) if kept else nan, "degenerate": False, "suppressed": not kept}
        records.append(one | {"set": "", "metric": COST} | shown)
    return records


def cost(cell: Record) -> float:
    """Epochs of full fine-tuning on the external set: (forward + 2 backward) / (3 n) images; NaN if unknown."""
    forward, backward, n = cell.cost.images_forward, cell.cost.images_backward, cell.external
    return (forward + 2 * backward) / (3 * n) if n and forward is not None and backward is not None else nan


def _rows(records: Iterable[dict[str, Any]]) -> Iterator[Row]:
    keys = ("backbone", "method", "label", "spec", "row", "set", "metric")
    names_of = itemgetter(*keys)
    groups: dict[tuple[Any, ...], dict[int, list[dict[str, Any]]]] = {}
    for record in records:
        groups.setdefault(names_of(record), {}).setdefault(record["fold"], []).append(record)
    for names, folds in groups.items():
        # Seeds of a fold share its training images: they are one observation, not several.
        values = {fold: summary([item["value"] for item in items]).mean for fold, items in folds.items()}
        mean, std, n = summary(list(values.values()))
        yield Row(
            **dict(zip(keys, names, strict=True)),
            values=values,
            mean=mean,
            std=std,
            n=n,
            degenerate=sum(any(item["degenerate"] for item in items) for items in folds.values()),
            excluded="suppressed" if any(item["suppressed"] for items in folds.values() for item in items) else "",
        )


def _sizes(cells: Sequence[Record], info: TaskInfo, gone: Mapping[str, frozenset[str]]) -> dict[str, Size]:
    sizes = {}
    for name in (*info.ood, IN_DOMAIN):
        scores = [item.scores[name] for item in cells if name in item.scores]
        counts = {
            (group, label): min(getattr(score.groups[group], kind) for score in scores)
            for group in info.group_names
            for label, kind in enumerate(("negatives", "positives"))
            if scores and name not in gone
        }
        if scores:
            sizes[name] = Size(min(score.n for score in scores), max(score.n for score in scores), counts)
    return sizes


def _rates(cells: Sequence[Record], info: TaskInfo) -> dict[tuple[str, str], tuple[float, float]]:
    """FPR and TPR of the baselines over all groups of a test set, mean over folds and seeds."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    for item in cells:
        for name in info.ood if item.cell.spec == BASELINE else ():
            groups = list(item.scores.get(name, _NOT_SCORED).groups.values())
            low = _share(sum(g.false_positives for g in groups), sum(g.negatives for g in groups))
            high = _share(sum(g.true_positives for g in groups), sum(g.positives for g in groups))
            found.setdefault((item.cell.backbone, name), []).append([low, high])
    return {key: (mean(low), mean(high)) for key, rates in found.items() for low, high in [zip(*rates, strict=True)]}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _pairs(cells: Sequence[Record]) -> dict[tuple[str, int, int], Pair]:
    """The pair of each baseline: all cells of a baseline hold the same."""
    found = {(item.cell.backbone, item.cell.fold, item.cell.seed): item.pair for item in cells if item.pair}
    return dict(sorted(found.items(), key=itemgetter(0)))


def _unreadable(cells: Sequence[Record], info: TaskInfo) -> dict[str, int]:
    counts = {name: max(item.unreadable.get(name, 0) for item in cells) for name in (TRAINED_ON, *info.ood)}
    return {name: count for name, count in counts.items() if count}


def _outdated(cells: Sequence[Record]) -> dict[str, tuple[Record, ...]]:
    ordered = sorted(cells, key=lambda item: key_of(item.cell))
    found = {name: tuple(item for item in ordered if not current(name, item.metrics_version)) for name in METRICS}
    return {name: items for name, items in found.items() if items}


def _labels(cells: Sequence[Record]) -> dict[str, str]:
    """Labels of rows by spec, with the spec where two would be alike."""
    names = {item.cell.spec: label_of(item.cell) for item in cells}
    taken = list(names.values())
    return {spec: f"{name} [{spec}]" if taken.count(name) > 1 else name for spec, name in names.items()}
