"""Class activation maps beside their images (SWiFT, Figures 1 and 5; Zhou et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reporting.numbers.aggregate import SYNTHETIC

NOT_TO_BE_SHOWN = "Images of patients: do not pass on"
NOTE = (
    "Bright: speaks for the predicted class, each map from 0 to its own largest value; the line is at half of it.\n"
    "p: probability of {positive}, ✗: wrong. "
    "Fold 0, seed 0. Of each group and class the image whose id has the smallest hash."
)
SIDE = 64
"""Pixels of a map whose image is not available."""
COLOURS, STRENGTH = "inferno", 0.55  # its lightness rises steadily: it can be read in greys, too
WIDTH, HEAD, LABELS, FOOT, BETWEEN, GAP = 7.0, 0.45, 0.45, 0.42, 0.2, 0.04  # inches
ONE_BELOW_THE_OTHER = 4
"""More images than these are drawn in two halves, side by side."""


def heat(weighted: np.ndarray, logit: float, size: int) -> np.ndarray:
    """Return the evidence of each pixel for the predicted class: (size, size) in [0, 1].

    `weighted` (h, w) sums to the logit. Its sign is flipped where class 0 is predicted. Evidence against the predicted
    class becomes 0; the rest is enlarged bilinearly and scaled to [0, 1]. A constant map gives zeros.
    """
    speaks = np.maximum(weighted if logit > 0 else -weighted, 0).astype(float)
    for _ in range(2):  # rows, then columns
        at = (np.arange(size) + 0.5) * len(speaks) / size - 0.5
        speaks = np.array([np.interp(at, np.arange(len(speaks)), line) for line in speaks.T])
    low, high = speaks.min(), speaks.max()
    return (speaks - low) / (high - low) if high > low else np.zeros_like(speaks)


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the maps of a frame of `cams` as a row per pixel, with a number in place of the id of the image."""
    maps = [np.asarray(one) for one in frame["map"]]
    order = {uid: place for place, uid in enumerate(dict.fromkeys(frame["image_id"]), 1)}
    named = frame[["method", "group", "label", "logit"]].assign(image=frame["image_id"].map(order))
    pixels = [
        named.iloc[[place] * one.size].assign(
            row=np.repeat(np.arange(one.shape[0]), one.shape[1]),
            column=np.tile(np.arange(one.shape[1]), one.shape[0]),
            weight=one.ravel(),
        )
        for place, one in enumerate(maps)
    ]
    return pd.concat(pixels, ignore_index=True)


def cams(frame: pd.DataFrame, images: Mapping[str, np.ndarray], *, synthetic: bool) -> Figure:
    """Draw a row per image and a column per method, under the current matplotlib settings.

    Args:
        frame: a row per method and image, both in the order in which they are drawn: `method`, `image_id`, `group`,
            `label`, `positive` (the name of class 1), `logit`, `map` (h, w).
        images: uint8 (S, S, C) by image id; the panel of a missing one says so.
        synthetic: whether the images are generated; otherwise the figure warns that it shows patients.
    """
    methods, shown = list(dict.fromkeys(frame["method"])), list(dict.fromkeys(frame["image_id"]))
    abreast = 1 if len(shown) <= ONE_BELOW_THE_OTHER else 2
    down, wide = math.ceil(len(shown) / abreast), WIDTH / abreast
    side = (wide - LABELS) / (1 + len(methods))
    height = HEAD + FOOT + (side + BETWEEN) * down
    figure = Figure(figsize=(WIDTH, height))
    cells = {(row.method, row.image_id): row for row in frame.itertuples()}
    for at, uid in enumerate(shown):
        left, bottom = at // down * wide, height - HEAD - at % down * (side + BETWEEN) - side
        for across, method in enumerate(["Original", *methods]):
            x = left + LABELS + across * side + GAP / 2
            panel = figure.add_axes((x / WIDTH, bottom / height, (side - GAP) / WIDTH, (side - GAP) / height))
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if at % down == 0:
                panel.set_title(method, pad=3)
            image = images.get(uid)
            if across:
                _map(panel, cells[method, uid], image)
            elif image is None:
                panel.text(0.5, 0.5, "not at hand", ha="center", va="center", transform=panel.transAxes, color="0.4")
            else:
                panel.imshow(image.mean(axis=2) if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255)
        row = cells[methods[0], uid]
        place = (left + 0.2) / WIDTH, (bottom + side / 2) / height
        figure.text(*place, f"{row.group},\n{row.label}", va="center", ha="center", rotation=90, fontsize=7)
    says = NOTE.format(positive=frame["positive"].iloc[0])
    figure.text(0.5, 0.04 / height, says, ha="center", va="bottom", fontsize=7, linespacing=1.4)
    heading = SYNTHETIC if synthetic else NOT_TO_BE_SHOWN
    figure.text(0.5, 1 - 0.06 / height, heading, ha="center", va="top", fontsize=9, fontweight="bold")
    return figure


def _map(panel: Axes, row: object, image: np.ndarray | None) -> None:
    if image is not None:
        panel.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    strength = 1.0 if image is None else STRENGTH
    weighted, logit = row.map, row.logit  # type: ignore[attr-defined]
    found = heat(weighted, logit, SIDE if image is None else len(image))
    panel.imshow(found, cmap=COLOURS, vmin=0, vmax=1, alpha=strength)
    if found.any():  # printed in greys, a bright area of the image could be taken for a part of the map
        panel.contour(found, levels=[0.5], colors="white", linewidths=0.7)
    right = (logit > 0) == (row.label == row.positive)  # type: ignore[attr-defined]
    panel.set_xlabel(f"p = {1 / (1 + np.exp(-logit)):.2f}{'' if right else ' ✗'}", labelpad=2, fontsize=7)
