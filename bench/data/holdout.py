"""The holdout: a fifth of a fold's validation part, on which `bench tune` compares settings.

It is taken before the external set is cut, so no image on which settings are compared was fitted on, and no test
image is read. The split is the harness's choice: SWiFT names no protocol and shows its epochs on the test sets.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.api import Task
from bench.data.folds import folds
from bench.errors import DataInvalid
from bench.seeds import seed_of

HOLDOUT = "holdout"
"""Its name as a set: the only test set of a task while settings are selected."""
PARTS = 5
"""The holdout is one of so many parts."""


def held_out(validation: pd.DataFrame, parts: tuple[object, ...], *, task: Task | None = None) -> np.ndarray:
    """Return which rows (N,) bool of the validation part of a fold are held out: whole groups, stratified by y and a.

    Args:
        validation: columns patient, source, y and a.
        parts: what seeds the order of equally large groups, e.g. (seed, task, fold). Row order plays no part.
        task: gives the error message the name of the task.

    Raises:
        DataInvalid: fewer groups than `PARTS`.
    """
    groups = validation["patient"].nunique()
    if groups < PARTS:
        where = f"task {task.name}: " if task else ""
        raise DataInvalid(
            f"{where}the validation part has {groups} groups (patients, lesions) and {PARTS} are needed to hold "
            "a fifth of them out: take fewer folds"
        )
    # Of rare cells the first part has the first group: a gap on the holdout is undefined without one.
    return folds(validation, PARTS, seed_of("holdout", *parts), task=task) == 0
