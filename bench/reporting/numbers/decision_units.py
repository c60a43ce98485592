"""Decisions per patient or exam: images of a unit become one row before thresholds, AUC and gaps.

Cells hold predictions of images. A report of a task with `unit` combines them and scores the cells again, so that a
unit changes no cell. The logit of a unit is the mean over its images, or the one that speaks most for the class that
decides: the largest, where a unit is positive if any image is; the smallest, where all must be. The group of a unit is
that of its images; a unit whose images are of several groups belongs to none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from msgspec import structs

from bench.api import NO_GROUP, PATIENT, Task
from bench.cells.predictions import ATTRIBUTE, Scored
from bench.cells.record import Record
from bench.cells.rescore import set_scores
from bench.data.attributes import UNIT
from bench.errors import DataInvalid
from bench.reporting.numbers.redraws import PredictionsOf
from bench.scoring.definitions import VERSION
from bench.scoring.metrics import score_sets


class Units(NamedTuple):
    """The units of a frame of images: a row each, and the unit (N,) of each image."""

    rows: pd.DataFrame
    of: np.ndarray


def any_decides(task: Task) -> bool:
    """Tell whether a unit is of class 1, as stored, if any of its images is; otherwise all of them must be."""
    return (task.label.combine != "all") == (task.polarity == "paper")


def units_of(images: pd.DataFrame, task: Task) -> Units:
    """Return the units of images with the columns of predictions.

    `attrs["facts"]` of the rows are, by set: units, images, fewest and most images of a unit, units with both classes,
    units with several groups.

    Raises:
        DataInvalid: a unit has images of several patients.
    """
    key = images["cluster"].astype(str) if task.unit == PATIENT else images[UNIT].astype(str)
    if task.unit != PATIENT:  # an image without a unit is one of its own
        key = key.where(key != "", "image " + images["image_id"].astype(str))
    frame = images.assign(key=images["set"].astype(str) + "\x1f" + key)
    of, names = pd.factorize(frame["key"])
    by = frame.drop(columns="key").groupby(of, sort=False)
    first, size = by.first(), by.size()
    if task.unit != PATIENT and (several := by["cluster"].nunique() > 1).any():
        example = names[int(np.flatnonzero(several)[0])].partition("\x1f")[2]
        raise DataInvalid(f"unit = {task.unit!r}: {example!r} has images of several patients; a unit is of one patient")
    low, high = by["y"].min(), by["y"].max()
    rows = first.assign(image_id=[name.replace("\x1f", ": ") for name in names], y=high if any_decides(task) else low)
    groups = [name for name in images.columns if name == "a" or name.startswith(ATTRIBUTE)]
    for name in groups:
        known = frame[name].where(frame[name] != NO_GROUP).groupby(of, sort=False)
        rows[name] = known.first().where(known.nunique() == 1, NO_GROUP).fillna(NO_GROUP).astype(int)
    mixed = frame["a"].where(frame["a"] != NO_GROUP).groupby(of, sort=False).nunique() > 1
    counted = pd.DataFrame({"set": rows["set"], "n": size, "both": low != high, "mixed": mixed}).groupby(
        "set", sort=False
    )
    facts = counted.agg(units=("n", "size"), n=("n", "sum"), low=("n", "min"), high=("n", "max"))
    facts = facts.join(counted[["both", "mixed"]].sum())
    rows = rows.reset_index(drop=True)
    rows.attrs["facts"] = {str(name): tuple(map(int, row)) for name, *row in facts.itertuples()}
    return Units(rows, of)


def combined(logit: np.ndarray, of: np.ndarray, task: Task) -> np.ndarray:
    """Return the logit of each unit (U,) from those of its images (N,)."""
    number = int(of.max()) + 1
    if task.unit_logit == "mean":
        return np.bincount(of, logit, number) / np.bincount(of, minlength=number)
    found = np.full(number, -np.inf if any_decides(task) else np.inf)
    (np.maximum if any_decides(task) else np.minimum).at(found, of, logit)
    return found


def per_unit(read: PredictionsOf, task: Task) -> PredictionsOf:
    """Return predictions with a row for each unit; models that share a frame of images go on sharing one.

    Raises:
        FileNotFoundError: when they are read, if the unit of the images is not known here.
    """
    frames: dict[int, tuple[pd.DataFrame, Units]] = {}

    def units(item: Record) -> Scored:
        images, logit = read(item)
        if task.unit != PATIENT and UNIT not in images:
            raise FileNotFoundError(f"unit {task.unit!r} of the images is not known")
        if id(images) not in frames:
            frames[id(images)] = images, units_of(images, task)
        found = frames[id(images)][1]
        return Scored(found.rows, combined(logit, found.of, task))

    return units


def rescored(item: Record, predictions: Scored) -> Record:
    """Return a cell with the scores of units."""
    images, logit = predictions
    attribute, groups = next(iter(item.attributes.items()))
    sets = {
        str(name): (logit[rows.index], rows["y"].to_numpy(), rows["a"].to_numpy())
        for name, rows in images.groupby("set", sort=False)
    }
    scores = {name: set_scores(found, attribute) for name, found in score_sets(sets, groups).items()}
    return structs.replace(item, scores=scores, metrics_version=VERSION)


def says(task: Task, facts: Mapping[str, Sequence[int]], min_cell: int = 0) -> str:
    """Return what tables say of the units: how they are decided, and how many images they have in each set.

    Counts of fewer units than `min_cell` are not told, and then no range either, whose ends may be of one person.
    """
    any_of, (zero, one) = any_decides(task), task.label_names
    how = "mean" if task.unit_logit == "mean" else "largest" if any_of else "smallest"
    known = {name: facts[name] for name in task.ood if name in facts}
    sizes = [
        f"{name} {images / units:.1f}{'' if min_cell else f' ({low} to {high})'}"
        for name, (units, images, low, high, _, _) in known.items()
    ]
    both, mixed = (sum(row[place] for row in known.values()) for place in (4, 5))
    shown = [f"fewer than {min_cell}" if 0 < n < min_cell else str(n) for n in (both, mixed)]
    text = f"Decisions per {task.unit}, {how} logit of its images. Images per {task.unit}: {', '.join(sizes)}."
    decided = f"{one} if {'any image is' if any_of else 'all images are'}, else as {zero}"
    text += f" Units with images of both classes: {shown[0]}; they count as {decided}." if both else ""
    return text + (f" Units with images of several groups: {shown[1]}; they are in no gap." if mixed else "")
