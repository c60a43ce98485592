"""The answer of a task, place by place: can Baseline be judged, and what does each method change, how surely?

The first screen of the page, the forest plot, the terminal and the first sentences of a report are made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan

from bench.cells.record import Record
from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.ranking import Row, reference_of, unchanged
from bench.scoring.statistics import summary

WHY = {
    "chance": "near chance",
    "degenerate": "one class predicted",
    "incomplete": "folds missing",
    "undefined": "not defined",
    "suppressed": "suppressed",
}
"""Why a row has no gap that could be compared, in a few words."""
ONE_LABEL = "all images have the same label, so that AUC and gaps are undefined"
ONE_LABEL_IN_A_GROUP = "the images of a group have one label only"
SAME = "changed nothing"
"""Of a row whose gap and AUC are Baseline's, to the last digit, in every model."""


@dataclass(frozen=True)
class Change:
    """A difference to Baseline with its interval over patients; `supported` as in `patient_intervals`."""

    value: float
    low: float
    high: float
    supported: bool


@dataclass(frozen=True)
class Line:
    """One method: its changes of gap and AUC, None where it is not compared, and then why."""

    label: str
    spec: str
    auc: float
    gap_change: Change | None
    auc_change: Change | None
    why: str = ""
    levelled_down: bool = False
    needs_attribute: bool = False
    comparator: bool = False


@dataclass(frozen=True)
class Group:
    """A group of a test set: its images, and Baseline's rates in it at the score 0.5, means over folds."""

    name: str
    n: int
    tpr: float
    fpr: float


@dataclass(frozen=True)
class Place:
    """One backbone on one test set: Baseline, its groups, and a line for each method."""

    backbone: str
    name: str
    title: str
    gap: str
    """Name of the metric."""
    gap_title: str
    auc: float
    """NaN where all images have the same label, or where it is suppressed."""
    auc_low: float
    auc_high: float
    gap_value: float
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    unjudged: str
    """Why Baseline cannot be judged, in a few words; empty if it is above chance and predicts both classes."""
    leaning: tuple[float, float]
    """The interval of Baseline's gap; from 0 where it cannot be told from 0."""

    @property
    def judged(self) -> bool:
        """Whether Baseline's gap says something about groups."""
        return not self.unjudged

    @property
    def ordered(self) -> list[Line]:
        """The lines from the largest reduction of the gap to the largest increase, those without one last.

        Comparators follow the other methods.
        """

        def key(line: Line) -> tuple[bool, float]:
            return line.comparator, line.gap_change.value if _known(line) else inf  # type: ignore[union-attr]

        return sorted(self.lines, key=key)


def _known(line: Line) -> bool:
    return line.gap_change is not None and isfinite(line.gap_change.value)


def answer(results: Results, cells: Sequence[Record]) -> list[Place]:
    """Return the places of a table that was tested over patients, from its cells; none without Baseline."""
    found = (_of_place(results, cells, backbone, name) for backbone, name in results.places)
    return [place for place in found if place is not None]


def _of_place(results: Results, cells: Sequence[Record], backbone: str, name: str) -> Place | None:
    info = results.info
    gaps, aucs = (results.column(backbone, name, metric) for metric in (info.gap, "auc"))
    base, auc = reference_of(gaps, BASELINE), reference_of(aucs, BASELINE)
    if base is None or auc is None:
        return None
    lines = [
        _line(gap, score, unchanged(gap, base) and unchanged(score, auc))
        for gap, score in zip(gaps, aucs, strict=True)
        if gap is not base
    ]
    own = results.leaning.get((backbone, name, info.gap))
    low, high = results.auc_intervals.get((backbone, name, auc.spec), (nan, nan))
    return Place(
        backbone=backbone,
        name=name,
        title=results.named(display_name(name), display_name(backbone)),
        gap=info.gap,
        gap_title=info.title(info.gap),
        auc=auc.mean,
        auc_low=low,
        auc_high=high,
        gap_value=base.mean,
        groups=_groups(results, [item for item in cells if item.cell.backbone == backbone], name),
        lines=tuple(lines),
        unjudged=_unjudged(base, auc),
        leaning=(own.own.low, own.own.high) if own else (nan, nan),
    )


def _unjudged(base: Row, auc: Row) -> str:
    """Say why Baseline cannot be judged, or nothing."""
    if isnan(auc.mean) and not auc.excluded:
        return ONE_LABEL
    if isnan(base.mean) and not base.excluded:
        return ONE_LABEL_IN_A_GROUP
    return WHY.get(base.excluded, base.excluded)


def _line(gap: Row, auc: Row, same: bool) -> Line:
    return Line(
        gap.label,
        gap.spec,
        auc.mean,
        None if same else _change(gap),
        None if same else _change(auc),
        SAME if same else WHY.get(gap.excluded, gap.excluded),
        gap.levelled_down,
        gap.needs_attribute,
        gap.comparator,
    )


def _change(row: Row) -> Change | None:
    return Change(row.difference, row.ci_low, row.ci_high, row.supported) if isfinite(row.difference) else None


def _groups(results: Results, cells: Sequence[Record], name: str) -> tuple[Group, ...]:
    """Return the groups of a set with Baseline's rates; none where their counts are suppressed."""
    baselines = [item for item in cells if item.cell.spec == BASELINE and name in item.scores]
    if name in results.suppressed or not baselines:
        return ()
    found = []
    for group in results.info.group_names:
        every = [item.scores[name].groups[group] for item in baselines]
        tpr, fpr = (summary([one.metrics.get(rate, nan) for one in every])[0] for rate in ("tpr", "fpr"))
        found.append(Group(group, min(one.n for one in every), tpr, fpr))
    return tuple(found)
