"""Small cells: what tables keep to themselves of a set with few images of a group and class (`--min-cell N`).

Of such a set only its size and its pooled AUC are shown. All counts by group go and not the small one alone, which
would be the size less the others; so does every metric by group, whose digits give its denominators away. Where the
set is the validation set the costs go too: they are in units of an external set whose size follows from its groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.cells.record import Record
from bench.report.numbers.task_info import TaskInfo
from bench.score.definitions import METRICS

POOLED = "auc"
"""The metric that no group enters."""
COUNTS = ("negatives", "positives")


def suppressed(cells: Sequence[Record], info: TaskInfo) -> dict[str, frozenset[str]]:
    """Return the metrics that are not shown of each set with a cell of fewer than `min_cell` images in some fold.

    The pooled AUC is among them where a class has fewer in all groups together.
    """
    found: dict[str, frozenset[str]] = {}
    for item in cells:
        for name, scores in item.scores.items():
            if scores.suppressed:  # those of an export: what is not shown is not in it
                found[name] = found.get(name, frozenset()) | frozenset(scores.suppressed)
                continue
            by_class = [[getattr(group, kind) for group in scores.groups.values()] for kind in COUNTS]
            if min(min(counts) for counts in by_class) < info.min_cell:
                few = min(sum(counts) for counts in by_class) < info.min_cell
                gone = frozenset(metric.name for metric in METRICS.values() if few or metric.needs_attribute)
                found[name] = found.get(name, frozenset()) | gone
    return found


def number_of(n: int, info: TaskInfo) -> str:
    """Return a number of images, `<10` where it is small."""
    return f"<{info.min_cell}" if n < info.min_cell else str(n)


def note(gone: Mapping[str, frozenset[str]], info: TaskInfo, costs: bool) -> list[str]:
    """Return the sentence that says what is suppressed, and why."""
    if not gone:
        return []
    bare = [name for name, metrics in gone.items() if POOLED in metrics]
    also = f", nor is the AUC of {', '.join(bare)}" if bare else ""
    cost = ". Costs are not shown either: the size of the external set follows from them" if costs else ""
    return [
        f"Suppressed, because of fewer than {info.min_cell} images of a group and class: {', '.join(gone)}. "
        f"No count and no metric by group is shown{also}{cost}."
    ]
