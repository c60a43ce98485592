"""Suppression: what tables do not show of a set with few images of a group and class (`--min-cell N`).

Only the size of such a set and its pooled AUC are shown. All counts by group are suppressed, because a single missing
one follows from the size and the others. So are all metrics by group, because digits reveal denominators. With
the validation set the costs are suppressed too: their unit is the external set, whose size follows from its groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.cells.record import Record
from bench.report.numbers.task_info import TaskInfo
from bench.score.definitions import METRICS

POOLED = "auc"
"""The metric that does not depend on groups."""
COUNTS = ("negatives", "positives")


def suppressed(cells: Sequence[Record], info: TaskInfo) -> dict[str, frozenset[str]]:
    """Return the suppressed metrics of each set in which a group and class has fewer than `min_cell` images.

    One fold with few images is enough. The pooled AUC is among them if a class has too few in all groups together.
    """
    found: dict[str, frozenset[str]] = {}
    for item in cells:
        for name, scores in item.scores.items():
            gone = scores.suppressed  # by an export, which then does not contain the metrics
            by_class = [[getattr(group, kind) for group in scores.groups.values()] for kind in COUNTS]
            if not gone and min(min(counts) for counts in by_class) < info.min_cell:
                few = min(sum(counts) for counts in by_class) < info.min_cell
                gone = [metric.name for metric in METRICS.values() if few or metric.needs_attribute]
            if gone:
                found[name] = found.get(name, frozenset()) | frozenset(gone)
    return found


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
    return [
        f"Suppressed, because of fewer than {info.min_cell} images of a group and class: {', '.join(gone)}. "
        f"No count and no metric by group is shown{also}{cost}."
    ]
