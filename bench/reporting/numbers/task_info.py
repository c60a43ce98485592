"""What a table needs to know about its task, and which cells must not be in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.cells.bounds import Count
from bench.cells.record import Failure, Fit, Record
from bench.errors import BenchError, DataInvalid
from bench.reporting.numbers.display_names import display_name
from bench.reporting.render.text import listed
from bench.running.plan import preset_of, within
from bench.scoring.definitions import METRICS
from bench.settings import Settings, command, elsewhere, of_task
from bench.spec import label

TWO_GROUPS = ("auc", "spd", "eodds")
"""Metrics of the printed table; the CSV has all. The last is the gap of the figure and of the sentences."""
MORE_GROUPS = ("auc", "min_auc", "gap_auc")
"""The same for more than two groups (SWiFT, Table 5)."""


Latex = tuple[Literal["plain", "cite"], ...]
"""How tables are written as LaTeX: `plain`, without notes and findings; `cite`, with a \\cite of each method."""


@dataclass(frozen=True)
class Undefined:
    """A method without results because it is not defined on the groups of a task or on a backbone, and the reason."""

    method: str
    title: str
    row: int
    reason: str
    on: str
    """The groups or the backbone, in words."""
    backbone: str = ""
    """The backbone whose results it lacks; empty for all."""


@dataclass(frozen=True)
class Overlap:
    """Sets of which each shares images with another one; `least` is of the rests that their counts give.

    It is the fewest images of a class and of a group, or of a crossing of two attributes; None if there is no rest.
    """

    sets: tuple[str, ...]
    least: Count | None


@dataclass(frozen=True)
class TaskInfo:
    """What tables print about a task.

    `label_names` are those of 0 and 1, `ood` the test sets in order, `inside` those of them in distribution. `folds`
    is the number of folds of the task, or None for as many as are found. `columns` are the metrics of the table,
    `undefined` the methods without numbers. `part` names the part of the task that a table shows, and is empty for the
    whole. Metrics of a set are suppressed if a group and class has fewer images than `min_cell`. `unit` names what is
    independent, where images are not. `elsewhere` tells that the predictions were made elsewhere. `settings` are those
    with which the results were read.
    """

    name: str
    says: str
    synthetic: bool
    label_names: tuple[str, ...]
    attribute_name: str
    group_names: tuple[str, ...]
    ood: tuple[str, ...]
    inside: tuple[str, ...] = ()
    folds: int | None = None
    columns: tuple[str, ...] = TWO_GROUPS
    undefined: tuple[Undefined, ...] = ()
    part: str = ""
    min_cell: int = 0
    latex: Latex = ()
    unit: str = "patients"
    elsewhere: bool = False
    counted: str = "images"
    """What a set has: images or, if these are combined before decisions, patients or other units."""
    decided: str = ""
    """What all tables say on such units."""
    settings: Settings | None = field(default=None, repr=False, compare=False)
    overlaps: Sequence[Overlap] = ()
    """The sets that share images, where some sets may be suppressed."""

    @property
    def description(self) -> str:
        """What the task asks, and between which groups."""
        groups = f"{listed(self.group_names)} ({display_name(self.attribute_name)})"
        return f"{self.says} Disparities between the groups {groups}."

    @property
    def gap(self) -> str:
        """The metric that measures the disparity."""
        return self.columns[-1]

    def title(self, metric: str) -> str:
        """Return the title of a metric; beside AUCs within groups, the AUC of all images is called overall."""
        return "Overall AUC" if metric == "auc" and "min_auc" in self.columns else METRICS[metric].title

    def heading(self, metric: str) -> str:
        """Return the title of a metric with an arrow in the direction that is better."""
        return self.title(metric) + {"up": " ↑", "down": " ↓", None: ""}[METRICS[metric].direction]

    def command(self, verb: str, *more: str, **changes: Any) -> str:
        """Return a command for the shell on the same task, folders and files; `changes` are further settings."""
        settings = of_task(self.settings or Settings(self.name))
        return command(verb, replace(settings, **changes), *more)

    @property
    def portable(self) -> TaskInfo:
        """The same without the folders of this machine, for files that are passed on."""
        return replace(self, settings=elsewhere(self.settings)) if self.settings else self


def check(cells: Sequence[Record], info: TaskInfo) -> None:
    """Refuse cells that must not be in one table.

    Raises:
        BenchError: for no cells, cells of another task, synthetic and real data together, other groups than the
            task has, different test images, and two cells with the same method, fold and seed.
    """
    if not cells:
        raise BenchError(f"no results of {info.name}: `{info.command('run')}` makes them")
    if not info.ood:
        raise BenchError(f"{info.name} has no out-of-distribution set, so its table would be empty")
    tasks = {item.cell.task for item in cells}
    if tasks != {info.name}:
        raise BenchError(f"results of {', '.join(sorted(tasks))} in the table of {info.name}")
    kinds = {item.synthetic for item in cells}
    if kinds != {info.synthetic}:
        words = {True: "synthetic", False: "real"}
        found = " and ".join(sorted(words[kind] for kind in kinds))
        raise BenchError(
            f"{info.name} has {words[info.synthetic]} data but its results are {found}: the two are never in one table"
        )
    check_groups(cells, info)
    key, times = Counter(key_of(item.cell) for item in cells).most_common(1)[0]
    if times > 1:
        raise BenchError(f"two results for {' '.join(str(part) for part in key)}")
    for name in info.ood:
        if len({_images(item, name) for item in cells if name in item.scores}) > 1:
            raise BenchError(
                f"results of {info.name} on different images of {name}: `{info.command('run')}` replaces the old ones"
            )


def check_groups(cells: Iterable[Record], info: TaskInfo) -> None:
    """Raise DataInvalid for a result that compares other groups than the task has."""
    for name, scores in (one for item in cells for one in item.scores.items()):
        if not scores.suppressed and [*scores.groups] != [*info.group_names]:
            raise DataInvalid(
                f"a result of {info.name} compares {listed(scores.groups) or 'no groups'} on {name}, the task "
                f"the groups {listed(info.group_names)}"
            )


def key_of(cell: Fit) -> tuple[Any, ...]:
    """Return the identity of a cell within its task, sorted in the order of the table."""
    return cell.backbone, cell.row, cell.method, cell.spec, cell.fold, cell.seed


def label_of(cell: Fit) -> str:
    """Return the title of a row, with the options of its spec: `SWiFT (mask hard, rate 0.5)`, `SWiFT (tuned)`.

    Options that the preset of the task sets are left out.
    """
    return label(cell.title, within(cell.spec, preset_of(cell.task)))


def unresolved(failures: Iterable[Failure], cells: Iterable[Record]) -> list[Failure]:
    """Return the failures that no later attempt resolved, in the order of the table."""
    done = {key_of(item.cell) for item in cells}
    return sorted((item for item in failures if key_of(item.cell) not in done), key=lambda item: key_of(item.cell))


def _images(item: Record, name: str) -> tuple[Any, ...]:
    scores = item.scores[name]
    groups = tuple((key, group.positives, group.negatives) for key, group in sorted(scores.groups.items()))
    return item.data[name].sha if name in item.data else None, scores.n, groups
