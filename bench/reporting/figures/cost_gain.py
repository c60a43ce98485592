"""Cost against gain: what a method costs, and how far it moves the gap and the AUC from Baseline's."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bench.reporting.figures import style
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.frames import COSTS
from bench.reporting.numbers.ranking import SUPPORTED
from bench.reporting.numbers.task_info import TaskInfo

Place = tuple[str, str, str, str]
"""Backbone, set, metric and spec of a difference."""


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """Return value minus Baseline's of the same backbone, set, metric and fold, without folds that Baseline lacks."""
    keys = ["backbone", "set", "metric", "fold"]
    baseline = frame[frame["spec"] == BASELINE][[*keys, "value"]]
    paired = frame[frame["spec"] != BASELINE].merge(baseline, on=keys, suffixes=("", "_baseline"))
    return paired.assign(value=paired["value"] - paired["value_baseline"]).drop(columns="value_baseline")


def draw(gained: pd.DataFrame, costs: pd.DataFrame, info: TaskInfo, supported: Collection[Place] = ()) -> Figure:
    """Draw two rows of panels per backbone and test set, gap and AUC, and a column for each cost.

    `gained` is a frame of `gains`, `costs` one of `frames.costs`. Bars are ± std over folds on both axes. Times and
    image counts have a logarithmic axis. `supported` differences bear their mark.
    """
    tests = gained[gained["set"].isin(info.ood) & gained["metric"].isin((info.gap, "auc"))]
    titles, looks = style.places_of(tests, info), style.styles_of(style.names(tests))
    rows = [(place, metric) for place in titles for metric in (info.gap, "auc")]
    figure = Figure(figsize=(style.TWO_COLUMNS, style.ROW * len(rows) + 1.1), layout="constrained")
    panels = figure.subplots(len(rows), len(COSTS), squeeze=False, sharex="col", sharey="row")
    for line, (place, metric) in zip(panels, rows, strict=True):
        here = tests[(tests["backbone"] == place[0]) & (tests["set"] == place[1]) & (tests["metric"] == metric)]
        for panel, cost in zip(line, COSTS, strict=True):
            spent = costs[(costs["backbone"] == place[0]) & (costs["metric"] == cost)]
            _panel(panel, here, spent, looks, {spec for *at, spec in supported if at == [*place, metric]})
            if not here["value"].notna().any():
                style.say_empty(panel, info)
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
            panel.xaxis.set_minor_formatter(NullFormatter())  # its own labels overlap
    says = (
        "Means over folds of the difference to Baseline in the same fold, bars ± std (ddof 1). Dashed: no change.\n"
        f"Pale: nearly one class predicted in some fold. {SUPPORTED} supported difference to Baseline."
    )
    style.legend(figure, style.handles(looks, style.MEAN), says, columns=5)
    style.head(figure, info.synthetic, says=info.decided)
    return figure


def _panel(
    panel: Axes,
    gained: pd.DataFrame,
    spent: pd.DataFrame,
    looks: Mapping[str, style.Style],
    supported: Collection[str],
) -> None:
    panel.axhline(0, **style.REFERENCE)
    for name in style.names(gained):
        gain, cost = gained[gained["spec"] == name.spec], spent[spent["spec"] == name.spec]["value"]
        xerr, yerr = (values.std() if values.count() > 1 else None for values in (cost, gain["value"]))
        alpha = style.PALE if gain["degenerate"].any() else 1
        look = {**looks[name.label], **style.MEAN, "markersize": 5, "elinewidth": 0.7, "alpha": alpha}
        place = cost.mean(), gain["value"].mean()
        panel.errorbar(*place, xerr=xerr, yerr=yerr, **look)
        if name.spec in supported:
            panel.annotate(SUPPORTED, place, (3, 1), textcoords="offset points", zorder=5)
