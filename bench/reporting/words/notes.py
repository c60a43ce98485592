"""How to read a table, in words: what ± means, how large the sets are, and which rows are incomplete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import median

from bench.data.group_pair import LEAST
from bench.data.sample_table import REASONS as NOT_USED
from bench.errors import number_of
from bench.reporting.numbers.aggregate import BASELINE, COST, IN_DOMAIN, PARTS, Results, Size
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.published import sizes as published_sizes
from bench.reporting.numbers.ranking import NEEDS, SUPPORTED, Exclusion
from bench.reporting.numbers.suppression import note, span
from bench.reporting.numbers.task_info import label_of
from bench.reporting.render.text import listed
from bench.reporting.words.pairing import same, unmatched
from bench.scoring.definitions import METRICS
from bench.scoring.statistics import LEVEL, POWER, from_error, rate_gap

SIGN = "§"
"""The sign of a gap that was levelled down."""
FEW = 10
"""A rate or an AUC over fewer images of a class is flagged."""
SIGNS: dict[Exclusion, str] = {
    **{"degenerate": "†", "chance": "≈", "incomplete": "‡"},
    **{"undefined": "", "suppressed": "", "": ""},
}
"""Signs of rows whose gaps are not ranked."""
REASONS: dict[Exclusion, str] = {
    "degenerate": "nearly every image predicted as the same class; a small gap there means nothing",
    "chance": "AUC not above chance: its interval, or that of Baseline, reaches 0.5; a small gap there means nothing",
    "incomplete": "fewer folds than other rows",
}
NO_VALIDATION = (
    "There is no validation set (val): no threshold is tuned, metrics at a tuned threshold are not defined, and "
    "levelling down, which needs one, is not judged."
)
LEGEND = {
    **{SIGNS[reason]: f"Not ranked, {says}" for reason, says in REASONS.items()},
    SUPPORTED: "Supported difference to Baseline",
    SIGN: "Levelled down: a smaller gap, because a group lost and none gained",
}
"""What the signs mean, for a caption without notes."""
MARKS = "Bold: best; underlined: second best of a column, ranked on three decimals; ties share the mark."


def spread(results: Results) -> str:
    """Return the sentence that explains ±."""
    if results.info.elsewhere and results.found == 1:
        return "values of one fold: there is no ±, and nothing is said on models that are trained again."
    return f"mean ± std over {number_of(results.found, 'fold')} (ddof 1)."


def averaged(results: Results) -> str:
    """Return the sentence that explains ±, and how several seeds are averaged."""
    seeds = f" Values of {results.seeds} seeds are averaged within a fold." if results.seeds > 1 else ""
    return spread(results) + seeds


def reading(results: Results) -> list[str]:
    """Return how to read the table: marks, cost, sizes of sets, and every incomplete row."""
    return [
        averaged(results),
        MARKS,
        *_cost(results),
        *details(results),
    ]


def _cost(results: Results) -> list[str]:
    """Return what the cost is or, of predictions made elsewhere, what is not known and which row is Baseline."""
    if not results.info.elsewhere:
        cost = "epochs of full fine-tuning on the external set, (forward + 2 backward) / (3 n), from counted images"
        return [f"Cost: {cost}."]
    name = next((row.label for row in results.rows if row.spec == BASELINE), None)
    return [
        "These predictions were made elsewhere: costs and training data are not known.",
        *([f"Baseline is the method {name}, with which all others are compared."] if name else []),
        *([] if IN_DOMAIN in results.sizes else [NO_VALIDATION]),
    ]


def details(results: Results) -> list[str]:
    """Return notes on pairs of groups, sizes of sets, detectable effects, remarks, and every incomplete row."""
    return [
        *_pairs(results),
        *_parts(results),
        *(_size(name, size, results) for name, size in results.sizes.items()),
        *detectable(results),
        *results.remarks,
        *_apart(results),
        *partial(results),
    ]


def partial(results: Results, *, levelled: bool = True) -> list[str]:
    """Return notes on rows that are suppressed, undefined, degenerate, incomplete or failed, and on rows left out.

    `levelled` tells whether they name the rows whose gap shrank because groups got worse.
    """
    return [
        *note(results.suppressed, results.info, IN_DOMAIN in results.suppressed),
        *_undefined(results),
        *_excluded(results),
        *(_levelled(results) if levelled else ()),
        *_needing(results),
        *_missing(results),
        *unmatched(results),
        *same(results),
        *_outdated(results),
        # Without the message of the error, which may name an image: reports are passed on.
        *(
            f"Failed: {results.named(label_of(item.cell), item.cell.backbone)}, fold {item.cell.fold}: "
            f"{item.error.name} (why: in the results)"
            for item in results.failures
        ),
        *(f"Left out of {name}: {_reasons(counts)}." for name, counts in results.left_out.items()),
        *(
            f"Without a group in {name}: {_reasons(counts)}. These images count in the AUC, but in no gap; of the "
            "training set, they train the baseline and no method."
            for name, counts in results.without_group.items()
        ),
    ]


def _reasons(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{NOT_USED.get(why, why)}: {n}" for why, n in counts.items())


def _parts(results: Results) -> list[str]:
    """Return the images of the sets of a fold and, of a task of the paper on real data, those of the paper."""
    info = results.info
    theirs = {} if info.synthetic else published_sizes(info.name)
    said = [
        f"{PARTS[name]} {span(counts, info)}{f' (paper {theirs[name]})' if name in theirs else ''}"
        for name, counts in results.parts.items()
    ]
    return [f"Images of a fold: {', '.join(said)}."] if said else []


def _size(name: str, size: Size, results: Results) -> str:
    labels, groups = results.info.label_names, results.info.group_names
    images = f"{span((size.low, size.high), results.info)} {results.info.counted}"
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


def _weight(stratum: str, count: int) -> str:
    """Return how much one image of the smallest stratum counts."""
    if count == 0:
        return f"There is no image of {stratum}: its rate, and the gaps made of it, are undefined."
    flag = f" Fewer than {FEW} images hardly give a rate." if count < FEW else ""
    return f"In the smallest stratum ({stratum}) one image moves a rate by {100 / count:.1f} points.{flag}"


def _aucs(size: Size, groups: Sequence[str]) -> str:
    """Return the number of groups with an AUC, and the groups whose AUC rests on few images."""
    fewest = {group: min(size.cells[group, label] for label in (0, 1)) for group in groups}
    without = [group for group in groups if fewest[group] == 0]
    few = [f"{group} ({count})" for group, count in fewest.items() if 0 < count < FEW]
    missing = f", without {listed(without)}, which lack a class" if without else ""
    flag = f" Fewer than {FEW} images of a class: {listed(few)}." if few else ""
    return f"Min and Gap AUC are over {len(groups) - len(without)} of {len(groups)} groups{missing}.{flag}"


def _pairs(results: Results) -> list[str]:
    """Return which two groups each baseline chose for the external set, and which groups could not be chosen."""
    folds = {
        (backbone, fold, seed): results.named(f"{fold} seed {seed}" if results.seeds > 1 else f"{fold}", backbone)
        for backbone, fold, seed in results.pairs
    }
    if not folds:
        return []
    pairs = results.pairs.items()
    chosen = grouped(
        (f"{pair.worst} and {pair.best}" if pair.best else "no pair, so that every method is the Baseline", folds[key])
        for key, pair in pairs
    )
    skipped = grouped((group, folds[key]) for key, pair in pairs for group in pair.skipped)
    note = (
        "External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with "
        f"{LEAST} images of each class, chosen once per fold before fine-tuning: {_by_fold(chosen)}."
    )
    return [note, *([f"Not eligible, because of too few images: {_by_fold(skipped)}."] if skipped else [])]


def _by_fold(found: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{words} (fold {listed(folds)})" for words, folds in found.items())


def _undefined(results: Results) -> list[str]:
    there = [item for item in results.info.undefined if item.backbone in ("", *results.backbones)]
    reasons = grouped(((item.on, item.reason), item.title) for item in there)
    return [f"– Not defined on {on}: {listed(names)}: {reason}." for (on, reason), names in reasons.items()]


def _excluded(results: Results) -> list[str]:
    """Return the rows whose gaps are printed but not ranked, for each reason."""
    notes = []
    for reason, says in REASONS.items():
        names = []
        rows = [row for row in results.rows if row.excluded == reason and row.metric in results.info.columns]
        folds = ((row, row.degenerate if reason == "degenerate" else row.n) for row in rows)
        found = grouped((results.named(row.label, row.backbone), (row.set, count)) for row, count in folds)
        for name, sets in found.items():
            counts = ", ".join(f"{place} {min(numbers)}" for place, numbers in grouped(sets).items())
            where = ", ".join(dict(sets)) if reason == "chance" else f"{counts} of {number_of(results.folds, 'fold')}"
            names.append(f"{name} ({where})")
        if names:
            notes.append(f"{SIGNS[reason]} Gaps not ranked and not compared, {says}: {listed(names)}.")
    return notes


def _levelled(results: Results) -> list[str]:
    """Return the rows whose gap shrank because groups got worse."""
    rows = [row for row in results.rows if row.levelled_down and row.metric in results.info.columns]
    if not rows:
        return []
    found = grouped((results.named(row.label, row.backbone), (row.set, results.info.title(row.metric))) for row in rows)
    names = [
        f"{name} ({'; '.join(f'{place} {listed(titles)}' for place, titles in grouped(gaps).items())})"
        for name, gaps in found.items()
    ]
    return [
        f"{SIGN} Levelled down: the gap is smaller than Baseline's because a group lost, in AUC and in balanced "
        "accuracy at the tuned threshold, and no group gained in either, each beyond its 95 % interval over "
        f"{results.info.unit}: {listed(names)}."
    ]


def _needing(results: Results) -> list[str]:
    """Return which methods need the attribute at prediction."""
    names = dict.fromkeys(row.label for row in results.rows if row.needs_attribute)
    if not names:
        return []
    return [
        f"{NEEDS.strip()} Needs {results.info.attribute_name} of every future patient, because decisions depend on it: "
        f"{listed(names)}."
    ]


def _apart(results: Results) -> list[str]:
    """Return which methods are comparators, and how the AUC of those that decide is to be read."""
    names = dict.fromkeys(row.label for row in results.rows if row.comparator)
    says = grouped((row.auc_says, row.label) for row in results.rows if row.auc_says)
    aside = f"Below the rule: comparators, simple methods that others have to beat: {listed(names)}."
    return [*([aside] if names else []), *(f"AUC of {listed(dict.fromkeys(of))}: {why}." for why, of in says.items())]


def _missing(results: Results) -> list[str]:
    every = [row for backbone in results.backbones for row in results.costs(backbone)]
    rows = [row for row in every if row.excluded != "undefined"]
    short = [row for row in rows if len(row.values) < results.folds]
    if len(short) == len(rows) and len({len(row.values) for row in rows}) == 1:
        return [f"Missing: every row has {results.found} of {number_of(results.folds, 'fold')}."]
    names = [
        f"{results.named(row.label, row.backbone)} {len(row.values)} of {number_of(results.folds, 'fold')}"
        for row in short
    ]
    return [f"Missing: {listed(names)}."] if names else []


def _outdated(results: Results) -> list[str]:
    """Return which cells lack which metrics as they are defined today: their values are neither shown nor averaged."""
    scored = sum(len(row.values) for row in results.rows if row.metric == COST) * results.seeds
    lacking: dict[str, list[str]] = {}
    for name, cells in results.outdated.items():
        rows = grouped((results.named(label_of(item.cell), item.cell.backbone), str(item.cell.fold)) for item in cells)
        names = listed(f"{row} (fold {listed(dict.fromkeys(folds))})" for row, folds in rows.items())
        lacking.setdefault("every cell" if len(cells) == scored else names, []).append(METRICS[name].title)
    again = results.info.command("metrics", "--recompute")
    return [
        f"Scored by another version of the metrics and left out of {listed(titles)}: {names}. "
        f"`{again}` brings it up to date."
        for names, titles in lacking.items()
    ]


def detectable(results: Results) -> list[str]:
    """Return the minimum detectable effects, a note per backbone and test set."""
    found = []
    for backbone, name in results.places:
        said = [*_detectable_gaps(results, backbone, name), *_detectable_change(results, backbone, name)]
        found += [f"Minimum detectable on {results.named(name, backbone)}: {'; '.join(said)}."] if said else []
    if not found:
        return []
    how = (
        f"The minimum detectable effect, below, is the difference that a test at level {LEVEL} finds with probability "
        f"{POWER}, before Holm. Gaps between groups: normal approximation, both groups at Baseline's rate, images "
        "taken as independent, so that it is too small where those of a patient are alike. A smaller difference may "
        "exist and stay undetected."
    )
    return [how, *found]


def _detectable_gaps(results: Results, backbone: str, name: str) -> list[str]:
    """Return the detectable gap of TPR and of FPR between the smallest group and the largest."""
    size, rates = results.sizes.get(name), results.rates.get((backbone, name))
    if size is None or not size.cells or rates is None or results.info.gap == "gap_auc":
        return []
    said = []
    for label, title in ((1, "a TPR"), (0, "an FPR")):
        counts = {group: size.cells[group, label] for group in results.info.group_names}
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        least = rate_gap(rates[label], counts[few], counts[many])
        if isfinite(least):
            what = f"{counts[few]} images ({few}, {results.info.label_names[label]})"
            said.append(f"with {what}, {title} gap of {least:.3f} (at a rate of {rates[label]:.3f})")
    return said


def _detectable_change(results: Results, backbone: str, name: str) -> list[str]:
    """Return the detectable change of the gap of the task over patients: the median of the methods."""
    errors = [from_error(row.error) for row in results.column(backbone, name, results.info.gap)]
    finite = [value for value in errors if isfinite(value)]
    title = results.info.title(results.info.gap)
    return [f"a difference to Baseline in {title} of {median(finite):.3f} (median of the methods)"] if finite else []
