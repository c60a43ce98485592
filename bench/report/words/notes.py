"""How to read a table, in words: what ± is, how large the sets are, which rows are not whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from statistics import median

from bench.data.group_pair import LEAST
from bench.report.numbers.aggregate import BASELINE, COST, IN_DOMAIN, Results, Size
from bench.report.numbers.levelling import SIGN
from bench.report.numbers.ranking import Exclusion, Row, reference_of
from bench.report.numbers.suppression import note, number_of
from bench.report.numbers.task_info import label_of
from bench.report.render.text import listed
from bench.score.definitions import METRICS
from bench.score.minimum_detectable import POWER, fold_difference, from_error, rate_gap
from bench.score.statistics import LEVEL, summary

FEW = 10
"""A rate or an AUC over fewer images of a class is flagged."""
SIGNS: dict[Exclusion, str] = {"degenerate": "†", "incomplete": "‡", "undefined": "", "suppressed": "", "": ""}
"""Signs of rows whose gaps are not ranked."""
REASONS: dict[Exclusion, str] = {
    "degenerate": "every image predicted as the same class; a small gap there means nothing",
    "incomplete": "fewer folds than other rows",
}


def spread(results: Results) -> str:
    """The sentence that says what ± is."""
    return f"mean ± std over {results.found} {'fold' if results.found == 1 else 'folds'} (ddof 1)."


def averaged(results: Results) -> str:
    """The same, and that seeds were averaged where there are several."""
    seeds = f" Values of {results.seeds} seeds are averaged within a fold." if results.seeds > 1 else ""
    return spread(results) + seeds


def reading(results: Results) -> list[str]:
    """How to read the table: marks, cost, sizes of sets, and every row that is not whole."""
    return [
        averaged(results),
        *marks(),
        "Cost: epochs of full fine-tuning on the external set, (forward + 2 backward) / (3 n), from counted images.",
        *details(results),
    ]


def marks() -> list[str]:
    """The sentence that says what bold and underlined are."""
    return ["Bold: best; underlined: second best of a column, ranked on three decimals; ties share the mark."]


def details(results: Results) -> list[str]:
    """Pairs of groups, sizes of sets, remarks, and every row that is not whole."""
    return [
        *_pairs(results),
        *(_size(name, size, results) for name, size in results.sizes.items()),
        *detectable(results),
        *results.remarks,
        *partial(results),
    ]


def partial(results: Results) -> list[str]:
    """Rows that are undefined, degenerate, lack folds or failed, by name, and how many images cannot be read."""
    return [
        *note(results.suppressed, results.info, IN_DOMAIN in results.suppressed),
        *_undefined(results),
        *_excluded(results),
        *_levelled(results),
        *_missing(results),
        *_outdated(results),
        *_failed(results),
        *_unreadable(results),
    ]


def _size(name: str, size: Size, results: Results) -> str:
    labels, groups = results.info.label_names, results.info.group_names
    low, high = number_of(size.low, results.info), number_of(size.high, results.info)
    images = f"{low} images" if low == high else f"{low} to {high} images"
    if not size.cells:
        return f"{name}: {images}."
    parts = "; ".join(
        f"{group}: {size.cells[group, 0]} {labels[0]}, {size.cells[group, 1]} {labels[1]}" for group in groups
    )
    fold = ", fewest over the folds" if name == IN_DOMAIN else ""
    if results.info.gap == "gap_auc":
        return f"{name}: {images} ({parts}{fold}). {_aucs(size, groups)}"
    (group, label), count = min(size.cells.items(), key=lambda item: item[1])
    return f"{name}: {images} ({parts}{fold}). {_weight(f'{group}, {labels[label]}', count)}"


def _weight(cell: str, count: int) -> str:
    if count == 0:
        return f"There is no image of {cell}: its rate, and the gaps made of it, are undefined."
    flag = f" Fewer than {FEW}: a rate hardly worth the name." if count < FEW else ""
    return f"In the smallest cell ({cell}) one image moves a rate by {100 / count:.1f} points.{flag}"


def _aucs(size: Size, groups: Sequence[str]) -> str:
    """Over how many groups the AUCs within groups are taken, and which of them rest on few images."""
    fewest = {group: min(size.cells[group, label] for label in (0, 1)) for group in groups}
    without = [group for group in groups if fewest[group] == 0]
    few = [f"{group} ({count})" for group, count in fewest.items() if 0 < count < FEW]
    missing = f", without {listed(without)}, which lack a class" if without else ""
    flag = f" Fewer than {FEW} images of a class: {listed(few)}." if few else ""
    return f"Min and Gap AUC are over {len(groups) - len(without)} of {len(groups)} groups{missing}.{flag}"


def _pairs(results: Results) -> list[str]:
    """Which two groups each baseline chose for the external set, and which groups could not be chosen."""
    chosen: dict[str, list[str]] = {}
    skipped: dict[str, list[str]] = {}
    for (backbone, number, seed), pair in results.pairs.items():
        fold = _named(f"{number} seed {seed}" if results.seeds > 1 else f"{number}", backbone, results)
        words = f"{pair.worst} and {pair.best}" if pair.best else "no pair, so that every method is the Baseline"
        chosen.setdefault(words, []).append(fold)
        for group in pair.skipped:
            skipped.setdefault(group, []).append(fold)
    if not chosen:
        return []
    note = (
        "External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with "
        f"{LEAST} images of each class, chosen once per fold before fine-tuning: {_by_fold(chosen)}."
    )
    return [note, *([f"Not eligible for want of images: {_by_fold(skipped)}."] if skipped else [])]


def _by_fold(found: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{words} (fold {listed(folds)})" for words, folds in found.items())


def _undefined(results: Results) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for item in results.info.undefined:
        reasons.setdefault(item.reason, []).append(item.title)
    groups = len(results.info.group_names)
    return [f"– Not defined on {groups} groups: {listed(names)}: {reason}." for reason, names in reasons.items()]


def _excluded(results: Results) -> list[str]:
    """Rows whose gaps are printed but not ranked, for each reason."""
    notes = []
    for reason, says in REASONS.items():
        found: dict[str, dict[str, int]] = {}
        for row in results.rows:
            if row.excluded == reason and row.metric in results.info.columns:
                sets = found.setdefault(_named(row.label, row.backbone, results), {})
                folds = row.degenerate if reason == "degenerate" else min(row.n, sets.get(row.set, row.n))
                sets[row.set] = folds
        names = [
            f"{name} ({', '.join(f'{place} {count}' for place, count in sets.items())} of {results.folds} folds)"
            for name, sets in found.items()
        ]
        if names:
            notes.append(f"{SIGNS[reason]} Gaps not ranked and not compared, {says}: {listed(names)}.")
    return notes


def _levelled(results: Results) -> list[str]:
    """Rows whose gap shrank because the better group got worse."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in results.rows:
        if row.levelled_down and row.metric in results.info.columns:
            sets = found.setdefault(_named(row.label, row.backbone, results), {})
            sets.setdefault(row.set, []).append(results.info.title(row.metric))
    names = [
        f"{name} ({'; '.join(f'{place} {listed(titles)}' for place, titles in sets.items())})"
        for name, sets in found.items()
    ]
    fares = "AUC" if results.info.gap == "gap_auc" else "balanced accuracy"
    if not names:
        return []
    return [
        f"{SIGN} Levelled down: the gap is smaller than Baseline's, but in {fares} the group that was better off "
        f"lost and the other gained nothing, in the mean over folds: {listed(names)}."
    ]


