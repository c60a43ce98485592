"""What a table needs to know of its task, and which cells must not stand in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.cells.record import Fit, Record
from bench.errors import BenchError
from bench.score.definitions import METRICS
from bench.spec import label

TWO_GROUPS = ("auc", "spd", "eodds")
"""Metrics of the printed table; the CSV has all. The last is the gap of the figure and of the sentences."""
MORE_GROUPS = ("auc", "min_auc", "gap_auc")
"""The same for groups without an order (SWiFT, Table 5)."""


@dataclass(frozen=True)
class Undefined:
    """A method that has no results because it is not defined on the groups of a task, and why."""

    method: str
    title: str
    row: int
    reason: str


@dataclass(frozen=True)
class TaskInfo:
    """What tables say about a task; `label_names` are those of 0 and 1, `ood` the test sets in order.

    `folds` is how many folds the task has; None takes as many as are found. `columns` are the metrics of the table,
    `undefined` the methods of which it says why they have no numbers, `part` is what of the task it shows, empty for
    all of it. What of a set with a cell of fewer images than `min_cell` is not shown is in `small`.
    """

    name: str
    says: str
    synthetic: bool
    label_names: tuple[str, ...]
    attribute_name: str
    group_names: tuple[str, ...]
    ood: tuple[str, ...]
    folds: int | None = None
    columns: tuple[str, ...] = TWO_GROUPS
    undefined: tuple[Undefined, ...] = ()
    part: str = ""
    min_cell: int = 0

    @property
    def gap(self) -> str:
        """The metric that says how large the disparity is."""
        return self.columns[-1]

    def title(self, metric: str) -> str:
        """Title of a metric; beside AUCs within groups, that of all images pooled is called overall."""
        return "Overall AUC" if metric == "auc" and "min_auc" in self.columns else METRICS[metric].title


def check(cells: Sequence[Record], info: TaskInfo) -> None:
    """Refuse cells that must not stand in one table.

    Raises:
        BenchError: without cells; on cells of another task, of synthetic beside real data, of
            different test images, or twice the same.
    """
    if not cells:
        raise BenchError(f"no results of {info.name}: `bench run` makes them")
    if not info.ood:
        raise BenchError(f"{info.name} has no out-of-distribution set: there is nothing to put in a table")
    tasks = {item.cell.task for item in cells}
    if tasks != {info.name}:
        raise BenchError(f"results of {', '.join(sorted(tasks))} in the table of {info.name}")
    kinds = {item.synthetic for item in cells}
    if kinds != {info.synthetic}:
        words = {True: "synthetic", False: "real"}
        found = " and ".join(sorted(words[kind] for kind in kinds))
        raise BenchError(f"{info.name} has {words[info.synthetic]} data, its results {found}: never in one table")
    keys = Counter(key_of(item.cell) for item in cells)
    twice = next((key for key, times in keys.items() if times > 1), None)
    if twice:
        raise BenchError(f"two results for {' '.join(str(part) for part in twice)}")
    for name in info.ood:
        if len({_images(item, name) for item in cells if name in item.scores}) > 1:
            raise BenchError(
                f"results of {info.name} on different images of {name}: `bench run` again replaces the old"
            )


def key_of(cell: Fit) -> tuple[Any, ...]:
    """What tells one cell of a task from another, in the order of the table."""
    return cell.backbone, cell.row, cell.method, cell.spec, cell.fold, cell.seed


def label_of(cell: Fit) -> str:
    """Return the title of a row, with what its spec sets in words: `SWiFT (mask hard, rate 0.5)`, `SWiFT (tuned)`."""
    return label(cell.title, cell.spec)


def _images(item: Record, name: str) -> tuple[Any, ...]:
    scores = item.scores[name]
    groups = tuple((key, group.positives, group.negatives) for key, group in sorted(scores.groups.items()))
    return item.data[name].sha if name in item.data else None, scores.n, groups
