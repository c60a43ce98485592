"""How far each method is from the untied model: a panel for each quantity, a row of panels for each test set."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.reporting.figures import style
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.numbers.untied import QUANTITIES

_LINE = 0.19  # inches for each method


def draw(frame: pd.DataFrame, info: TaskInfo) -> Figure:
    """Draw a frame of `bench.reporting.numbers.untied.distances`; the untied model is at 0."""
    places = style.places_of(frame, info)
    methods = list(frame["label"].unique())
    height = _LINE * len(methods) * len(places) + 0.5 * len(places) + 0.9
    figure = Figure(figsize=(style.TWO_COLUMNS, height), layout="constrained")
    panels = figure.subplots(len(places), len(QUANTITIES), squeeze=False, sharey=True, sharex="col")
    for line, ((backbone, name), title) in zip(panels, places.items(), strict=True):
        here = frame[(frame["backbone"] == backbone) & (frame["set"] == name)]
        for panel, quantity in zip(line, QUANTITIES, strict=True):
            for row in here[here["quantity"] == quantity].itertuples():
                y = methods.index(row.label)
                panel.plot([row.low, row.high], [y, y], color="0.45", linewidth=1.1)
                panel.plot(row.difference, y, "o", color="0.2", markersize=4)
            panel.axvline(0, color="#0b6a94", linewidth=1)
            panel.set_yticks(range(len(methods)), methods)
            panel.set_ylim(len(methods) - 0.5, -0.5)
            panel.tick_params(axis="y", length=0)
            panel.locator_params(axis="x", nbins=3)
        line[0].set_title(title, loc="left", fontweight="bold")
    for panel, title in zip(panels[-1], QUANTITIES.values(), strict=True):
        panel.set_xlabel(title)
    style.legend(figure, [], f"Difference to the untied model, which is at 0. Bars: 95 % intervals over {info.unit}.")
    style.head(figure, info.synthetic)
    return figure
