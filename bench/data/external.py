"""The external set: a small set, balanced by group, on which the methods are fitted.

SWiFT cuts it from the validation part of a fold: every image of the smaller group, and as many of the larger one
with the same ratio of classes. It is balanced between the groups within each class, not between the classes.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from bench.api import Task
from bench.data.folds import cell_name
from bench.errors import EmptyGroup


def external_set(validation: pd.DataFrame, parts: tuple[object, ...], *, task: Task | None = None) -> pd.DataFrame:
    """Return the rows of `validation` that make the external set, sorted by uid.

    Group m is the smaller one (a tie: 1), M the other. All of m is kept; of M as many images of each class as m has
    are drawn without replacement. Where M has fewer, all of them are kept, the shortfall is drawn with
    replacement and stated in `attrs["shortfall"]` (class -> images that are repeats).

    Args:
        validation: the validation part of a fold: columns uid, y, a.
        parts: what seeds the draw, e.g. (seed, task, fold, attribute). Row order plays no part.
        task: gives the error message the names of task, group and class.

    Raises:
        EmptyGroup: a group without images of a class: rates of that class have no meaning then.
    """
    table = validation.sort_values("uid", kind="stable", ignore_index=True)
    y, a = table["y"].to_numpy(), table["a"].to_numpy()
    cells = {(g, c): np.flatnonzero((a == g) & (y == c)) for g in (0, 1) for c in (0, 1)}
    for (g, c), rows in cells.items():
        if not len(rows):
            where = " ".join(str(part) for part in parts)
            raise EmptyGroup(
                f"external set ({where}): the validation part has no image with {cell_name(g, c, task)}. "
                "Take fewer folds, or choose a label or attribute with more images of this kind."
            )
    small = 0 if (a == 0).sum() < (a == 1).sum() else 1
    rng = _generator(parts)
    kept = [cells[small, 0], cells[small, 1]]
    shortfall: dict[int, int] = {}
    for c in (0, 1):
        pool, wanted = cells[1 - small, c], len(cells[small, c])
        if len(pool) < wanted:
            shortfall[c] = wanted - len(pool)
            kept += [pool, pool[(rng.random(shortfall[c]) * len(pool)).astype(np.int64)]]
        else:
            kept.append(pool[np.argsort(rng.random(len(pool)), kind="stable")[:wanted]])
    result = table.iloc[np.sort(np.concatenate(kept))].reset_index(drop=True)
    result.attrs = {**validation.attrs, "set": "external", "shortfall": shortfall}
    return result


def _generator(parts: tuple[object, ...]) -> np.random.Generator:
    digest = hashlib.sha256("\n".join(str(part) for part in parts).encode()).digest()
    # Only uniform floats are drawn: `choice` and `permutation` may change between releases of NumPy.
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
