"""The frontier of thresholds: balanced accuracy on a test set against the EOdds that validation images may have."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reporting.figures import style
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.equal_odds import RULES
from bench.reporting.numbers.task_info import TaskInfo

_LINE: style.Style = {"linewidth": 0.9, "markersize": 2.5, "markevery": 5}
_BEAT: style.Style = {"color": "black", "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}


def draw(frame: pd.DataFrame, info: TaskInfo) -> Figure:
    """Draw a column for each backbone and test set, and a row for each rule, from a frame of `equal_odds.frame`.

    Bands over patients are those of Baseline; Baseline with a threshold per group is the dashed line of both rows.
    """
    places = style.places_of(frame, info)
    figure = Figure(figsize=(style.TWO_COLUMNS, 6.6), layout="constrained")
    axes = figure.subplots(len(RULES), len(places), squeeze=False, sharex=True, sharey="col")
    looks = style.styles_of(style.names(frame))
    for column, ((backbone, name), title) in enumerate(places.items()):
        here = frame[(frame["backbone"] == backbone) & (frame["set"] == name)]
        beat = here[(here["spec"] == BASELINE) & (here["rule"] == "each")]
        for axis, (rule, says) in zip(axes[:, column], RULES.items(), strict=True):
            axis.plot(beat["bound"], beat["value"], **_BEAT)
            _lines(axis, here[here["rule"] == rule], looks)
            axis.set_title(f"{title}: {says}")
            axis.set_ylabel("Balanced accuracy" if column == 0 else "")
        axes[-1][column].set_xlabel("EOdds allowed on validation")
    says = "Means over folds, thresholds from validation images; "
    says += f"band: Baseline, 95 % over {info.unit} (of all in the CSV).\n"
    says += "Dashed: Baseline with a threshold per group, the line to beat. The EOdds that is reached is in the table."
    style.legend(figure, style.handles(looks, {"markersize": 4, "linewidth": 1}), says)
    style.head(figure, info.synthetic)
    return figure


def _lines(axis: Axes, part: pd.DataFrame, looks: dict[str, style.Style]) -> None:
    for (label, spec), line in part.groupby(["label", "spec"], sort=False):
        look = looks[str(label)]
        if spec == BASELINE:
            axis.fill_between(line["bound"], line["low"], line["high"], color=look["color"], alpha=0.1, lw=0)
        axis.plot(line["bound"], line["value"], **{**look, **_LINE})
