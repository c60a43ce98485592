"""Differences to Baseline over patients, from stored predictions, and the one family of claims of a task.

The primary family are the methods of the main table against Baseline, on each backbone and test set, in the gap of the
task and in AUC. A difference of the family is *supported* if its p over patients, adjusted by Holm, is below the level.
A planned difference that cannot be tested counts as one that was not found. No other difference is a claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan, nan

import numpy as np

from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.ranking import TESTED, Row, marking, matched, reference_of
from bench.reporting.numbers.redraws import FARES, GONE, Bootstrapped, Redrawn, Samples
from bench.reporting.numbers.support import Family, Leaning
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.render.text import listed
from bench.scoring.bootstrap import DRAWS, Interval, interval
from bench.scoring.definitions import METRICS
from bench.scoring.gaps import FEWEST as FEW
from bench.scoring.gaps import Gap, gap_difference, gap_of, own_gap
from bench.scoring.levelling import levelled_down
from bench.scoring.retraining import FEWEST, drawn_folds, over_folds, student_factor
from bench.scoring.statistics import holm, supported
from bench.seeds import seed_of

CHANCE = 0.5
"""The AUC of a classifier that tells nothing apart."""


def planned(results: Results) -> list[Row]:
    """Return the differences of the primary family: none of a table that shows a part of a task."""
    info = results.info
    if info.part:
        return []
    return [
        row
        for (_, name, metric), column in results.columns.items()
        if name in info.ood and metric in (info.gap, "auc")
        for row in column
        if row is not reference_of(column, BASELINE) and row.excluded not in ("undefined", "suppressed")
    ]


def over_patients(
    results: Results,
    bootstrapped: Bootstrapped,
    *,
    family: set[tuple[str, ...]] | None = None,
    others: Sequence[float] = (),
) -> Results:
    """Add intervals and p over patients to the rows that may be compared, and what the primary family supports.

    `family` are the claims among the rows, by default those that are planned, and `others` the p of the claims of the
    family in other tables.
    """
    results = judged(results, bootstrapped)
    family = {place_of(row) for row in planned(results)} if family is None else family
    rows: list[Row] = []
    leaning = {}
    for place, column in results.columns.items():
        found = bootstrapped.sets.get(place[1])
        base = reference_of(column, BASELINE)
        if found is None or base is None or base.excluded or place[2] not in results.info.columns:
            rows += column
            continue
        rows += [_tested(row, base, found, results.info, place_of(row) in family) for row in column]
        if METRICS[place[2]].ranges and (own := _leaning(base, found)):
            leaning[place] = own
    return replace(
        results,
        rows=tuple(claimed(rows, family, others)),
        patients={name: (one.images, one.patients) for name, one in bootstrapped.sets.items()},
        family=Family(len(family) + len(others), {name: one.draws for name, one in bootstrapped.sets.items()}),
        leaning=leaning,
        remarks=(*results.remarks, *_without(results, bootstrapped), *_few(results, bootstrapped)),
    )


def judged(results: Results, bootstrapped: Bootstrapped) -> Results:
    """Add the intervals of AUCs, and exclude gaps of classifiers near chance."""
    return not_above_chance(replace(results, auc_intervals=_aucs(results, bootstrapped)))


def _aucs(results: Results, bootstrapped: Bootstrapped) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Return the interval of the AUC of each row, as the mean over its folds."""
    found = {}
    for row in (row for row in results.rows if row.metric == "auc" and row.set in bootstrapped.sets):
        pairs = _defined(row)
        values = _folds(bootstrapped.sets[row.set].every, row, pairs)
        if values is not None and pairs:
            found[row.backbone, row.set, row.spec] = interval(values[:, 0].mean(axis=0))[:2]
    return found


