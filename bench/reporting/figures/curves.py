"""Curves of an ablation: accuracy and gaps against epochs, share of the head or images (SWiFT, Figs. 4, 6 and 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.reporting.figures import style
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.frames import METHOD
from bench.reporting.numbers.task_info import TaskInfo

_LINE: style.Style = {"linewidth": 1.1, "markersize": 4, "markeredgewidth": 0.5, "markeredgecolor": "black"}
_STAR: style.Style = {
    **style.MEAN,
    "marker": "*",
    "markersize": 10,
    "color": "white",
    "markeredgewidth": 0.8,
    "zorder": 5,
}


@dataclass(frozen=True)
class Across:
    """The horizontal axis: its title, its tick labels by value, and the legend of a star if there are stars."""

    title: str
    ticks: Mapping[float, str] = field(default_factory=dict)
    star: str = ""


def draw(frame: pd.DataFrame, info: TaskInfo, across: Across, costs: Mapping[str, str] | None = None) -> Figure | None:
    """Draw a row of panels per test set and backbone, a panel per metric: means over folds, and ± std as a band.

    `frame` has the columns of `frames.by_fold`, `x`, and optionally `own`, true for a star, which is on no line.
    Baseline is a dashed line. `costs`, metrics of set "" with their titles, make a last row. None if all values are
    suppressed.
    """
    others = frame[frame["spec"] != BASELINE]
    tests = others[others["set"].isin(info.ood)]
    titles = style.places_of(tests, info)
    rows = [(place, info.columns) for place in titles]
    rows += [((backbone, ""), tuple(costs)) for backbone in sorted(set(tests["backbone"])) if costs]
    rows = [row for row in rows if (others["set"] == row[0][1]).any()]
    if not rows:
        return None
    figure = Figure(figsize=(style.TWO_COLUMNS, style.ROW * len(rows) + 0.75), layout="constrained")
    panels = figure.subplots(len(rows), max(len(metrics) for _, metrics in rows), squeeze=False)
    for line, (place, metrics) in zip(panels, rows, strict=True):
        here = frame[(frame["backbone"] == place[0]) & (frame["set"] == place[1])]
        for panel, metric in zip(line, metrics, strict=False):
            shown = here[(here["metric"] == metric) & here["value"].notna()]
            _panel(panel, shown, across)
            if shown.empty:
                style.say_empty(panel, info)
            panel.set_ylabel((costs or {}).get(metric) or info.heading(metric))
        for panel in line[len(metrics) :]:
            panel.remove()
        line[0].set_title(titles.get(place, "Cost of a fold"), loc="left")
    panels[-1][(len(rows[-1][1]) - 1) // 2].set_xlabel(across.title)
    _legend(figure, others, across, reference=len(others) < len(frame))
    style.head(figure, info.synthetic, says=info.decided)
    return figure


def _panel(panel: Axes, frame: pd.DataFrame, across: Across) -> None:
    looks = style.styles_of(style.names(frame))
    own = frame["own"] if "own" in frame else pd.Series(False, index=frame.index)
    reference = frame[frame["spec"] == BASELINE]
    if len(reference):
        panel.axhline(reference["value"].mean(), **style.REFERENCE)
    points = frame[~own & (frame["spec"] != BASELINE)]
    spreads = points.groupby([*METHOD, "x"])["value"].agg(["mean", "std"]).reset_index()
    for label, line in spreads.groupby("label", sort=False):
        look = looks[str(label)]
        style.band(panel, line["x"], line, look["color"])
        panel.plot(line["x"], line["mean"], **{**look, **_LINE})
    for _, star in frame[own].groupby("label"):
        x, y = star["x"].mean(), star["value"].mean()
        if star["value"].count() > 1:
            panel.errorbar(x, y, yerr=star["value"].std(), color="black", elinewidth=0.8, linestyle="none")
        panel.plot(x, y, **_STAR)
    if across.ticks:
        panel.set_xticks(list(across.ticks), list(across.ticks.values()))
    elif (frame["x"] % 1 == 0).all():
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.margins(x=0.05)
    low, high = panel.get_ylim()
    panel.set_ylim(bottom=max(low, -0.03 * high))  # no value is below 0, but the lower half of a band may be


def _legend(figure: Figure, frame: pd.DataFrame, across: Across, *, reference: bool) -> None:
    points = frame[~frame["own"]] if "own" in frame else frame
    entries = style.handles(style.styles_of(style.names(points)), _LINE)
    if across.star:
        entries.append(Line2D([], [], label=across.star, **_STAR))
    if reference:
        entries.append(Line2D([], [], label="Baseline", **{**style.REFERENCE, "linewidth": 1}))
    folds = frame.groupby("label")["fold"].nunique()
    counts = sorted({int(folds.min()), int(folds.max())})
    says = f"Lines: means over {' to '.join(map(str, counts))} folds. Bands and bars: ± std (ddof 1)."
    style.legend(figure, entries, says)
