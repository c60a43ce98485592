"""The ties of a generated source: what is planted between its label and its attributes, and what its seed drew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.api import Dataset
from bench.data.phantom_tree import MARKER, is_phantom
from bench.doctor.check_table import attributes


def planted_ties(dataset: Dataset, root: Path) -> Mapping[tuple[str, str], float]:
    """Return the log odds ratios that are planted, (label, attribute) -> value; of a phantom tree, those of its marker.

    No other pair of the label and the attributes is tied. Real data have none: {}.
    """
    if not dataset.synthetic and is_phantom(root):
        planted = json.loads((root / MARKER).read_text(encoding="utf-8"))["planted"]
        return {(planted["label"], planted["attribute"].replace(" ", "")): float(planted["log_odds"])}
    return dataset.planted()


def ties(dataset: Dataset, used: pd.DataFrame, planted: Mapping[tuple[str, str], float]) -> list[dict[str, Any]]:
    """Return the planted and the found log odds ratio, with its standard error, of each pair of label and attributes.

    A pair with the label is counted in images, because the label is drawn for each image. A pair of attributes is
    counted in patients, whose images all have the same attributes.
    """
    people = attributes(dataset, used.drop_duplicates("patient"))
    images = attributes(dataset, used)
    pairs = []
    for label in dict.fromkeys(label for label, _ in planted):
        y = pd.to_numeric(used[label], errors="coerce")
        pairs += [(label, name, planted.get((label, name), 0.0), y, a) for name, a in images.items()]
    pairs += [(one, other, 0.0, people[one], people[other]) for one, other in combinations(people, 2)]
    found = []
    for one, other, expected, x, y in pairs:
        if x.notna().any() and y.notna().any():
            ratio, error = log_odds_ratio(x, y)
            found.append({"tie": f"{one} x {other}", "planted": expected, "found": ratio, "error": error})
    return found


def log_odds_ratio(x: pd.Series, y: pd.Series) -> tuple[float, float] | tuple[None, None]:
    """Return the log odds ratio of two columns of 0, 1 and NaN, and its standard error (Woolf, 1955).

    Rows with a NaN are left out. Both are None where one of the four combinations does not occur.
    """
    counts = np.array([[int(((x == i) & (y == j)).sum()) for j in (0, 1)] for i in (0, 1)], dtype=float)
    if not counts.all():
        return None, None
    ratio = np.log(counts[0, 0]) + np.log(counts[1, 1]) - np.log(counts[0, 1]) - np.log(counts[1, 0])
    return float(ratio), float(np.sqrt((1 / counts).sum()))