def not_above_chance(results: Results) -> Results:
    """Exclude gaps and errors of calibration of classifiers whose AUC cannot be told from .5; rank the others again.

    A classifier near chance has no gap that means anything, and it has a small one if it hardly tells images apart. If
    Baseline is such a classifier on a test set, there is nothing that a method could improve: no gap is ranked there.
    """
    chance = {place for place, (low, _) in results.auc_intervals.items() if low <= CHANCE}

    def judged(row: Row) -> Row:
        metric = METRICS.get(row.metric)
        if row.excluded or metric is None or metric.kind not in ("gap", "calibration") or not metric.direction:
            return row
        near = any((row.backbone, row.set, spec) in chance for spec in (row.spec, BASELINE))
        return replace(row, excluded="chance", difference=nan, same_sign=0, pairs=0) if near else row

    if not chance:
        return results
    columns = [[judged(row) for row in column] for column in results.columns.values()]
    ranked = [marking(column) if column[0].set in results.info.ood else column for column in columns]
    return replace(results, rows=tuple(row for column in ranked for row in column))


def claimed(rows: Sequence[Row], family: set[tuple[str, ...]], others: Sequence[float] = ()) -> list[Row]:
    """Set the adjusted p of the rows of the family, and whether they are supported; `others`: see `over_patients`."""
    tested = [row for row in rows if place_of(row) in family]
    adjusted = holm([*(1.0 if isnan(row.p) else row.p for row in tested), *others])[: len(tested)]
    found = {place_of(row): nan if isnan(row.p) else p for row, p in zip(tested, adjusted, strict=True)}
    return [
        replace(row, p_holm=p, supported=supported(p)) if not isnan(p := found.get(place_of(row), nan)) else row
        for row in rows
    ]


def place_of(row: Row) -> tuple[str, ...]:
    """Return what tells a row from the others of its results."""
    return row.backbone, row.set, row.metric, row.spec


def _tested(row: Row, base: Row, found: Redrawn, info: TaskInfo, primary: bool) -> Row:
    """Return a row with its intervals, unless it is Baseline, is not ranked or lacks predictions of a fold."""
    pairs = sorted(matched(row, base))
    if row.excluded or row is base or not pairs:
        return row
    few = _folds(found.every, row, pairs), _folds(found.every, base, pairs)
    many = (_folds(found.primary, row, pairs), _folds(found.primary, base, pairs)) if primary else few
    if few[0] is None or few[1] is None:
        return row
    own, other = (few[0], few[1]) if many[0] is None or many[1] is None else (many[0], many[1])
    item = _difference(own.mean(axis=0), other.mean(axis=0), row.metric, found)
    seed = seed_of("folds", info.name, row.set)
    low, high = _trained_anew(few[0], few[1], row.metric, found, seed)
    levelled = item.high < 0 and METRICS[row.metric].ranges and _levelled(found, row, base, pairs)
    return replace(
        row, **dict(zip(TESTED, item, strict=True)), trained_low=low, trained_high=high, levelled_down=bool(levelled)
    )


def _folds(
    models: Mapping[tuple[str, str], Samples], row: Row, pairs: Sequence[tuple[int, int]], name: str = ""
) -> np.ndarray | None:
    """Return the quantities of a row in some folds, with the mean over the given seeds of each, (K, k, B).

    None if one is missing.
    """
    known = models.get((row.backbone, row.spec), {}).get(name or row.metric, {})
    if not all(pair in known for pair in pairs):
        return None
    return np.array(
        [
            np.mean([known[pair] for pair in same], axis=0)
            for same in grouped((pair[0], pair) for pair in pairs).values()
        ]
    )


def _defined(row: Row) -> list[tuple[int, int]]:
    """Return the folds and seeds in which a row has a value."""
    return sorted(pair for pair, value in row.by_seed.items() if not isnan(value))


def _difference(own: np.ndarray, other: np.ndarray, metric: str, found: Redrawn, wider: float = 1.0) -> Interval:
    if not METRICS[metric].ranges:
        return interval(own[0] - other[0], wider)
    one, base = _gap(own, metric, found), _gap(other, metric, found)
    return gap_difference(one, base, wider=wider)


def _gap(values: np.ndarray, metric: str, found: Redrawn) -> Gap:
    return gap_of(values, metric, found.behind[metric])


def _trained_anew(own: np.ndarray, other: np.ndarray, metric: str, found: Redrawn, seed: int) -> tuple[float, float]:
    """Return the interval over folds and patients together; NaN with few folds."""
    folds = len(own)
    if folds < FEWEST:
        return nan, nan
    chosen = drawn_folds(folds, own.shape[2], seed)
    one, base = over_folds(own, chosen), over_folds(other, chosen)
    wider = student_factor(own[:, 0] - other[:, 0], one[0] - base[0])
    return _difference(one, base, metric, found, wider)[:2]


