"""Suppression: what tables do not show of a set with few images of a group and class (`--min-cell N`).

Only the size of such a set and its pooled AUC are shown. All counts by group are suppressed, because a single missing
one follows from the size and the others. So are all metrics by group, because digits reveal denominators; of the AUC
only two decimals are left, because all of them give the number of images of each class. With the validation set the
costs are suppressed too: their unit is the external set, whose size follows from its groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from bench.cells.record import Record, SetScores
from bench.data.set_facts import SetFacts, Value, together
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.task_info import TaskInfo
from bench.scoring.definitions import METRICS

IN_DOMAIN, TRAINED_ON = "val", "source"
POOLED = "auc"
"""The metric that does not depend on groups."""


def _telling() -> frozenset[str]:
    """Return the metrics that tell counts of groups or classes."""
    return frozenset(name for name, metric in METRICS.items() if metric.needs_attribute or metric.tells_counts)


def suppressed(cells: Sequence[Record], info: TaskInfo) -> dict[str, frozenset[str]]:
    """Return the suppressed metrics of each set in which a group and class has fewer than `min_cell` images.

    One fold with few images is enough. The pooled AUC is among them if a class has too few in all groups together.
    Images without a group count as a group: their number follows from that of the set and of the others. Sets are
    suppressed too if their sums and differences give a rest with too few images (`overlaps`), and so is a set that
    shares images with a suppressed one: its counts less those of a third set may be those that are few.
    """
    found: dict[str, frozenset[str]] = {}
    for item in cells:
        for name, scores in item.scores.items():
            gone = scores.suppressed  # by an export, which then does not contain the metrics
            if not gone and min(map(min, counts := _counts(scores))) < info.min_cell:
                few = min(map(sum, zip(*counts, strict=True))) < info.min_cell
                gone = METRICS if few else _telling()
            if gone:
                found[name] = found.get(name, frozenset()) | frozenset(gone)
    shown = [(one.sets, one.least) for one in info.overlaps]
    small = {name for sets, least in shown if least is not None and least < info.min_cell for name in sets} | set(found)
    shared = {name for sets, _ in shown if len(sets) == 2 and not small.isdisjoint(sets) for name in sets}
    for name in sorted(small | shared):
        found[name] = found.get(name, frozenset()) | _telling()
    return found


def _counts(scores: SetScores) -> list[tuple[int, int]]:
    """Return the negatives and positives of each group and, where there are such images, of those without a group."""
    groups = [(group.negatives, group.positives) for group in scores.groups.values()]
    negatives, positives = (sum(counts) for counts in zip(*groups, strict=True))
    rest = scores.n - scores.positives - negatives, scores.positives - positives
    return [*groups, rest] if any(rest) else groups


def is_hidden(name: str, gone: Collection[str]) -> bool:
    """Return whether counts of a set are suppressed; those of the source are with the validation set, a part of it."""
    return (IN_DOMAIN if name == TRAINED_ON else name) in gone


def shown_facts(name: str, facts: SetFacts, gone: Collection[str], min_cell: int) -> SetFacts:
    """Return the facts of a set without what suppression hides.

    Neither its label rate nor its values are shown of a suppressed set, nor of the source if the validation set, which
    is a part of it, is suppressed. Of other sets, values of few rows are counted together, and no smallest and largest
    number is shown, which may be of one person.
    """
    if is_hidden(name, gone):
        return replace(facts, positives=None, values=())
    known = grouped(((one.column, one.became), one) for one in facts.values if not (one.span and min_cell))
    return replace(facts, values=tuple(chain.from_iterable(_enough(same, min_cell) for same in known.values())))


def _enough(values: Sequence[Value], min_cell: int) -> tuple[Value, ...]:
    """Return the values of a class or group, those of few rows together with the next ones until they are enough."""
    ordered = sorted(values, key=lambda value: value.rows)
    for few in range(len(ordered) + 1):
        rows = sum(value.rows for value in ordered[:few])
        if all(value.rows >= min_cell for value in ordered[few:]) and (rows >= min_cell or not few):
            return together(values, ordered[few:].__contains__)
    return ()


def number_of(n: int, info: TaskInfo) -> str:
    """Return a number of images, or `<10` if it is below the limit."""
    return f"<{info.min_cell}" if n < info.min_cell else str(n)


def span(counts: Iterable[int], info: TaskInfo) -> str:
    """Return the smallest and the largest number of images, such as `<10 to 20`, or one number if they are equal."""
    counts = list(counts)
    return " to ".join(dict.fromkeys(number_of(n, info) for n in (min(counts), max(counts))))


def note(gone: Mapping[str, frozenset[str]], info: TaskInfo, costs: bool) -> list[str]:
    """Return the sentence on what is suppressed, and why; `costs` tells whether costs are."""
    if not gone:
        return []
    bare = [name for name, metrics in gone.items() if POOLED in metrics]
    also = f"; the AUC of {', '.join(bare)} is not shown either" if bare else ""
    cost = ". Costs are not shown either: the size of the external set follows from them" if costs else ""
    shared = ", or of sets with the same images, which would tell such a number" if info.overlaps else ""
    return [
        f"Suppressed, because of fewer than {info.min_cell} images of a group and class{shared}: {', '.join(gone)}. "
        f"No count and no metric by group is shown{also}{cost}."
    ]
