"""A tie between label and attribute, planted in a source of images by leaving out patients, and its control.

The cause of a disparity is then known, on real images too: Baseline of the control, a draw of equal size without the
tie, is the model that a mitigation should come back to.
"""

from __future__ import annotations

import hashlib
from math import sqrt

import numpy as np
import pandas as pd

from bench.api import NO_GROUP, Attribute, Label, Tie
from bench.errors import DataInvalid

REASON = "TIE"
"""Why a row is left out, as `attrs["left_out"]` counts it."""


def draw(table: pd.DataFrame, tie: Tie, label: Label, attribute: Attribute) -> pd.DataFrame:
    """Return the rows of a sample table that make the tie, or those of its control.

    Patients (or lesions) are gone through in the order of sha256(draw, patient), again and again: each is taken or left
    out, whichever brings the number of images of the four cells closer to those `wanted`, until nothing changes. So the
    same rows are drawn in every run. `attrs["left_out"]` counts the others as `REASON`, and `attrs["notes"]` says the
    odds ratio that was planted and the one that was found, which differ where patients have several images.

    Raises:
        DataInvalid: one of the four cells of label and group has no image, or none is left.
    """
    known = (table["a"] != NO_GROUP).to_numpy()
    patient, people = pd.factorize(table["patient"])
    images = np.zeros((len(people), 2, 2), dtype=np.int64)
    np.add.at(images, (patient[known], table["y"][known], table["a"][known]), 1)
    before = images.sum(axis=0)
    most = wanted(before, tie, label, attribute)
    rank = [hashlib.sha256(f"tie\n{tie.draw}\n{name}".encode()).hexdigest() for name in people]
    kept = _closest(images.reshape(-1, 4)[order := np.argsort(np.array(rank))], most.ravel())[np.argsort(order)]
    filled = images[kept].sum(axis=0)
    if not filled.all():
        raise DataInvalid(_lacking(filled, tie, label, attribute))
    chosen = known & kept[patient]
    result = table[chosen].reset_index(drop=True)
    result.attrs = {**table.attrs, "left_out": {**table.attrs["left_out"], REASON: int((~chosen).sum())}}
    result.attrs["notes"] = [*table.attrs["notes"], _says(tie, odds_ratio(before), odds_ratio(filled))]
    return result


def _closest(images: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return which patients (P,) of `images` (P, 4), in their order, bring the sums close to `most` (4,)."""
    scale = 1 / np.maximum(most, 1)
    kept, lacking = np.zeros(len(images), dtype=bool), most.astype(np.int64)
    changed = True
    while changed:
        changed = False
        for i in np.flatnonzero(images.any(axis=1)):
            step = images[i] if kept[i] else -images[i]
            # The change of the sum of lacking^2 / most: it falls with every change, so that this ends.
            if (step * (2 * lacking + step) * scale).sum() < -1e-9:
                kept[i], lacking, changed = not kept[i], lacking + step, True
    return kept


def odds_ratio(counts: np.ndarray) -> float:
    """Return the odds ratio of counts (2, 2) of label and group, none of which is 0."""
    return float(counts[1, 1] * counts[0, 0] / (counts[1, 0] * counts[0, 1]))


def wanted(counts: np.ndarray, tie: Tie, label: Label, attribute: Attribute) -> np.ndarray:
    """Return how many images of each label and group (2, 2) are wanted at most, of `counts` (2, 2) that there are.

    For the tie, the two cells that speak against it are reduced by the same factor. The control has the same number of
    images of each label and of each group, and an odds ratio of 1. Where a cell of the control would have more images
    than there are, both are made smaller by the same factor, so that they stay equally large.

    Raises:
        DataInvalid: a cell has no image.
    """
    if not counts.all():
        raise DataInvalid(_lacking(counts, tie, label, attribute))
    ratio = tie.odds / odds_ratio(counts)
    against = np.eye(2, dtype=bool) if ratio < 1 else ~np.eye(2, dtype=bool)
    tied = np.where(against, counts * sqrt(min(ratio, 1 / ratio)), counts)
    control = np.outer(tied.sum(axis=1), tied.sum(axis=0)) / tied.sum()
    smaller = min(1.0, float((counts / control).min()))
    return np.round((control if tie.untied else tied) * smaller).astype(np.int64)


def _says(tie: Tie, before: float, found: float) -> str:
    what = "the control of a tie" if tie.untied else "a tie"
    planted = "1" if tie.untied else f"{tie.odds:g}"
    return (
        f"{what} between label and attribute '{tie.attribute}' is planted by leaving out patients (draw {tie.draw}): "
        f"odds ratio {planted} planted, {found:.2g} found, {before:.2g} before"
    )


def _lacking(counts: np.ndarray, tie: Tie, label: Label, attribute: Attribute) -> str:
    y, a = (int(index[0]) for index in np.nonzero(counts == 0))
    return (
        f"[source.tie] odds={tie.odds:g}: no image of the source has label '{label.names[y]}' and attribute "
        f"'{attribute.names[a]}' (patients are taken as a whole): plant weaker odds, or choose other groups"
    )
