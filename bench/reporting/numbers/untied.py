"""How far each method is from the untied model, over draws of a planted tie (`bench.data.tie`).

The untied model is Baseline of the control of a draw: trained on as many images of each label and group, without a tie.
Both are scored on the same test images, so that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from bench.cells.predictions import Scored
from bench.cells.record import Record, SetScores
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.grouping import grouped, over_seeds
from bench.reporting.numbers.redraws import PredictionsOf, aligned, spec_of
from bench.reporting.numbers.suppression import suppressed
from bench.reporting.numbers.task_info import TaskInfo, key_of, label_of
from bench.scoring.bootstrap import DRAWS, Resampled, interval, redrawn
from bench.scoring.statistics import summary
from bench.seeds import seed_of

MOST = 100
"""Draws are numbered from 0 and looked for below this number."""
USUAL = 5
"""Draws that the command for what is missing asks for."""
QUANTITIES = {
    "auc": "AUC",
    "tpr_difference": "TPR difference",
    "fpr_difference": "FPR difference",
    "min_auc": "lowest AUC of a group",
}
"""What is compared, and its title. A difference is that of group 1 less group 0, with its sign, at a score of 0.5."""


@dataclass(frozen=True)
class Draw:
    """The cells of one draw of the tie, and of its control; either may have none."""

    number: int
    tied: Sequence[Record]
    control: Sequence[Record]

    @property
    def whole(self) -> bool:
        """Whether both have cells."""
        return bool(self.tied and self.control)


def distances(info: TaskInfo, every: Sequence[Draw], read: PredictionsOf) -> pd.DataFrame:
    """Return one row for each backbone, test set, method and quantity, methods in the order of the main table.

    Columns: backbone, set, spec, label, quantity; value and untied, the means over draws, folds and seeds of the method
    and of the untied model; difference, of the two; low and high, its 95 % interval over patients; draws, of which both
    have models; models, the number of the method's; std, of the difference over draws (ddof 1). Sets with suppressed
    counts have no rows. A draw counts for a method if the control has a model on the same backbone. Models whose
    predictions cannot be read (`attrs["unread"]` of them), or are of other images than those of the first model, do not
    count.
    """
    pairs = [one for one in every if one.whole]
    tied = [(one.number, item) for one in pairs for item in one.tied]
    untied = [(one.number, item) for one in pairs for item in one.control if item.cell.spec == BASELINE]
    gone = suppressed([item for _, item in (*tied, *untied)], info)
    records = [row for name in info.ood if name not in gone for row in _rows(info, name, tied, untied, read)]
    columns = ["backbone", "set", "spec", "label", "quantity", "value", "untied", "difference", "low", "high"]
    found = pd.DataFrame(records, columns=[*columns, "draws", "models", "std"])
    found.attrs["unread"] = sum(_scored(read, item) is None for _, item in (*tied, *untied))
    return found


Numbered = Sequence[tuple[int, Record]]
"""Cells with the number of their draw."""


def _rows(
    info: TaskInfo, name: str, tied: Numbered, untied: Numbered, read: PredictionsOf
) -> Iterator[dict[str, object]]:
    """Yield the rows of a test set."""
    models = [(item, scored) for _, item in (*tied, *untied) if (scored := _scored(read, item))]
    sample, logits, _ = aligned(models, name, len(info.group_names))
    if sample is None:
        return
    seed = seed_of("bootstrap", info.name, name)
    values = redrawn(sample, [logit for _, logit in logits], _quantities, seed)
    known = {id(item): value for (item, _), value in zip(logits, values, strict=True)}
    of_control = grouped(((item.cell.backbone, number), item) for number, item in untied if id(item) in known)
    of_method = grouped((spec_of(item), (number, item)) for number, item in tied if id(item) in known)
    for (backbone, spec), items in sorted(of_method.items(), key=lambda one: key_of(one[1][0][1].cell)):
        by_draw = grouped(items)
        used = [number for number in by_draw if (backbone, number) in of_control]
        if not used:
            continue
        label = label_of(items[0][1].cell)
        both = [(by_draw[number], of_control[backbone, number]) for number in used]
        redraws = np.mean([_mean(one, known) - _mean(other, known) for one, other in both], axis=0)
        exact = np.array([[_point(cells, name) for cells in pair] for pair in both])
        for place, quantity in enumerate(QUANTITIES):
            value, reference = exact[:, :, place].mean(axis=0)
            change = exact[:, 0, place] - exact[:, 1, place]
            low, high, *_ = interval(redraws[place])
            yield {
                **{"backbone": backbone, "set": name, "spec": spec, "label": label, "quantity": quantity},
                **{"value": value, "untied": reference, "difference": change.mean(), "low": low, "high": high},
                **{"draws": len(used), "models": sum(len(by_draw[number]) for number in used)},
                **{"std": summary(list(change)).std},
            }


def _scored(read: PredictionsOf, item: Record) -> Scored | None:
    """Return the predictions of a cell; None where they cannot be read."""
    try:
        return read(item)
    except (OSError, ValueError):
        return None


def _quantities(model: Resampled) -> np.ndarray:
    """Return `QUANTITIES` of a model on bootstrap samples, (4, B); the lowest AUC needs one of each group."""
    tpr, fpr = (rate[1] - rate[0] for rate in (model.rates.tpr, model.rates.fpr))
    every = len(model.model.by_group) == model.model.sample.groups
    lowest = model.aucs.min(axis=0) if every else np.full_like(tpr, nan)
    return np.array([np.broadcast_to(model.auc, tpr.shape), tpr, fpr, lowest])


def _mean(cells: Sequence[Record], known: dict[int, np.ndarray]) -> np.ndarray:
    """Return the mean over folds of redrawn quantities, (4, DRAWS), seeds of a fold averaged before."""
    by_fold = grouped((item.cell.fold, known[id(item)]) for item in cells)
    return np.mean([np.mean(seeds, axis=0) for seeds in by_fold.values()], axis=0).reshape(len(QUANTITIES), DRAWS)


def _point(cells: Sequence[Record], name: str) -> list[float]:
    """Return the mean over folds of the stored quantities, seeds of a fold averaged before; NaN if one is NaN."""
    found = grouped((item.cell.fold, _stored(item.scores[name])) for item in cells)
    parts = [
        over_seeds((fold, values[place]) for fold, seeds in found.items() for values in seeds)
        for place in range(len(QUANTITIES))
    ]
    return [float(np.mean(list(part.values()))) for part in parts]


def _stored(scores: SetScores) -> tuple[float, float, float, float]:
    zero, one = (group.metrics for group in scores.groups.values())
    tpr, fpr = (one.get(rate, nan) - zero.get(rate, nan) for rate in ("tpr", "fpr"))
    return scores.metrics.get("auc", nan), tpr, fpr, float(np.min([zero.get("auc", nan), one.get("auc", nan)]))
