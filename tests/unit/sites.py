"""Sites of a merge from fabricated cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.cells.identity import Cell, predictions_file
from bench.reporting.task_results import TaskResults, info_of
from bench.settings import Settings
from bench.tasks import TASKS
from tests.factory import Record, record, scores

TASK = TASKS["phantom-cxr-age"]
GROUPS = TASK.attribute.names
WIDE = {GROUPS[0]: (60, 40), GROUPS[1]: (75, 25)}
ROWS = {"baseline": 1, "llft": 5, "swift": 10}


def cell(method: str, fold: int, site: str, *, values: dict[str, Any] | None = None, **sets: Any) -> Record:
    """A cell of a site whose scores are `values` (metric -> number) on every set, 0.4 where none is given.

    `sets` give images by group as (negatives, positives); all sets but those given are `WIDE`.
    """
    name = method.partition(":")[0]
    scored = {part: scores(sets.get(part, WIDE), value=0.4, **values or {}) for part in (*TASK.ood, "val")}
    parts = ("train", "external", "val", *TASK.ood)
    return record(
        method,
        fold,
        task=TASK.name,
        hash=f"{site}-{method}-{fold}",
        title=name.title(),
        row=ROWS[name],
        parameters={"rate": 0.5},
        version=1,
        synthetic=False,
        data={part: (200, f"{site}-{part}-{'' if part in TASK.ood else fold}") for part in parts},
        scores=scored,
        metrics_version=1,
        cost={"epochs_equivalent": 1.0},
        baseline_sha256="b",
        environment={"bench": "0.1.0", "python": "3.11", "host": "zqhost"},
    )


def site(name: str, cells: Sequence[Record] | None = None, /, **changes: Any) -> TaskResults:
    """A site of its own images: Baseline and SWiFT in two folds, or these cells; `changes` are of its task."""
    made = [cell(method, fold, name) for method in ("baseline", "swift") for fold in (0, 1)]
    task = dataclasses.replace(TASK, **changes)
    settings = Settings(task.name, Path("nowhere"), Path("nowhere/cache"), None)
    return TaskResults(settings, task, info_of(task, synthetic=False), cells if cells is not None else made, [])


def with_predictions(name: str, folder: Path, tables: Mapping[tuple[str, int], pd.DataFrame]) -> TaskResults:
    """A site with the predictions of `tables`: (method, fold) -> frame."""
    made = site(name)
    settings = dataclasses.replace(made.settings, results=folder / name)
    for (method, fold), table in tables.items():
        file = predictions_file(settings.results, Cell(TASK.name, "small", method, fold, 0))
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(file)
    return dataclasses.replace(made, settings=settings)


def predictions(prefix: str, logits: Sequence[float], y: Sequence[int], a: Sequence[int]) -> pd.DataFrame:
    """Predictions of the same images in every set, each image with an id of its own."""
    sets = []
    for name in ("val", *TASK.ood):
        ids = [f"{prefix}-{name}-{k}" for k in range(len(y))]
        sets.append(
            pd.DataFrame({"set": name, "image_id": ids, "cluster": range(len(y)), "y": y, "a": a, "logit": logits})
        )
    return pd.concat(sets, ignore_index=True)