def _levelled(found: Redrawn, row: Row, base: Row, pairs: Sequence[tuple[int, int]]) -> bool:
    own, other = (_folds(found.every, one, pairs, FARES) for one in (row, base))
    return own is not None and other is not None and levelled_down(True, (own - other).mean(axis=0))


def _leaning(base: Row, found: Redrawn) -> Leaning | None:
    values = _folds(found.every, base, _defined(base))
    if values is None or not len(values):
        return None
    gap = _gap(values.mean(axis=0), base.metric, found)
    parts = np.array([np.nanmean(_gap(one, base.metric, found).parts, axis=2) for one in values])
    opposed = bool(np.abs(parts.mean(axis=0)).sum() < np.abs(parts).mean(axis=0).sum() / 2)
    return Leaning(own_gap(gap), opposed)


def _without(results: Results, bootstrapped: Bootstrapped) -> list[str]:
    """Return which rows have no interval, and how to compute their predictions again."""
    notes = []
    for why, specs in bootstrapped.without.items():
        found = {(row.backbone, row.spec): row.label for row in results.rows if (row.backbone, row.spec) in specs}
        if not found:
            continue
        note = f"No interval over {results.info.unit} with predictions {why}: {listed(dict.fromkeys(found.values()))}."
        for backbone, names in grouped(found).items() if why != GONE else ():
            where = {"backbone": backbone} if len(results.backbones) > 1 else {}
            again = results.info.command("run", methods=",".join(names), force=True, **where)
            note += f" `{again}` makes them anew."
        notes.append(note)
    return notes


def _few(results: Results, bootstrapped: Bootstrapped) -> list[str]:
    """Return which gaps have no interval because a group has too few patients."""
    found = []
    for (backbone, name, metric), column in results.columns.items():
        redrawn = bootstrapped.sets.get(name)
        if redrawn is None or metric not in redrawn.behind:
            continue
        every = [(row, _folds(redrawn.every, row, _defined(row))) for row in column if not row.excluded]
        few = [row.label for row, of in every if of is not None and len(of) and _of_few(of, metric, redrawn)]
        if few:
            found.append(
                f"No interval of {results.info.title(metric)} on {results.named(display_name(name), backbone)} for "
                f"{listed(few)}: a rate is 0 or 1 in a group of fewer than {FEW} {results.info.unit}, maybe by chance."
            )
    return found


def _of_few(values: np.ndarray, metric: str, found: Redrawn) -> bool:
    return _gap(values.mean(axis=0), metric, found).few


def sizes(results: Results) -> str:
    """Return the sizes of the sets: `near 800 images of 500 patients, far 300 images`."""
    return ", ".join(
        f"{name} {images} {results.info.counted}{f' of {patients} {results.info.unit}' if patients < images else ''}"
        for name, (images, patients) in results.patients.items()
    )


def units(results: Results) -> str:
    """Return what is drawn: `patients`, `images` if each image is on its own, or both if sets differ."""
    kinds = [
        results.info.unit if patients < images else results.info.counted
        for images, patients in results.patients.values()
    ]
    return " or ".join(dict.fromkeys(kinds)) or results.info.unit


def lost(results: Results) -> list[str]:
    """Return the sentence on bootstrap samples in which a rate has no image; empty if there are none."""
    of = {name: results.family.draws.get(name, DRAWS) for name in results.patients} if results.family else {}
    few = [(row.draws, all_of) for row in results.rows if 0 < row.draws < (all_of := _all(row, of, results))]
    says = "Draws of a set in which a group has no image of a class are left out; fewest left:"
    if not few:
        return []
    left, every = min(few, key=lambda pair: pair[0] / pair[1])
    return [f"{says} {left} of {every}."]


def _all(row: Row, draws: Mapping[str, int], results: Results) -> int:
    primary = not results.info.part and row.metric in ("auc", results.info.gap)
    return draws.get(row.set, DRAWS) if primary else DRAWS
