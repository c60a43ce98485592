"""What the curves of an ablation are drawn from: cells of variants of a task, and of settings of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from bench.cells.record import Fit, Record
from bench.report.numbers import frames
from bench.report.numbers.aggregate import BASELINE, IN_DOMAIN
from bench.report.numbers.suppression import number_of
from bench.report.task_results import Material
from bench.run.ablate import values

EPOCHS, EXTERNAL, RESET = "epochs", "external", "reset_share"
OF_TASK = (EPOCHS, EXTERNAL)
"""Fields of a task that a figure is drawn against; each value is a variant of the task."""


def variants(material: Material, field: str) -> dict[float, Material]:
    """The task with each value of a field of which there are results."""
    found = {float(value): material.variant(field, value) for value in values(material.task, field)}
    return {value: one for value, one in found.items() if one is not None and one.tables[0].cells}


def of_task(found: Mapping[float, Material]) -> pd.DataFrame:
    """One frame of `frames.along` from variants: scores and costs of each method with more than one of them."""
    parts = {
        value: pd.concat([frames.by_fold(one.results), frames.costs(one.tables[0].cells, one.results)])
        for value, one in found.items()
    }
    frame = frames.along({x: part[part["spec"] != BASELINE].drop_duplicates() for x, part in parts.items()})
    several = frame.groupby(["backbone", "spec"])["x"].transform("nunique") > 1
    return frame[several]


def images(found: Mapping[float, Material]) -> dict[float, str]:
    """Share of the external set and, below it, its images, mean over folds; these not where that is withheld."""
    return {value: f"{value:g}{_images(one)}" for value, one in found.items()}


def of_head(material: Material) -> pd.DataFrame:
    """Scores against the share of the head that is reset, as `frames.along` gives them, with Baseline's.

    `own` marks the method with its defaults, at the share that its cells logged.
    """
    parts = []
    for table in material.tables:
        if table.name.endswith(f"-{RESET}"):
            cells = {item.cell.spec: item.cell for item in table.cells}
            shares = {spec: cell.parameters.get(RESET) for spec, cell in cells.items()}
            frame = frames.by_fold(material.results_of(table))
            settings = {share: _as_default(frame, cells[spec]) for spec, share in shares.items() if share is not None}
            line = frames.along(settings)
            kept = frame.merge(line[["backbone", "set", "metric", "fold"]].drop_duplicates())
            own = kept.merge(_shares(table.cells), on=["backbone", "spec", "fold"])
            parts += [line.assign(own=False), own.assign(own=True), kept[kept["spec"] == BASELINE].assign(own=False)]
    return pd.concat(parts, ignore_index=True).drop_duplicates()


def _as_default(frame: pd.DataFrame, cell: Fit) -> pd.DataFrame:
    """The rows of a setting, named as the method: they are points of its line."""
    return frame[frame["spec"] == cell.spec].assign(spec=cell.method, label=cell.title)


def _shares(cells: Sequence[Record]) -> pd.DataFrame:
    """The share that each default cell logged, as `x` by backbone, spec and fold."""
    records = [
        {**{name: getattr(item.cell, name) for name in ("backbone", "spec", "fold")}, "x": item.log[RESET]}
        for item in cells
        if item.cell.spec == item.cell.method and RESET in item.log
    ]
    found = pd.DataFrame(records, columns=["backbone", "spec", "fold", "x"])
    return found.groupby(["backbone", "spec", "fold"], as_index=False).mean()


def _images(one: Material) -> str:
    if IN_DOMAIN in one.results.withheld:
        return ""
    counts = [item.external for item in one.tables[0].cells]
    mean = round(sum(counts) / len(counts))
    return f"\n{number_of(mean, one.info) if mean else 0}"
