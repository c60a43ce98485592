"""Importances and masks over the parameters of the extractor (SWiFT, Figures 3, 8 and 9)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.reporting.figures.style import TWO_COLUMNS, head

TITLES = {"bias": "(a) bias importance", "prediction": "(b) prediction importance", "mask": "(c) mask"}
NOTE = (
    "{of}, fold 0, seed 0. Blocks from input to output, equally wide, each with its parameters in order,\n"
    "in at most 512 bins, each drawn as the mean of its entries."
)
SCALED = " Importances are scaled to [0, 1] tensor by tensor."


def strips(frame: pd.DataFrame, *, of: str, synthetic: bool) -> Figure:
    """Draw both importances and the mask, one below the other, under the current matplotlib settings.

    `frame` has a row per bin: `kind` (`bias`, `prediction`, `mask`), `block`, `value`; blocks and bins are in order.
    `of` names the method and the backbone.
    """
    kinds = [kind for kind in TITLES if (frame["kind"] == kind).any()]
    figure = Figure(figsize=(TWO_COLUMNS, 1.25 * len(kinds) + 0.9), layout="constrained")
    panels = figure.subplots(len(kinds), 1, squeeze=False, sharex=True)[:, 0]
    for panel, kind in zip(panels, kinds, strict=True):
        blocks = _blocks(frame[frame["kind"] == kind])
        for at, values in enumerate(blocks.values()):
            edges = at + np.arange(len(values) + 1) / len(values)
            panel.stairs(values, edges, fill=True, color="0.25" if at % 2 else "0.55", linewidth=0)
        panel.set(xlim=(0, len(blocks)), ylim=(0, None))
        panel.set_title(TITLES[kind], loc="left", pad=3)
        panel.set_xticks(np.arange(len(blocks)) + 0.5, list(blocks), fontsize=7)
        panel.tick_params(axis="x", length=0)
        for edge in range(1, len(blocks)):
            panel.axvline(edge, color="0.8", linewidth=0.6, zorder=0)
    figure.supxlabel(NOTE.format(of=of) + SCALED, fontsize=7)
    head(figure, synthetic)
    return figure


def masks_by_layer(frame: pd.DataFrame, *, of: str, synthetic: bool) -> Figure:
    """Draw the mask of each block as a strip with its mean, under the current matplotlib settings.

    `frame` has a row per bin: `block`, `value` in [0, 1]; blocks and bins are in order.
    """
    blocks = _blocks(frame)
    figure = Figure(figsize=(TWO_COLUMNS, 0.42 * len(blocks) + 1.0), layout="constrained")
    panels = figure.subplots(len(blocks), 1, squeeze=False)[:, 0]
    strip = None
    for panel, (block, values) in zip(panels, blocks.items(), strict=True):
        strip = panel.imshow(values[None], aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(True)
        panel.set_ylabel(block, rotation=0, ha="right", va="center")
        panel.text(1.01, 0.5, f"mean {values.mean():.3f}", transform=panel.transAxes, va="center")
    if strip is not None:
        figure.colorbar(strip, ax=list(panels), label="mask", fraction=0.03, pad=0.12)
    figure.supxlabel(NOTE.format(of=of), fontsize=7)
    head(figure, synthetic)
    return figure


def _blocks(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(block): values.to_numpy() for block, values in frame.groupby("block", sort=False)["value"]}
