"""Cells to numbers: one value per fold, set and metric, then one row per method, set and metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import nan
from statistics import mean

from bench.cells.intact import other_baselines
from bench.cells.record import Failure, Pair, Record, SetScores
from bench.data.set_facts import SetFacts
from bench.reporting.numbers.grouping import grouped, over_seeds
from bench.reporting.numbers.ranking import Row, comparing, excluding, marking
from bench.reporting.numbers.support import Family, Leaning
from bench.reporting.numbers.suppression import IN_DOMAIN, TRAINED_ON, is_hidden, shown_facts, suppressed
from bench.reporting.numbers.task_info import TaskInfo, check, key_of, label_of, unresolved
from bench.scoring.definitions import METRICS, current, define
from bench.scoring.statistics import COARSE, summary

COST = "cost"
"""Name of the cost among the metrics: epochs of full fine-tuning on the external set."""
BASELINE = "baseline"
"""The method that every other starts from and is compared with."""
_NOT_SCORED = SetScores()
RARE = 0.01
"""If a smaller share of the images is predicted as one of the classes, predictions are nearly constant."""
PARTS = {"train": "training", IN_DOMAIN: "validation", "external": "external"}
"""The sets of a fold, with their names in words."""
SYNTHETIC = "SYNTHETIC PHANTOM DATA: these numbers say nothing about patients."


def warning_of(*infos: TaskInfo) -> str:
    """Return what stands above every table and figure: of generated images, and of decisions on units."""
    synthetic = SYNTHETIC * any(info.synthetic for info in infos)
    return " ".join(dict.fromkeys(filter(None, [synthetic, *(info.decided for info in infos)])))


@dataclass(frozen=True)
class Size:
    """Images of a set: fewest and most over the cells, and fewest by (group, label), which are empty if suppressed."""

    low: int
    high: int
    cells: dict[tuple[str, int], int]


@dataclass(frozen=True)
class Results:
    """All numbers of one table, and what its notes and figures need."""

    info: TaskInfo
    rows: tuple[Row, ...]
    """In the order of the table."""
    sizes: dict[str, Size]
    """Of the test sets and the validation set."""
    failures: tuple[Failure, ...]
    folds: int
    """Number of folds of the task."""
    found: int
    """Number of folds of the most complete row."""
    seeds: int
    """Largest number of seeds in a fold."""
    left_out: dict[str, dict[str, int]]
    """Number of rows that were not used, by set and reason."""
    without_group: dict[str, dict[str, int]] = field(default_factory=dict)
    """Number of images whose attribute is not known, by set and reason."""
    facts: tuple[tuple[str, SetFacts], ...] = ()
    """Name and facts of each set as it was read; several of a set if its cells were computed from different tables."""
    pairs: Mapping[tuple[str, int, int], Pair] = field(default_factory=dict)
    """The groups that each baseline chose, where they have no order, by backbone, fold and seed."""
    remarks: tuple[str, ...] = ()
    """Notes that only this table needs."""
    suppressed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The metrics that are not shown, by set (see `suppression`)."""
    outdated: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    """The cells that lack a metric as it is defined today, by metric."""
    rates: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """FPR and TPR of the baselines over all groups, by backbone and set."""
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Fewest and most images of the training, validation and external set over the cells; empty if suppressed."""
    patients: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Number of images and of patients of each set whose patients were bootstrapped (see `patient_intervals`)."""
    family: Family | None = None
    """The primary family; None as long as nothing was tested over patients."""
    leaning: Mapping[tuple[str, str, str], Leaning] = field(default_factory=dict)
    """The gaps of Baseline over patients, by backbone, set and metric."""
    auc_intervals: Mapping[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    """The 95 % interval over patients of the mean AUC over folds, by backbone, set and spec."""

    @property
    def backbones(self) -> list[str]:
        """Names of the backbones, sorted."""
        return sorted({row.backbone for row in self.rows})

    @property
    def places(self) -> list[tuple[str, str]]:
        """Each backbone with each test set."""
        return list(product(self.backbones, self.info.ood))

    def named(self, name: str, backbone: str) -> str:
        """Return a name with its backbone, which is left out if there is only one."""
        return f"{name}, {backbone}" if len(self.backbones) > 1 else name

    @cached_property
    def columns(self) -> dict[tuple[str, str, str], list[Row]]:
        """The rows by backbone, set and metric."""
        return grouped(((row.backbone, row.set, row.metric), row) for row in self.rows)

    def column(self, backbone: str, name: str, metric: str) -> list[Row]:
        """Return one column of the printed table: the rows of a backbone, set and metric."""
        return self.columns.get((backbone, name, metric), [])

    def costs(self, backbone: str) -> list[Row]:
        """Return the column of costs, which has every method whichever sets it was scored on."""
        return self.column(backbone, "", COST)


def collect(cells: Sequence[Record], failures: Iterable[Failure], info: TaskInfo) -> Results:
    """Average the cells of one task over folds, rank them and compare them with Baseline.

    Only test sets are ranked and compared. Failures that a later attempt resolved are dropped.

    Raises:
        BenchError: for cells that must not be in one table (see `task_info.check`).
    """
    check(cells, info)
    failed = unresolved(failures, cells)
    folds = info.folds or len({item.cell.fold for item in [*cells, *failed]})
    gone = suppressed(cells, info)
    columns = grouped(((row.backbone, row.set, row.metric), row) for row in _rows(cells, info, gone))
    rows: list[Row] = []
    for (backbone, name, metric), column in columns.items():
        column += [
            Row(backbone, item.method, item.title, item.method, item.row, name, metric, excluded="undefined")
            for item in info.undefined
            if item.backbone in ("", backbone)
        ]
        ordered = sorted(column, key=lambda row: (row.comparator, row.row, row.method, row.spec))
        kept = excluding(ordered, incomplete=not info.elsewhere)
        if name in info.ood:
            kept = comparing(marking(kept), BASELINE)
        rows += kept
    return Results(
        info=info,
        rows=tuple(rows),
        sizes=_sizes(cells, info, gone),
        failures=tuple(failed),
        folds=folds,
        found=max(len(row.values) for row in rows),
        seeds=max(Counter(key_of(item.cell)[:-1] for item in cells).values()),
        left_out=_most([item.left_out for item in cells], info),
        without_group={
            name: counts
            for name, counts in _most([item.without_group for item in cells], info).items()
            if not is_hidden(name, gone)
        },
        facts=_facts(cells, info, gone),
        pairs=_pairs(cells),
        suppressed=gone,
        outdated=_outdated(cells),
        rates=_rates(cells, info),
        parts={} if IN_DOMAIN in gone else _parts(cells),
        remarks=tuple(f"{one}." for one in other_baselines((i.cell.identity, i.baseline_sha256) for i in cells)),
    )


def _rows(cells: Sequence[Record], info: TaskInfo, gone: Mapping[str, frozenset[str]]) -> Iterator[Row]:
    """Yield a row for each method, set ("" for the cost) and metric, in the order of the table."""
    labels = _labels(cells)
    ordered = sorted(cells, key=lambda item: key_of(item.cell))
    for (backbone, spec), items in grouped(((item.cell.backbone, item.cell.spec), item) for item in ordered).items():
        cell = items[0].cell
        for name, metric in [*product((*info.ood, IN_DOMAIN), METRICS), ("", COST)]:
            kept = metric not in gone.get(name, ()) if name else IN_DOMAIN not in gone
            by_seed = {
                (item.cell.fold, item.cell.seed): stored_value(item, name, metric) if kept else nan for item in items
            }
            if name in gone:
                by_seed = {key: round(value, COARSE) for key, value in by_seed.items()}
            values = over_seeds((fold, one) for (fold, _), one in by_seed.items())
            mean, std, n = summary(list(values.values()))
            yield Row(
                backbone=backbone,
                method=cell.method,
                label=labels[spec],
                spec=spec,
                row=cell.row,
                needs_attribute=cell.needs_attribute,
                comparator=cell.comparator,
                auc_says=cell.auc_says,
                set=name,
                metric=metric,
                values=values,
                by_seed=by_seed,
                mean=mean,
                std=std,
                n=n,
                degenerate=len({item.cell.fold for item in items if kept and _degenerate(item, name, metric)}),
                excluded="" if kept else "suppressed",
            )


def stored_value(item: Record, name: str, metric: str) -> float:
    """Return a score or the cost; NaN if it is missing or follows another definition, which makes it another metric."""
    if metric == COST:
        return cost(item)
    return item.scores.get(name, _NOT_SCORED).metric(metric) if current(metric, item.metrics_version) else nan


def _degenerate(item: Record, name: str, metric: str) -> bool:
    """Tell whether nearly all images are predicted as one class at the threshold of a metric."""
    scores = item.scores.get(name, _NOT_SCORED)
    tuned = metric != COST and METRICS[metric].threshold == "tuned"
    rate = f"selection_rate{'_tuned_threshold' if tuned else ''}"
    groups = list(scores.groups.values())
    positive = sum(group.n * group.metrics.get(rate, nan) for group in groups if group.n)
    nearly = min(positive, sum(group.n for group in groups) - positive) < RARE * sum(group.n for group in groups)
    return nearly or (scores.degenerate_tuned_threshold if tuned else scores.degenerate)


def cost(cell: Record) -> float:
    """Return epochs of full fine-tuning on the external set: (forward + 2 backward) / (3 n) images; NaN if unknown."""
    forward, backward, n = cell.cost.images_forward, cell.cost.images_backward, cell.external
    return (forward + 2 * backward) / (3 * n) if n and forward is not None and backward is not None else nan


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


def _parts(cells: Sequence[Record]) -> dict[str, tuple[int, int]]:
    counts = {
        name: [n for item in cells if name in item.data and (n := item.data[name].n) is not None] for name in PARTS
    }
    return {name: (min(found), max(found)) for name, found in counts.items() if found}


def _rates(cells: Sequence[Record], info: TaskInfo) -> dict[tuple[str, str], tuple[float, float]]:
    """Return FPR and TPR of the baselines over all groups of a test set, mean over folds and seeds."""
    baselines = [item for item in cells if item.cell.spec == BASELINE]
    scored = grouped(
        ((item.cell.backbone, name), item.scores.get(name, _NOT_SCORED)) for item in baselines for name in info.ood
    )
    return {
        place: (
            mean(_rate(one, "false_positives", "negatives") for one in scores),
            mean(_rate(one, "true_positives", "positives") for one in scores),
        )
        for place, scores in scored.items()
    }


def _rate(scores: SetScores, part: str, whole: str) -> float:
    counts = [sum(getattr(group, kind) for group in scores.groups.values()) for kind in (part, whole)]
    return counts[0] / counts[1] if counts[1] else nan


def _pairs(cells: Sequence[Record]) -> dict[tuple[str, int, int], Pair]:
    """Return the pair of each baseline, which all cells of a baseline share."""
    found = {(item.cell.backbone, item.cell.fold, item.cell.seed): item.pair for item in cells if item.pair}
    return {key: found[key] for key in sorted(found)}


def _most(counts: Sequence[Mapping[str, Mapping[str, int]]], info: TaskInfo) -> dict[str, dict[str, int]]:
    """Return, by set and reason, the largest of the numbers that cells have."""
    found: dict[str, dict[str, int]] = {}
    for name in (TRAINED_ON, IN_DOMAIN, *info.ood):
        for of_cell in counts:
            for reason, n in of_cell.get(name, {}).items():
                of_set = found.setdefault(name, {})
                of_set[reason] = max(n, of_set.get(reason, 0))
    return found


def _facts(cells: Sequence[Record], info: TaskInfo, gone: Collection[str]) -> tuple[tuple[str, SetFacts], ...]:
    sets = [(name, item.facts[name]) for name in (TRAINED_ON, *info.ood) for item in cells if name in item.facts]
    return tuple(
        (name, shown_facts(name, facts, gone, info.min_cell))
        for name, facts in dict.fromkeys(sets)
        if facts.images >= info.min_cell
    )


def _outdated(cells: Sequence[Record]) -> dict[str, tuple[Record, ...]]:
    ordered = sorted(cells, key=lambda item: key_of(item.cell))
    found = {name: tuple(item for item in ordered if _lacks(item, name)) for name in METRICS}
    return {name: items for name, items in found.items() if items}


def _lacks(item: Record, name: str) -> bool:
    """Tell whether a cell was scored before a metric was defined as it is today, or without the plugin that has it."""
    of_plugin = METRICS[name].function.__module__ != define.__module__
    if not of_plugin or not current(name, item.metrics_version):
        return not current(name, item.metrics_version)
    return not any(name in of.metrics for one in item.scores.values() for of in (one, *one.attributes.values()))


def _labels(cells: Sequence[Record]) -> dict[str, str]:
    """Return labels of rows by spec, followed by the spec where two labels are equal."""
    names = {item.cell.spec: label_of(item.cell) for item in cells}
    taken = list(names.values())
    return {spec: f"{name} [{spec}]" if taken.count(name) > 1 else name for spec, name in names.items()}