def _missing(results: Results) -> list[str]:
    every = [row for backbone in results.backbones for row in results.costs(backbone)]
    rows = [row for row in every if row.excluded != "undefined"]
    short = [row for row in rows if len(row.values) < results.folds]
    if len(short) == len(rows) and len({len(row.values) for row in rows}) == 1:
        return [f"Missing: every row has {results.found} of {results.folds} folds."]
    names = [f"{_named(row.label, row.backbone, results)} {len(row.values)} of {results.folds} folds" for row in short]
    return [f"Missing: {listed(names)}."] if names else []


def _outdated(results: Results) -> list[str]:
    """Which cells lack which metrics as they are defined today: nothing of those is shown or averaged."""
    lacking: dict[str, list[str]] = {}
    for name, cells in results.outdated.items():
        rows: dict[str, dict[str, None]] = {}
        for cell in (item.cell for item in cells):
            rows.setdefault(_named(label_of(cell), cell.backbone, results), {})[str(cell.fold)] = None
        every = len(cells) == sum(len(row.values) for row in results.rows if row.metric == COST) * results.seeds
        names = "every cell" if every else listed(f"{row} (fold {listed(folds)})" for row, folds in rows.items())
        lacking.setdefault(names, []).append(METRICS[name].title)
    return [
        f"Scored by another version of the metrics, so that it does not enter {listed(titles)}: {names}. "
        "`bench metrics --recompute` brings it up to date."
        for names, titles in lacking.items()
    ]


