"""The external set: a small set, balanced by group, on which the methods are fitted.

SWiFT takes it from the validation part of a fold: every image of the smaller group, and as many images of the larger
group with the same ratio of classes. The groups are balanced within each class; the classes are not. The task says how
it is balanced (`balance`, `deficit`) and which share of it is used (`external`).

While settings are selected, a fifth of the validation part is set aside first: the holdout, on which `bench tune`
compares settings. So settings are compared on images that no method was fitted on, and no test image is read. This
split is our choice: SWiFT names no protocol and shows its epochs on the test sets.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pandas as pd

from bench.api import Task
from bench.data.folds import folds
from bench.errors import DataInvalid, EmptyGroup
from bench.seeds import seed_of

Cells = dict[tuple[int, int], np.ndarray]
"""(group, class) -> positions of its images."""
HOLDOUT = "holdout"
"""The name of the holdout as a set; it is the only test set while settings are selected."""
PARTS = 5
"""The holdout is one of this many parts."""


def external_set(validation: pd.DataFrame, parts: tuple[object, ...], *, task: Task | None = None) -> pd.DataFrame:
    """Return the rows of `validation` that form the external set, sorted by uid; images without a group never do.

    All images of the smaller group are kept (group 1 in a tie). From the larger group, as many images of each class are
    drawn without replacement. Where the larger group has too few, all are kept and the shortfall is drawn with
    replacement. `attrs["shortfall"]` holds the number of repeats of each class.

    Args:
        validation: the validation part of a fold: columns uid, y, a. The order of rows does not matter.
        parts: the seed of the draw, e.g. (seed, task, fold, attribute).
        task: its `balance`, `deficit` and `external` change the rule above, and its names appear in errors.

    Raises:
        EmptyGroup: a group has no images of a class, so that rates of that class are undefined.
    """
    table = validation.sort_values("uid", kind="stable", ignore_index=True)
    y, a = table["y"].to_numpy(), table["a"].to_numpy()
    cells = {(g, c): np.flatnonzero((a == g) & (y == c)) for g in (0, 1) for c in (0, 1)}
    for (g, c), rows in cells.items():
        if not len(rows):
            where, cell = " ".join(str(part) for part in parts), f"a={g}, y={c}"
            if task:
                cell = f'attribute "{task.attribute.names[g]}", label "{task.label.names[c]}"'
            raise EmptyGroup(
                f"external set ({where}): the validation part has no image with {cell}. "
                "Take fewer folds, set stratify=attribute, or choose a label or attribute with more such images."
            )
    balance, deficit, share = (task.balance, task.deficit, task.external) if task else ("matched", "resample", 1.0)
    rng = _generator(parts)
    if balance == "four_cells":
        # All cells have the size of the smallest, as published for LLFT and last-layer retraining.
        least = min(map(len, cells.values()))
        kept = {cell: _sample(rows, least, rng) for cell, rows in cells.items()}
    else:
        kept = _matched(cells, rng, balance, deficit)
    if share < 1:
        # Rounded up, so that no cell becomes empty; a smaller share is a subset of a larger one. Without the rounding
        # to nine digits, 0.07 * 100 is a little more than 7.
        rng = _generator((*parts, "subset"))
        kept = {cell: _sample(rows, math.ceil(round(share * len(rows), 9)), rng) for cell, rows in kept.items()}
    result = table.iloc[np.sort(np.concatenate([*kept.values()]))].reset_index(drop=True)
    repeats = {c: int(result.loc[result["y"] == c, "uid"].duplicated().sum()) for c in (0, 1)}
    shortfall = {c: n for c, n in repeats.items() if n}
    result.attrs = {**validation.attrs, "set": "external", "shortfall": shortfall}
    return result


def held_out(validation: pd.DataFrame, parts: tuple[object, ...], *, task: Task | None = None) -> np.ndarray:
    """Return which rows (N,) bool of a validation part are held out: whole patients, stratified by y and a.

    Args:
        validation: columns patient, source, y and a. The order of rows does not matter.
        parts: the seed for patients with equally many images, e.g. (seed, task, fold).
        task: its name appears in errors.

    Raises:
        DataInvalid: there are fewer patients than `PARTS`.
    """
    patients = validation["patient"].nunique()
    if patients < PARTS:
        where = f"task {task.name}: " if task else ""
        raise DataInvalid(
            f"{where}the validation part has {patients} patients (or lesions), but {PARTS} are needed for a holdout of "
            "a fifth: take fewer folds"
        )
    # The first part receives the first patient of each rare cell, without whom a gap on the holdout is undefined.
    return folds(validation, PARTS, seed_of("holdout", *parts), stratify="attribute", task=task) == 0


def _matched(cells: Cells, rng: np.random.Generator, balance: str, deficit: str) -> Cells:
    small = 0 if len(cells[0, 0]) + len(cells[0, 1]) < len(cells[1, 0]) + len(cells[1, 1]) else 1
    kept: Cells = {}
    for c in (0, 1):
        mine, pool = cells[small, c], cells[1 - small, c]
        lacking = len(mine) - len(pool)
        kept[small, c] = mine
        if balance == "reference":
            kept[1 - small, c] = _repeats(pool, len(mine), rng)
        elif lacking > 0 and deficit == "trim":
            kept[small, c], kept[1 - small, c] = _sample(mine, len(pool), rng), pool
        elif lacking > 0:
            kept[1 - small, c] = np.concatenate([pool, _repeats(pool, lacking, rng)])
        else:
            kept[1 - small, c] = _sample(pool, len(mine), rng)
    return kept


def _sample(pool: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first n of a random permutation."""
    return pool[np.argsort(rng.random(len(pool)), kind="stable")[:n]]


def _repeats(pool: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    return pool[(rng.random(n) * len(pool)).astype(np.int64)]


def _generator(parts: tuple[object, ...]) -> np.random.Generator:
    digest = hashlib.sha256("\n".join(str(part) for part in parts).encode()).digest()
    # Only uniform floats are drawn, because `choice` and `permutation` may change between releases of NumPy.
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
