"""Sets that share images, and what follows from their counts by adding and subtracting.

Whoever sees the counts of a test set and of a part of it knows those of the rest. So a limit on small counts
(`--min-cell`) applies to such a rest as well, although no table shows it (`suppression`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations, product

import numpy as np
import pandas as pd

from bench.cells.predictions import ATTRIBUTE
from bench.cells.record import Record
from bench.reporting.numbers.redraws import PredictionsOf
from bench.reporting.numbers.task_info import Overlap

MOST = 7
"""Of more sets that share images with each other, a small rest is assumed: there are 3^sets ways to combine them."""


def overlaps(cells: Sequence[Record], read: PredictionsOf, *, units: bool = False) -> tuple[Overlap, ...] | None:
    """Return each pair of sets that shares images, and all sets that together give a rest; None if that is not known.

    Images are those of the first predictions that can be read. Where units are counted, such as patients, how many
    are in a rest is not looked at: `least` is 0 then.
    """
    for item in cells:
        try:
            images = read(item).images
        except (OSError, ValueError):
            continue
        if not images["image_id"].duplicated().any():
            return ()
        return tuple(replace(one, least=0) if units and one.least else one for one in _overlaps(images))
    return None


def _overlaps(images: pd.DataFrame) -> Iterator[Overlap]:
    member = pd.crosstab(images["image_id"], images["set"]) > 0
    shared = member.T.astype(int) @ member.astype(int) > 0
    pairs = [pair for pair in combinations(member.columns, 2) if shared.loc[pair]]
    names = tuple(sorted(set(chain.from_iterable(pairs))))
    if len(names) > MOST:
        yield Overlap(names, 0)
        return
    inside = member.loc[member[list(names)].any(axis=1), list(names)]
    facts = images.drop_duplicates("image_id").set_index("image_id").loc[inside.index]
    rests = dict[tuple[str, ...], int]()
    for sets, least in _rests(inside, facts):
        rests[sets] = min(least, rests.get(sets, least))
    yield from (Overlap(sets, rests.get(sets)) for sets in dict.fromkeys([*pairs, *rests]))


def _rests(member: pd.DataFrame, facts: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the sets of each sum and difference that has every image once or not at all, and its `Overlap.least`."""
    kinds, of = np.unique(member.to_numpy(int), axis=0, return_inverse=True)
    names = [name for name in map(str, facts) if name == "a" or name.startswith(ATTRIBUTE)]
    crossed = list(combinations(names, 2)) or [tuple(names)]
    cells = [facts.groupby(["y", *pair]).ngroup().to_numpy() for pair in crossed]
    for signs in product((-1, 0, 1), repeat=len(member.columns)):
        times = kinds @ np.array(signs)
        if times.any() and set(times) <= {0, 1} and -1 in signs:
            rest = (times == 1)[of.ravel()]
            counts = (np.bincount(cell[rest], minlength=cell.max() + 1).min() for cell in cells)
            yield tuple(member.columns[np.array(signs) != 0]), int(min(counts))
