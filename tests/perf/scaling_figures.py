"""Figures of how time and memory grow: points of each row on axes of logarithms, beside a line of slope 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.style import PANEL_HEIGHT, REFERENCE, STYLE, TWO_COLUMNS, Name, dashes, styles_of, to_bytes
from tests.perf.scaling_fit import Claim, Point, columns, of_row, slope

FAMILIES = ("images", "parameters", "cells")


def figures(rows: Sequence[Claim], points: Sequence[Point]) -> dict[str, bytes]:
    """Return `scaling-images.png` and its like; a row without two points is left out."""
    with rc_context(STYLE):
        return {f"scaling-{unit}.png": to_bytes(_figure(rows, points, unit))["png"] for unit in FAMILIES}


def _figure(rows: Sequence[Claim], points: Sequence[Point], unit: str) -> Figure:
    drawn = [row for row in rows if row.unit == unit and len(of_row(row, points)) > 1]
    figure = Figure(figsize=(TWO_COLUMNS, PANEL_HEIGHT + 0.3 * len(drawn)), layout="constrained")
    for panel, what in zip(figure.subplots(1, 2), ("CPU seconds", "MB"), strict=True):
        _panel(panel, drawn, points, memory=what == "MB")
        panel.set(xscale="log", yscale="log", xlabel=f"number of {unit}", ylabel=what)
        panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return figure


def _panel(panel: Axes, rows: Sequence[Claim], points: Sequence[Point], *, memory: bool) -> None:
    styles = styles_of([Name(number, row.what, row.what, row.what) for number, row in enumerate(rows, start=2)])
    highest: tuple[int, float] | None = None
    for number, row in enumerate(rows):
        n, seconds, megabytes = columns(of_row(row, points))
        claim, values = (row.megabytes, megabytes) if memory else (row.seconds, seconds)
        grown = slope(n, values)
        said = "flat" if claim == "flat" else "" if math.isnan(grown) else f"slope {grown:.2f}"
        label = f"{row.what}: {said}" if said else row.what
        panel.plot(n, values, linestyle=dashes(number), linewidth=1, markersize=4, label=label, **styles[row.what])
        if highest is None or values[-1] > highest[1]:
            highest = n[-1], values[-1]
    if highest is not None:
        # Above all others, so that it hides none.
        n = np.array([highest[0] / 10, highest[0]])
        panel.plot(n, 2 * highest[1] * n / highest[0], **{**REFERENCE, "color": "0.4"}, label="slope 1")
