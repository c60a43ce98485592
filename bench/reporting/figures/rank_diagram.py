"""The critical-difference diagram (Demšar 2006): mean ranks on a line, bars join methods that do not differ."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import registry
from bench.api import Method
from bench.reporting.figures import style
from bench.reporting.numbers.across_tasks import Across, Ranked, lines_of

_ROW, _BAR = 0.15, 0.09  # inches: a label below the axis, a bar
_LINE: dict[str, Any] = {"color": "black", "linewidth": 0.6, "clip_on": False, "solid_capstyle": "butt"}


def draw(across: Across) -> Figure:
    """Draw a panel per metric that was ranked, one column wide, under the current matplotlib settings."""
    panels = [item for item in across.ranked if item.ranks]
    heights = [0.75 + _BAR * len(lines_of(item)) + _ROW * math.ceil(len(item.ranks) / 2) for item in panels]
    figure = Figure(figsize=(style.ONE_COLUMN, sum(heights) + 0.35 * across.synthetic), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).flat
    for panel, item, height in zip(axes, panels, heights, strict=True):
        _panel(panel, item, height)
    style.head(figure, across.synthetic, size=8)
    return figure


diagram = style.files(draw)


def _panel(panel: Axes, item: Ranked, height: float) -> None:
    """Draw ranks to the right and inches downwards from the axis at 0. The better half has its labels on the left."""
    methods, bars = len(item.ranks), lines_of(item)
    first, last, room = 1, methods, 0.42 * (methods - 1)
    panel.set_xlim(first - room, last + room)
    panel.set_ylim(-(height - 0.45), 0.35)
    panel.axis("off")
    tested = f"Friedman p = {item.p:.2g}" if math.isfinite(item.p) else "not tested"
    panel.set_title(f"{item.title}: {tested}, {item.blocks} blocks", fontsize=8)
    panel.plot([first, last], [0, 0], **_LINE)
    for rank in range(first, last + 1):
        panel.plot([rank, rank], [0, 0.05], **_LINE)
        panel.text(rank, 0.07, str(rank), ha="center", va="bottom", fontsize=7)
    if math.isfinite(item.difference) and item.differs:
        start = last + room - item.difference  # the critical difference as a length, above the axis
        panel.plot([start, start + item.difference], [0.27, 0.27], marker="|", markersize=4, **_LINE)
        panel.text(start - 0.1, 0.27, f"CD {item.difference:.2f}", ha="right", va="center", fontsize=7)
    for place, (low, high) in enumerate(bars):
        depth = -_BAR * (place + 1)
        panel.plot([low - 0.06, high + 0.06], [depth, depth], **{**_LINE, "linewidth": 2.5})
    top = -_BAR * (len(bars) + 1) - 0.08
    half = math.ceil(methods / 2)
    looks = _looks(item.ranks)
    for place, (name, rank) in enumerate(item.ranks.items()):
        left = place < half
        depth = top - _ROW * (place if left else methods - 1 - place)
        end = first - 0.15 if left else last + 0.15
        panel.plot([rank, rank, end], [0, depth, depth], **_LINE)
        marker = {**looks[name], **style.MEAN, "markersize": 4.5}
        panel.plot(end, depth, **marker, clip_on=False, zorder=3)
        words = f"{name} {rank:.2f}" if left else f"{rank:.2f} {name}"
        panel.text(end + (-0.3 if left else 0.3), depth, words, ha="right" if left else "left", va="center", fontsize=7)


def _looks(labels: Iterable[str]) -> dict[str, style.Style]:
    """Return colour and marker as in every other figure; methods that the registry does not know look like plugins."""
    methods = [registry.METHODS.load(name) for name in registry.METHODS.catalogue()]
    rows = {method.title: method.row for method in methods}
    return style.styles_of([style.Name(rows.get(label, Method.row), label, label, label) for label in labels])
