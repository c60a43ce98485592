"""The forest plot: what each method changes against Baseline, in the gap and in AUC, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.reporting.figures import style
from bench.reporting.numbers.answer import Change, Place
from bench.reporting.numbers.task_info import TaskInfo

COLOUR, GOOD = "#0b6a94", "#edf6f0"
_LINE = 0.19  # inches for each method


def table(places: Sequence[Place]) -> pd.DataFrame:
    """Return the numbers of the figure: a row for each method, test set and metric."""
    rows = [
        {
            **{"backbone": place.backbone, "set": place.name, "label": line.label, "spec": line.spec, "metric": metric},
            **{"difference": change.value, "low": change.low, "high": change.high, "supported": change.supported},
            "levelled_down": line.levelled_down,
        }
        for place in places
        for line in place.ordered
        for metric, change in ((place.gap, line.gap_change), ("auc", line.auc_change))
        if change is not None
    ]
    return pd.DataFrame(rows)


def draw(places: Sequence[Place], info: TaskInfo) -> Figure:
    """Draw a row of two panels for each test set; the side that is better is tinted."""
    heights = [len(place.lines) for place in places]
    figure = Figure(figsize=(style.ONE_COLUMN, _LINE * sum(heights) + 0.85 * len(places) + 0.9), layout="constrained")
    panels = figure.subplots(
        len(places), 2, squeeze=False, sharey="row", sharex="col", gridspec_kw={"height_ratios": heights}
    )
    for (left, right), place in zip(panels, places, strict=True):
        _panel(left, place, [line.gap_change for line in place.ordered], better=-1)
        _panel(right, place, [line.auc_change for line in place.ordered], better=1)
        left.set_title(place.title, loc="left", fontweight="bold")
    for column, better in ((0, -1), (1, 1)):
        low, high = panels[0][column].get_xlim()  # shared by all test sets
        for panel in panels[:, column]:
            panel.axvspan(*((low, 0) if better < 0 else (0, high)), color=GOOD, zorder=0, linewidth=0)
            panel.set_xlim(low, high)
    panels[-1][0].set_xlabel(f"Change of {info.title(info.gap)}\n(left is better)")
    panels[-1][1].set_xlabel(f"Change of {info.title('auc')}\n(right is better)")
    style.legend(figure, _entries(places), f"Bars: 95 % intervals over {info.unit}.", columns=2)
    style.head(figure, info.synthetic, says=info.decided)
    return figure


def _panel(panel: Axes, place: Place, changes: Sequence[Change | None], better: int) -> None:
    for y, (line, change) in enumerate(zip(place.ordered, changes, strict=True)):
        if change is None or not isfinite(change.value):
            if better < 0:
                panel.text(0.03, y, line.why, transform=panel.get_yaxis_transform(), va="center", fontsize=6)
            continue
        colour = COLOUR if change.supported else "0.45"
        if isfinite(change.low):
            panel.plot([change.low, change.high], [y, y], color=colour, linewidth=1.1, zorder=2)
        fill = colour if change.supported else "white"
        panel.plot(change.value, y, "o", color=colour, markerfacecolor=fill, markersize=4, zorder=3)
    panel.axvline(0, color="0.3", linewidth=0.8, zorder=1)
    marks = {line.label: " ▼" * line.levelled_down + " ◆" * line.needs_attribute for line in place.ordered}
    panel.set_yticks(range(len(place.lines)), [f"{name}{mark}" for name, mark in marks.items()])
    panel.set_ylim(len(place.lines) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.locator_params(axis="x", nbins=3)


def _entries(places: Sequence[Place]) -> list[Line2D]:
    dot: style.Style = {"linestyle": "none", "marker": "o", "markersize": 4}
    entries = [
        Line2D([], [], color=COLOUR, label="supported", **dot),
        Line2D([], [], color="0.45", markerfacecolor="white", label="not supported", **dot),
    ]
    lines = [line for place in places for line in place.lines]
    if any(line.levelled_down for line in lines):
        entries.append(Line2D([], [], color="black", linestyle="none", marker="v", markersize=4, label="levelled down"))
    if any(line.needs_attribute for line in lines):
        entries.append(
            Line2D([], [], color="black", linestyle="none", marker="D", markersize=3, label="needs the attribute")
        )
    return entries
