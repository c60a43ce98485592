"""The findings of one task beside each other: means, changes, macro average and worst finding of each method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from statistics import fmean
from typing import Any

import pandas as pd

from bench.data.set_lines import FEWEST
from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.patient_intervals import planned
from bench.reporting.numbers.ranking import Row
from bench.reporting.numbers.task_info import TaskInfo

MACRO, WORST = "macro average", "worst finding"
FEW = "few images"
"""Why a number is not shown: a group of the set has fewer than `FEWEST` images of a class."""
COLUMNS = [
    *("task", "synthetic", "backbone", "set", "metric", "row", "method", "spec", "label", "finding", "of"),
    *("mean", "std", "difference", "ci_low", "ci_high", "p", "p_holm", "supported", "why"),
]
_NUMBERS = ("mean", "std", "difference", "ci_low", "ci_high", "p", "p_holm")
_NO_NUMBERS = {**dict.fromkeys(_NUMBERS, nan), "of": "", "supported": False, "why": ""}


@dataclass(frozen=True)
class OverFindings:
    """The rows of all findings in the gap of the task and in AUC, with `MACRO` and `WORST` after them.

    `of` counts the findings behind a mean, or names the worst. `suppressed` are sets by finding, `claims` the size of
    the one family of claims, over which p are adjusted by Holm.
    """

    task: str
    info: TaskInfo
    findings: tuple[str, ...]
    frame: pd.DataFrame
    suppressed: Mapping[str, tuple[str, ...]]
    claims: int
    lacking: tuple[str, ...] = ()
    """Findings without results."""


def over_findings(task: str, every: Mapping[str, Results], lacking: tuple[str, ...] = ()) -> OverFindings:
    """Return the findings of a task beside each other, from the tested main table of each."""
    info = next(iter(every.values())).info
    few = {name: _few(results) for name, results in every.items()}
    records = [
        _record(task, results.info, finding, row, few=row.set in few[finding])
        for finding, results in every.items()
        for row in results.rows
        if row.set in info.ood and row.metric in (info.gap, "auc")
    ]
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in records:
        places.setdefault((one["backbone"], one["set"], one["metric"], one["spec"]), []).append(one)
    for place, same in places.items():
        shown = [name for name in every if place[1] not in few[name]]
        records += _together(same, shown, higher=place[2] == "auc")
    claims = sum(len(planned(results)) for results in every.values())
    suppressed = {name: sets for name, sets in few.items() if sets}
    return OverFindings(task, info, tuple(every), pd.DataFrame(records, columns=COLUMNS), suppressed, claims, lacking)


def _few(results: Results) -> tuple[str, ...]:
    """Return the test sets in which a group has too few images of a class, or counts are not known."""
    sizes = {name: results.sizes[name].cells.values() for name in results.info.ood if name in results.sizes}
    return tuple(name for name, counts in sizes.items() if min(counts, default=0) < FEWEST)


def _record(task: str, info: TaskInfo, finding: str, row: Row, *, few: bool) -> dict[str, Any]:
    known = {"task": task, "synthetic": info.synthetic, "finding": finding}
    known |= {name: getattr(row, name) for name in ("backbone", "set", "metric", "row", "method", "spec", "label")}
    if few or row.excluded:
        return {**known, **_NO_NUMBERS, "why": FEW if few else row.excluded}
    numbers = {name: getattr(row, name) for name in _NUMBERS}
    return {**known, **_NO_NUMBERS, **numbers, "supported": row.supported}


def _together(same: list[dict[str, Any]], shown: list[str], *, higher: bool) -> list[dict[str, Any]]:
    """Return the macro average and the worst finding of a method; NaN if it lacks the number of one that is shown."""
    values = {one["finding"]: one for one in same if isfinite(one["mean"])}
    base = {**same[0], **_NO_NUMBERS}
    of = f"{len(values)} of {len(shown)} findings"
    if not shown or len(values) < len(shown):
        why = FEW if not shown else "incomplete"
        return [{**base, "finding": name, "of": of, "why": why} for name in (MACRO, WORST)]
    mean, change = (fmean(values[name][key] for name in shown) for key in ("mean", "difference"))
    ranked = sorted(shown, key=lambda name: values[name]["mean"], reverse=not higher)
    return [
        {**base, "finding": MACRO, "of": of, "mean": mean, "difference": change},
        {**base, "finding": WORST, "of": ranked[0], "mean": values[ranked[0]]["mean"]},
    ]
