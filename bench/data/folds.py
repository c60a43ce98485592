"""Folds: a partition of the patients (or lesions) of a set, balanced by source and label, and by attribute if asked.

For comparison there is also the protocol of the paper, which deals images: a patient may then be on both sides.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from bench.api import Task
from bench.errors import DataInvalid, UsageError

# Integers make the order of costs, and so the folds, the same on every platform; 10^9 fits into 64 bits.
_SCALE = 10**9
SEED, PAPER_SEED = 0, 42
"""Seeds of the folds by patient, and of those by image."""


def cut(table: pd.DataFrame, n: int, task: Task) -> np.ndarray:
    """Return the fold (N,) of every row under the protocol of the task."""
    if task.protocol == "paper":
        return image_folds(table, n, task=task)
    return folds(table, n, stratify=task.stratify, task=task)


def folds(
    table: pd.DataFrame, n: int = 5, seed: int = SEED, *, stratify: str = "label", task: Task | None = None
) -> np.ndarray:
    """Return the fold (N,) int64 in 0..n-1 of every row: the fold whose validation part it belongs to.

    The folds depend only on `seed`, the patients and their images, not on row order or platform. Patients are dealt one
    by one: those with most images first; of these, those whose most frequent stratum (source x y) is rarest; then by
    sha256(seed, patient). Each patient goes to the fold that has the fewest images of the patient's strata.

    Args:
        table: one row per image with columns patient, source and y.
        n: number of folds, 2 or more.
        seed: decides the order of patients with equally many images.
        stratify: "attribute" makes source x y x a the strata, from a column a.
        task: gives error messages the names of task, group and class.

    Raises:
        DataInvalid: fewer patients than folds.
    """
    if n < 2:
        raise UsageError(f"folds={n}: at least 2 allowed")
    names, patient = np.unique(table["patient"].to_numpy(dtype=object), return_inverse=True)
    if len(names) < n:
        raise DataInvalid(f"{_task(task)}{len(names)} patients (or lesions) cannot fill {n} folds: take fewer")
    # Images, y and a are balanced besides the strata: in small sets the rounding errors of many strata would add up.
    columns = [[], ["y"], ["source", "y"]]
    if stratify == "attribute":
        columns = [[], ["y"], ["a"], ["y", "a"], ["source", "y", "a"]]
    *margins, strata = (_counts(table, by, patient, len(names)) for by in columns)
    rank = [hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest() for name in names]
    return _deal(strata, np.hstack(margins), rank, n)[patient]


def image_folds(table: pd.DataFrame, n: int = 5, seed: int = PAPER_SEED, *, task: Task | None = None) -> np.ndarray:
    """Return the fold (N,) int64 in 0..n-1 of every row; images are dealt one by one within each class.

    The images of a class are dealt in the order of sha256(seed, uid), so the sizes of its folds differ by at most one,
    the first folds being the larger ones. SWiFT states neither unit nor strata. The sizes of its sets agree with this
    rule, and 42 is the seed of its public code.

    Args:
        table: one row per image with columns uid and y.

    Raises:
        DataInvalid: fewer images of a class than folds.
    """
    if n < 2:
        raise UsageError(f"folds={n}: at least 2 allowed")
    y, fold = table["y"].to_numpy(), np.empty(len(table), dtype=np.int64)
    rank = np.array([hashlib.sha256(f"{seed}\n{uid}".encode()).hexdigest() for uid in table["uid"]])
    for c in np.unique(y):
        of_class = np.flatnonzero(y == c)
        if len(of_class) < n:
            raise DataInvalid(
                f"{_task(task)}{len(of_class)} images with label {c} cannot fill {n} folds: take fewer folds"
            )
        fold[of_class[np.argsort(rank[of_class])]] = np.arange(len(of_class)) % n
    return fold


def _counts(table: pd.DataFrame, by: list[str], patient: np.ndarray, patients: int) -> np.ndarray:
    """Count the images of each patient in each cell of the columns `by`: int64 (patients, cells)."""
    cell = np.zeros(len(table), dtype=np.int64)
    for column in by:
        values, code = np.unique(table[column].to_numpy(dtype=object), return_inverse=True)
        cell = cell * len(values) + code
    counts = np.zeros((patients, cell.max() + 1), dtype=np.int64)
    np.add.at(counts, (patient, cell), 1)
    return counts


def _deal(strata: np.ndarray, margins: np.ndarray, rank: list[str], n: int) -> np.ndarray:
    """Assign patients to folds (P,); `strata` and `margins` (P, .) count the images of each patient by cell."""
    main, size = strata.argmax(axis=1), strata.sum(axis=1)
    rarity = np.bincount(main, weights=size, minlength=strata.shape[1])
    order = sorted(range(len(size)), key=lambda i: (-size[i], rarity[main[i]], main[i], rank[i]))
    counts = np.hstack([margins, strata])
    weight = _SCALE // np.maximum(counts.sum(axis=0), 1)
    filled = np.zeros((n, counts.shape[1]), dtype=np.int64)
    fold = np.empty(len(size), dtype=np.int64)
    for i in order:
        # The increase of sum_c filled_c^2 / total_c, without a term that is equal for all folds.
        fold[i] = np.argmin(filled @ (counts[i] * weight))
        filled[fold[i]] += counts[i]
    return fold


def _task(task: Task | None) -> str:
    return f"task {task.name}, " if task else ""
