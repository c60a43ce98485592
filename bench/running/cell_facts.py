"""The parts of a cell's record that follow from its predictions, its passes and its data."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from torch import nn

from bench.cells.identity import BASELINE, Cell
from bench.cells.predictions import ATTRIBUTE
from bench.cells.record import Cost, Images
from bench.data.image_split import ImageSplit
from bench.data.task_data import TaskData
from bench.running.context import CellRun
from bench.running.plan import PRETRAIN_SPLITS


def predictions(
    opened: Mapping[str, ImageSplit],
    sets: Mapping[str, Sequence[np.ndarray]],
    patients: Mapping[str, pd.Series],
    attribute: str,
) -> pd.DataFrame:
    """Return one row per image of each set, with the columns of `bench.cells.predictions`.

    `sets` holds the logits, labels and groups (N,) of each set.
    """
    tables = []
    for name, (logits, y, a) in sets.items():
        columns = {
            "image_id": opened[name].uids,
            "set": name,
            "cluster": pd.factorize(patients[name])[0].astype("int32"),  # by order of first appearance
            "y": y.astype("int8"),
            "logit": logits,
            ATTRIBUTE + attribute: a.astype("int8"),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def pretraining(cell: Cell, data: TaskData) -> int | None:
    """Return the images in the training steps of a baseline, whether this cell trained it or found it trained."""
    if cell.spec != BASELINE or data.user_checkpoint is not None:
        return None
    recipe = data.task.recipe
    return recipe.pretrain_epochs * len(data.joint.split(PRETRAIN_SPLITS[recipe.pretrain_checkpoint][0], cell.fold))


def cost_of(run: CellRun, before: nn.Module, after: nn.Module, external: Images | None, seconds: float) -> Cost:
    """Return the cost of the method. `epochs_equivalent` is in epochs of full fine-tuning on the external set."""
    old, new = list(before.parameters()), list(after.parameters())
    same = [p.shape for p in old] == [p.shape for p in new]
    changed = sum(int((p != q).sum()) for p, q in zip(old, new, strict=True)) if same else None
    unit = 3 * external.n if external and external.n else 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(
        seconds=round(seconds, 3),
        peak_memory_bytes=peak * (1 if sys.platform == "darwin" else 1024),
        images_forward=run.passes.forward,
        images_backward=run.passes.backward,
        epochs_equivalent=(run.passes.forward + 2 * run.passes.backward) / unit if unit else None,
        parameters_changed=None if changed is None else changed / sum(p.numel() for p in old),
    )