def _failed(results: Results) -> list[str]:
    notes = []
    for item in results.failures:
        cell, error = item.cell, item.error
        name = _named(label_of(cell), cell.backbone, results)
        # Not its message: that may name an image, and reports are handed on.
        notes.append(f"Failed: {name}, fold {cell.fold}: {error.name} (why: in the results)")
    return notes


def _unreadable(results: Results) -> list[str]:
    return [
        f"{count} image{'s' * (count > 1)} of {name} {'are' if count > 1 else 'is'} left out: "
        f"{'their files' if count > 1 else 'its file'} cannot be read."
        for name, count in results.unreadable.items()
    ]


def _named(label: str, backbone: str, results: Results) -> str:
    return f"{label}, {backbone}" if len(results.backbones) > 1 else label


def detectable(results: Results) -> list[str]:
    """One note per backbone and test set on the minimum detectable effects there, over folds and over patients."""
    places = [(backbone, name) for backbone in results.backbones for name in results.info.ood]
    found = [text for backbone, name in places if (text := _detectable_on(results, backbone, name))]
    if not found:
        return []
    how = (
        f"The minimum detectable effect, below, is the difference that a test at level {LEVEL} finds with probability "
        f"{POWER}, before Holm. Gaps between groups: normal approximation, images taken as independent, both groups at "
        "Baseline's rate. A smaller difference may exist and stay undetected."
    )
    return [how, *found]


def _detectable_on(results: Results, backbone: str, name: str) -> str:
    said = [*_detectable_gaps(results, backbone, name), *_detectable_change(results, backbone, name)]
    where = f"{name}, {backbone}" if len(results.backbones) > 1 else name
    return f"Minimum detectable on {where}: {'; '.join(said)}." if said else ""


def _detectable_gaps(results: Results, backbone: str, name: str) -> list[str]:
    """The gap of a rate between the smallest group and the largest, on either class."""
    size, rates = results.sizes.get(name), results.rates.get((backbone, name))
    if size is None or not size.cells or rates is None or results.info.gap == "gap_auc":
        return []
    said = []
    for label, title in ((1, "a TPR"), (0, "an FPR")):
        counts = {group: size.cells[group, label] for group in results.info.group_names}
        few, many = min(counts, key=lambda g: counts[g]), max(counts, key=lambda g: counts[g])
        least = rate_gap(rates[label], counts[few], counts[many])
        if isfinite(least):
            what = f"{counts[few]} images ({few}, {results.info.label_names[label]})"
            said.append(f"with {what}, {title} gap of {least:.3f} (at a rate of {rates[label]:.3f})")
    return said


def _detectable_change(results: Results, backbone: str, name: str) -> list[str]:
    """The difference to Baseline in the gap of the task, over folds and over patients: the median of the methods."""
    column = results.column(backbone, name, results.info.gap)
    base = reference_of(column, BASELINE)
    rows = [row for row in column if row.compared]
    over = {
        "folds": [_over_folds(row, base, results.folds) for row in rows if base],
        "patients": [from_error(row.error_patients) for row in rows],
    }
    found = {
        name: median(kept) for name, each in over.items() if (kept := [value for value in each if isfinite(value)])
    }
    words = " and ".join(f"{least:.3f} over {name}" for name, least in found.items())
    title = results.info.title(results.info.gap)
    return [f"a difference to Baseline in {title} of {words} (median of the methods)"] if words else []


def _over_folds(row: Row, base: Row, folds: int) -> float:
    _, std, n = summary([value - base.values.get(fold, nan) for fold, value in row.values.items()])
    return fold_difference(std, n, folds)
