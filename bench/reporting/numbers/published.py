"""The published numbers as printed: Yan et al., SWiFT, MELBA 2025:015, Tables 1-9, without numbers from figures.

They are in `results/published/` of a checkout, and beside this package in a wheel.
"""

from __future__ import annotations

from functools import cache

import pandas as pd

from bench.files import shipped
from bench.spec import name_of

COLUMNS = ["key", "table", "task", "backbone", "test_set", "attribute", "method", "metric", "mean", "std", "n", "note"]
"""`key` is the spec of the row, `n` the folds; `note` names differences between the paper's text and table."""
PAPER = "Yan et al., MELBA 2025:015"
MAIN_TABLES = (1, 2, 3, 4)
"""Tables with all ten methods."""

_NAME = "swift-melba-2025"


def everything() -> pd.DataFrame:
    """Return every number of the tables, one per row, with the columns `COLUMNS`; NaN if it was illegible."""
    return _read(f"{_NAME}.csv").copy()


def published(task: str, backbone: str) -> pd.DataFrame:
    """Return the published numbers of a task, each once although tables repeat them; empty if there are none.

    Variants (`cxr-age:preset=paper`) have those of their task.
    """
    table = everything()
    rows = table[(table["task"] == name_of(task)) & (table["backbone"] == backbone)]
    return rows.drop_duplicates(["key", "test_set", "metric"]).reset_index(drop=True)


def sizes(task: str = "") -> dict[str, int]:
    """Return the number of images of each test set in the paper, or of `train`, `val` and `external` of a task.

    Variants have those of their task. The paper does not say how large the external set of more than two groups is.
    """
    table = _read(f"{_NAME}-sets.csv")
    rows = table[table["task"] == (name_of(task) if task else "")]
    return dict(zip(rows["set"], rows["n"].astype(int), strict=True))


@cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(shipped("published") / name, keep_default_na=False, na_values={"mean": [""], "std": [""]})
