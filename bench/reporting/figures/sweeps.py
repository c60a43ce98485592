"""What figures need to know of a task without drawing: cells of its variants, and of the settings of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import pandas as pd

from bench.cells.record import Fit, Record
from bench.reporting.numbers import frames
from bench.reporting.numbers.aggregate import BASELINE, IN_DOMAIN
from bench.reporting.numbers.suppression import number_of
from bench.reporting.task_results import TaskResults
from bench.running.ablate import values
from bench.running.plan import preset_of, within

EPOCHS, EXTERNAL, RESET = "epochs", "external", "reset_share"
OF_TASK = (EPOCHS, EXTERNAL)
"""Fields of a task that are the horizontal axis of a figure; each value is a variant of the task."""
ILLUSTRATED = ("baseline", "swift")
"""The columns of Figure 1."""
COMPARED = ("baseline", "llft", "diff_prune", "swift")
"""The columns of Figure 5."""
MASKED = ("swift",)
"""The method whose importances and mask Figures 3, 8 and 9 show."""


def variants(results: TaskResults, field: str) -> dict[float, TaskResults]:
    """Return the results of the task with each value of a field, where there are any."""
    found = {float(value): results.variant(field, value) for value in values(results.task, field)}
    return {value: one for value, one in found.items() if one is not None and one.tables[0].cells}


def of_task(found: Mapping[float, TaskResults]) -> pd.DataFrame:
    """Return scores and costs of variants as a frame of `frames.along`, of methods with more than one variant."""
    parts = {
        value: pd.concat([frames.by_fold(one.results), frames.costs(one.tables[0].cells, one.results)])
        for value, one in found.items()
    }
    frame = frames.along({x: part[part["spec"] != BASELINE].drop_duplicates() for x, part in parts.items()})
    several = frame.groupby(["backbone", "spec"])["x"].transform("nunique") > 1
    return frame[several]


def images(found: Mapping[float, TaskResults]) -> dict[float, str]:
    """Return the share of the external set and, below it, its mean size over folds unless that is suppressed."""
    ticks = {}
    for value, one in found.items():
        mean = round(fmean(item.external for item in one.tables[0].cells))
        size = f"\n{number_of(mean, one.info) if mean else 0}"
        ticks[value] = f"{value:g}{'' if IN_DOMAIN in one.results.suppressed else size}"
    return ticks


def of_head(results: TaskResults) -> pd.DataFrame:
    """Return scores against the share of the head that is reset as a frame of `frames.along`, with Baseline's.

    `own` marks the method with its defaults, at the share that its cells logged.
    """
    parts = []
    for table in results.tables:
        if table.name.endswith(f"-{RESET}"):
            cells = {item.cell.spec: item.cell for item in table.cells}
            shares = {spec: cell.parameters.get(RESET) for spec, cell in cells.items()}
            frame = frames.by_fold(results.results_of(table))
            settings = {share: _as_default(frame, cells[spec]) for spec, share in shares.items() if share is not None}
            line = frames.along(settings)
            kept = frame.merge(line[["backbone", "set", "metric", "fold"]].drop_duplicates())
            own = kept.merge(_shares(table.cells), on=["backbone", "spec", "fold"])
            parts += [line.assign(own=False), own.assign(own=True), kept[kept["spec"] == BASELINE].assign(own=False)]
    return pd.concat(parts, ignore_index=True).drop_duplicates()


def _as_default(frame: pd.DataFrame, cell: Fit) -> pd.DataFrame:
    """Return the rows of a setting under the name of the method, because they are points of its line."""
    return frame[frame["spec"] == cell.spec].assign(spec=cell.method, label=cell.title)


def _shares(cells: Sequence[Record]) -> pd.DataFrame:
    """Return the share that each cell with default parameters logged, as `x` by backbone, spec and fold."""
    keys = ["backbone", "spec", "fold"]
    records = [
        (*(getattr(item.cell, key) for key in keys), item.log[RESET])
        for item in cells
        if within(item.cell.spec, preset_of(item.cell.task)) == item.cell.method and RESET in item.log
    ]
    return pd.DataFrame(records, columns=[*keys, "x"]).groupby(keys, as_index=False).mean()
