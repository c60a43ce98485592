"""Which two groups of an attribute of more groups a baseline chooses, and what methods then see."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial

from bench.cells.record import Numbers, Pair
from bench.data import group_pair
from bench.data.image_split import ImageSplit
from bench.data.task_data import TaskData
from bench.learn.predict import predict
from bench.net import Net
from bench.score import metrics

Splits = Mapping[str, Callable[[], ImageSplit]]


def choose_pair(data: TaskData, baseline: Net, open_val: Callable[[], ImageSplit]) -> tuple[TaskData, Pair | None]:
    """Return the data with the pair that the baseline's AUCs on `val` choose, and what a cell stores of it.

    Two groups in a known order need no choice: the data as they are, and nothing to store. Every cell of a fold
    scores `val` anew: one forward pass, and no cell depends on what another left behind.
    """
    if not data.task.attribute.grouped:
        return data, None
    names, val = data.task.attribute.names, open_val()
    z = predict(baseline, val)
    scores = metrics.evaluate(z.cpu().numpy(), val.y.cpu().numpy(), val.a.cpu().numpy(), names)
    chosen, aucs = group_pair.choose(scores["groups"])
    best, worst = (names[chosen.best], names[chosen.worst]) if chosen else (None, None)
    skipped = [name for name, auc in aucs.items() if math.isnan(auc)]
    known = Numbers({name: auc for name, auc in aucs.items() if name not in skipped})
    return dataclasses.replace(data, pair=chosen), Pair(best=best, worst=worst, skipped=tuple(skipped), auc=known)


def for_methods(splits: Splits, data: TaskData) -> Splits:
    """Return the splits as methods see them: two groups are coded in `train` and `val` as in the external set."""
    chosen = data.pair
    if chosen is None or len(data.task.attribute.names) > 2:
        return splits

    def recoded(name: str) -> ImageSplit:
        split = splits[name]()
        a = (split.a == chosen.worst).long()
        return ImageSplit(
            name, split.array, split.rows, split.y, a, split.uids, split.device, augmentation=split.augmentation
        )

    return {**splits, **{name: partial(recoded, name) for name in ("train", "val")}}


def unpaired(data: TaskData, fold: int) -> str:
    """Return the warning of a fold without a pair."""
    return (
        f"fold {fold}: no two groups of '{data.task.attribute.column}' have {group_pair.LEAST} validation images of "
        "each class and different baseline AUCs: every method returns the baseline there"
    )
