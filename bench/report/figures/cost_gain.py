"""Cost against gain: what a method takes, and how far it moves the gap and the AUC from Baseline's."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from bench.report.figures.style import (
    MEAN,
    PALE,
    REFERENCE,
    TWO_COLUMNS,
    finite,
    head,
    legend,
    names,
    places_of,
    say_empty,
    styles_of,
)
from bench.report.numbers.aggregate import BASELINE
from bench.report.numbers.frames import COSTS
from bench.report.numbers.task_info import TaskInfo

_ROW = 1.75  # inches


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """Value minus Baseline's of the same backbone, set, metric and fold; folds that Baseline lacks are left out."""
    keys = ["backbone", "set", "metric", "fold"]
    baseline = frame[frame["spec"] == BASELINE][[*keys, "value"]]
    paired = frame[frame["spec"] != BASELINE].merge(baseline, on=keys, suffixes=("", "_baseline"))
    return paired.assign(value=paired["value"] - paired["value_baseline"]).drop(columns="value_baseline")


def draw(gained: pd.DataFrame, costs: pd.DataFrame, info: TaskInfo) -> Figure:
    """Draw two rows of panels per backbone and test set, gap and AUC, and a column for each cost.

    `gained` is a frame of `gains`, `costs` one of `frames.costs`; bars are ± std over folds both ways. Times and
    images counted go over powers of ten.
    """
    tests = gained[gained["set"].isin(info.ood) & gained["metric"].isin((info.gap, "auc"))]
    titles = places_of(tests, info)
    rows = [(place, metric) for place in titles for metric in (info.gap, "auc")]
    figure = Figure(figsize=(TWO_COLUMNS, _ROW * len(rows) + 1.1), layout="constrained")
    panels = figure.subplots(len(rows), len(COSTS), squeeze=False, sharex="col", sharey="row")
    for line, (place, metric) in zip(panels, rows, strict=True):
        here = tests[(tests["backbone"] == place[0]) & (tests["set"] == place[1]) & (tests["metric"] == metric)]
        for panel, cost in zip(line, COSTS, strict=True):
            spent = costs[(costs["backbone"] == place[0]) & (costs["metric"] == cost)]
            _panel(panel, here, spent)
            if not here["value"].notna().any():
                say_empty(panel, info)
        better = "lower" if metric == info.gap else "higher"
        line[0].set_ylabel(f"Change of {info.title(metric)}\n({better} is better)")
        if metric == info.gap:
            line[0].set_title(titles[place], loc="left")
    for panel, (name, title) in zip(panels[-1], COSTS.items(), strict=True):
        panel.set_xlabel(title)
        if name != "changed" and (costs[costs["metric"] == name]["value"] > 0).any():
            panel.set_xscale("log")
            low, high = panel.get_xlim()
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter(NullFormatter())  # its own labels run into each other
    methods = names(tests)
    styles = styles_of(methods)
    handles = [Line2D([], [], label=name.label, **MEAN, **styles[name.label]) for name in methods]
    says = (
        "Means over folds, bars ± std (ddof 1), of the difference to Baseline fold by fold. Dashed: no change.\n"
        "Pale: in some fold one class predicted."
    )
    legend(figure, handles, says, columns=5)
    head(figure, info.synthetic)
    return figure


def _panel(panel: Axes, gained: pd.DataFrame, spent: pd.DataFrame) -> None:
    methods = names(gained)
    styles = styles_of(methods)
    panel.axhline(0, **REFERENCE)
    for name in methods:
        gain = gained[gained["spec"] == name.spec]
        cost = spent[spent["spec"] == name.spec]["value"]
        panel.errorbar(
            cost.mean(),
            gain["value"].mean(),
            xerr=finite(cost.std()),
            yerr=finite(gain["value"].std()),
            elinewidth=0.7,
            alpha=PALE if gain["degenerate"].any() else 1,
            **{**MEAN, "markersize": 5},
            **styles[name.label],
        )
