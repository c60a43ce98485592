"""What mitigating one attribute did to others: gaps of further attributes and of crossings, from stored predictions.

Each attribute is scored on each test set as the mitigated one is: the same metric, the same bootstrap samples of the
patients, the same rows, so that its differences to Baseline are those of the other tables. Nothing is trained for it.
Groups with fewer than `LEAST` images of a class are left out of a gap, and named. With `--min-cell`, an attribute is
not shown on a set at all if a group and class has fewer images there: the others and the whole would reveal it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from math import isnan, nan
from typing import Literal

import numpy as np
import pandas as pd
from msgspec import structs

from bench.api import NO_GROUP, Task
from bench.cells.bounds import Change, Count, Share
from bench.cells.predictions import ATTRIBUTE, Scored
from bench.cells.record import Record
from bench.cells.rescore import set_scores
from bench.data.attributes import UNIT, crossed
from bench.reporting.numbers.aggregate import BASELINE, Results, collect
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.patient_intervals import over_patients, place_of
from bench.reporting.numbers.ranking import Row
from bench.reporting.numbers.redraws import PredictionsOf, bootstrap_patients, spec_of
from bench.reporting.numbers.task_info import TaskInfo
from bench.scoring.metrics import evaluate
from bench.scoring.statistics import holm, supported

LEAST = 10
"""Images of each class that a group must have to enter a gap."""
Kind = Literal["mitigated", "measured", "crossing"]


COLUMNS = [
    *("task", "synthetic", "backbone", "set", "attribute", "kind", "primary", "groups", "left_out", "unknown"),
    *("fewest", "spec", "label", "metric", "mean", "std", "folds", "difference", "ci_low", "ci_high", "p"),
    *("p_holm", "supported", "levelled_down", "why"),
]
"""Columns of attributes.csv: of `Measured` and `Line`; groups are separated by semicolons."""


@dataclass(frozen=True)
class Line:
    """One method: its gap, and the difference to Baseline with its interval over patients; None where undefined."""

    backbone: str
    spec: str
    label: str
    needs_attribute: bool = False
    mean: Share | None = None
    std: Share | None = None
    folds: Count = 0
    why: str = ""
    """Why it is not compared, as in `Row.excluded`."""
    difference: Change | None = None
    ci_low: Change | None = None
    ci_high: Change | None = None
    p: Share | None = None
    p_holm: Share | None = None
    supported: bool = False
    levelled_down: bool = False


@dataclass(frozen=True)
class Measured:
    """One attribute, or a crossing of two, on one test set."""

    set: str
    attribute: str
    kind: Kind
    groups: tuple[str, ...] = ()
    """The groups that are compared."""
    left_out: tuple[str, ...] = ()
    """Groups with too few images of a class."""
    unknown: Count = 0
    """Images whose group is not known."""
    fewest: Count = 0
    """The fewest images of a group and class, of all that has images."""
    primary: bool = False
    why: str = ""
    """Why there are no numbers."""
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Question:
    """An attribute on a test set before anything is drawn: its cells, scored on it, and what reads their predictions.

    Without results, `asked.why` says why there are none.
    """

    asked: Measured
    cells: Sequence[Record] = ()
    results: Results | None = None
    read: PredictionsOf | None = field(default=None, repr=False, compare=False)

    @property
    def family(self) -> set[tuple[str, ...]]:
        """The claims of a primary attribute: its gap on each backbone, every method against Baseline."""
        if self.results is None or not self.asked.primary:
            return set()
        rows = [row for row in _gaps(self.results) if row.spec != BASELINE]
        return {place_of(row) for row in rows if row.excluded not in ("undefined", "suppressed")}

    def tested(self, claims: int) -> Results | None:
        """Return the results with intervals over patients; `claims` is the size of the family of the task."""
        if self.results is None or self.read is None:
            return None
        family = {spec_of(item) for item in self.cells} if self.family else ()
        of_family = {"family": family, "claims": claims} if family else {}
        drawn = bootstrap_patients(self.cells, self.results.info, self.read, **of_family)
        return over_patients(self.results, drawn, family=self.family)


def with_groups(read: PredictionsOf, groups: pd.DataFrame | None) -> PredictionsOf:
    """Return predictions whose images have the groups of further attributes too, -1 for an image without any."""
    frames: dict[int, tuple[pd.DataFrame, pd.DataFrame]] = {}

    def joined(item: Record) -> Scored:
        images, logit = read(item)
        if groups is None:
            return Scored(images, logit)
        if id(images) not in frames:  # the frame is kept, so that no other one gets its id
            found = groups.reindex(images["image_id"])
            codes = {str(name): found[name].fillna(NO_GROUP).to_numpy("int8") for name in found if name != UNIT}
            codes |= {UNIT: found[UNIT].fillna("").to_numpy()} if UNIT in found else {}
            frames[id(images)] = images, images.assign(**codes)
        return Scored(frames[id(images)][1], logit)

    return joined


def pairs(task: Task, known: Sequence[str]) -> list[tuple[str, str]]:
    """Return the crossings of two attributes; that which is mitigated is not among them."""
    names = [*([] if task.attribute.cross else [ATTRIBUTE]), *known]
    return [pair for pair in combinations(names, 2) if set(pair) != set(task.attribute.cross)]


def questions(
    task: Task, info: TaskInfo, cells: Sequence[Record], read: PredictionsOf, gone: Mapping[str, frozenset[str]]
) -> list[Question]:
    """Return every further attribute, then every crossing, on each test set, scored on all cells with predictions.

    `gone` are the sets that the main table suppresses: there further attributes are suppressed too.
    """
    groups = {name: one.names for name, one in task.also.items()} | {ATTRIBUTE: task.attribute.names}
    kept, frames = [], dict[int, pd.DataFrame]()
    for item in cells:
        try:
            frames.setdefault(id(images := read(item).images), images)
        except (OSError, ValueError):
            continue
        kept.append(item)
    known = [name for name in task.also if frames and all(ATTRIBUTE + name in one for one in frames.values())]
    wanted = [*((name,) for name in known), *pairs(task, known)]
    found = []
    for name in info.ood:
        for parts in wanted:
            asked = Measured(
                name,
                " x ".join(display_name(task.attribute.column) if part == ATTRIBUTE else part for part in parts),
                "crossing" if len(parts) > 1 else "measured",
                primary=len(parts) == 1 and task.also[parts[0]].primary,
            )
            found.append(_question(asked, parts, groups, info, kept, read, gone))
    return found


# long because a question follows from all of these
def _question(
    asked: Measured,
    parts: Sequence[str],
    groups: Mapping[str, tuple[str, ...]],
    info: TaskInfo,
    cells: Sequence[Record],
    read: PredictionsOf,
    gone: Mapping[str, frozenset[str]],
) -> Question:
    here = [item for item in cells if asked.set in item.scores]
    if asked.set in gone or not here:
        return Question(replace(asked, why="suppressed" if asked.set in gone else "no predictions"))
    names, sizes = _names(parts, groups), [len(groups[part]) for part in parts]
    images = read(here[0]).images
    images = images[images["set"] == asked.set]
    codes = _codes(images, parts)
    code = crossed(codes, sizes)
    least = fewest([*codes, images["y"].to_numpy()])
    by_class = np.array([[int(((code == g) & (images["y"] == y)).sum()) for y in (0, 1)] for g in range(len(names))])
    if info.min_cell and min(least, int(by_class.min())) < info.min_cell:
        return Question(replace(asked, why="suppressed"))
    enough = by_class.min(axis=1) >= LEAST
    asked = replace(
        asked,
        groups=tuple(name for name, one in zip(names, enough, strict=True) if one),
        left_out=tuple(name for name, one in zip(names, enough, strict=True) if not one),
        unknown=int((code == NO_GROUP).sum()),
        fewest=least,
    )
    if len(asked.groups) < 2:
        known = asked.unknown < len(code)
        return Question(replace(asked, why="fewer than two groups" if known else "not known of any image"))
    renumbered = np.append(np.where(enough, np.cumsum(enough) - 1, NO_GROUP), NO_GROUP)  # the last one is that of -1
    by_group = seen(read, lambda rows: renumbered[crossed(_codes(rows, parts), sizes)])
    scored = [_scored(item, asked, by_group(item), ("auc", info.gap)) for item in here]
    one = replace(
        info,
        attribute_name=asked.attribute,
        group_names=asked.groups,
        ood=(asked.set,),
        columns=("auc", info.gap),
        part=f"{asked.attribute}, {asked.set}",
    )
    return Question(asked, scored, collect(scored, (), replace(one, min_cell=0)), by_group)


def fewest(codes: Sequence[np.ndarray]) -> int:
    """Return the fewest images of a combination of codes that has any; one that is not known (-1) is a code too."""
    return int(pd.DataFrame(dict(enumerate(codes))).value_counts().min())


def _names(parts: Sequence[str], groups: Mapping[str, tuple[str, ...]]) -> list[str]:
    names = list(groups[parts[0]])
    for part in parts[1:]:
        names = [f"{name} / {other}" for name in names for other in groups[part]]
    return names


def _codes(images: pd.DataFrame, parts: Sequence[str]) -> list[np.ndarray]:
    return [images["a" if part == ATTRIBUTE else ATTRIBUTE + part].to_numpy(int) for part in parts]


def seen(read: PredictionsOf, code: Callable[[pd.DataFrame], np.ndarray]) -> PredictionsOf:
    """Return predictions whose column `a` is another attribute; models that share a frame go on sharing one."""
    frames: dict[int, tuple[pd.DataFrame, pd.DataFrame]] = {}

    def other(item: Record) -> Scored:
        images, logit = read(item)
        if id(images) not in frames:
            frames[id(images)] = images, images[["image_id", "set", "cluster", "y"]].assign(a=code(images))
        return Scored(frames[id(images)][1], logit)

    return other


def _scored(item: Record, asked: Measured, predictions: Scored, metrics: Sequence[str]) -> Record:
    """Return a cell whose scores are some metrics of another attribute on one set."""
    images, logit = predictions
    here = (images["set"] == asked.set).to_numpy()
    threshold = item.scores[asked.set].metrics.get("tuned_threshold", float("nan"))
    y, a = (images[name].to_numpy()[here] for name in ("y", "a"))
    found = evaluate(logit[here], y, a, asked.groups, threshold, wanted=metrics)
    scores = set_scores(found, asked.attribute)
    return structs.replace(item, scores={asked.set: scores}, attributes={asked.attribute: asked.groups})


def measured(
    main: Results, task: Task, asked: Sequence[tuple[Question, Results | None]], claims: Sequence[float]
) -> list[Measured]:
    """Return the mitigated attribute, then all others, by test set.

    `main` are the tested results of the main table, and `asked` the questions with theirs. `claims` are the p of the
    family of the main table: together with those of primary attributes they are one family, adjusted by Holm.
    """
    primary = {(one.asked, place): p for one, tested in asked for place, p in claims_of(one, tested).items()}
    adjusted = dict(zip(primary, holm([*primary.values(), *claims])[: len(primary)], strict=True))
    found = []
    for name in main.info.ood:
        found.append(_mitigated(main, task, name))
        for one, tested in asked:
            if one.asked.set == name:
                rows = _gaps(tested) if tested else []
                lines = tuple(_line(row, adjusted.get((one.asked, place_of(row)), nan)) for row in rows)
                found.append(replace(one.asked, lines=lines))
    return found


def claims_of(one: Question, tested: Results | None) -> dict[tuple[str, ...], float]:
    """Return p of each claim of a primary attribute; a claim that cannot be tested counts as one that was not found."""
    rows = [row for row in _gaps(tested) if place_of(row) in one.family] if tested else []
    return {place_of(row): 1.0 if isnan(row.p) else row.p for row in rows}


def hidden(one: Measured, gone: Mapping[str, frozenset[str]], min_cell: int) -> Measured:
    """Return what a reader may see of an attribute that was measured elsewhere, with a limit of his own."""
    few = bool(min_cell and not one.why and (one.fewest < min_cell or one.left_out))
    return (
        Measured(one.set, one.attribute, one.kind, primary=one.primary, why="suppressed")
        if few or one.set in gone
        else one
    )


def _mitigated(main: Results, task: Task, name: str) -> Measured:
    gone = name in main.suppressed
    counts = [n for key, n in main.sizes[name].cells.items()] if name in main.sizes and not gone else []
    return Measured(
        name,
        display_name(task.attribute.column),
        "mitigated",
        groups=() if gone else task.attribute.names,
        unknown=sum(main.without_group.get(name, {}).values()),
        fewest=min(counts, default=0),
        primary=True,
        why="suppressed" if gone else "" if name in main.sizes else "no predictions",
        lines=tuple(_line(row, row.p_holm) for row in _gaps(main) if row.set == name and not gone),
    )


def _gaps(results: Results) -> list[Row]:
    return [row for row in results.rows if row.metric == results.info.gap and row.set in results.info.ood]


def _line(row: Row, p_holm: float) -> Line:
    names = ("mean", "std", "difference", "ci_low", "ci_high", "p")
    numbers = {name: None if isnan(value := getattr(row, name)) else value for name in names}
    return Line(
        row.backbone,
        row.spec,
        row.label,
        row.needs_attribute,
        folds=row.n,
        why=row.excluded,
        p_holm=None if isnan(p_holm) else p_holm,
        supported=not isnan(p_holm) and supported(p_holm),
        levelled_down=row.levelled_down,
        **numbers,
    )


def frame(found: Sequence[Measured], info: TaskInfo) -> pd.DataFrame:
    """Return one row per backbone, test set, attribute and method, and one of each attribute without numbers."""
    records = []
    for one in found:
        of = {name: value for name, value in asdict(one).items() if name != "lines"}
        of |= {"groups": "; ".join(one.groups), "left_out": "; ".join(one.left_out)}
        known = {"task": info.name, "synthetic": info.synthetic, "metric": info.gap, **of}
        records += [{**known, **asdict(line), "why": line.why} for line in one.lines] or [known]
    return pd.DataFrame(records, columns=COLUMNS)
