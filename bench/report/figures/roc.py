"""ROC curves by group: small multiples of the methods on one test set, Baseline behind each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.metrics import roc_curve

from bench.report.figures.style import TWO_COLUMNS, Style, band, dashes, head, legend, names, styles_of
from bench.report.numbers.aggregate import BASELINE
from bench.report.numbers.frames import METHOD
from bench.report.numbers.task_info import TaskInfo

GRID = np.linspace(0, 1, 101)
"""False positive rates at which curves are averaged."""
_ABREAST = 4
_PANEL = 1.85  # inches
_BEHIND: Style = {"color": "black", "linewidth": 0.5, "alpha": 0.6, "zorder": 1}
_FILLS = ("full", "none", "left", "right", "top", "bottom")


def curve(y: np.ndarray, logit: np.ndarray) -> tuple[np.ndarray, float, float]:
    """True positive rates (101,) at `GRID`, then the false and true positive rate of the threshold 0.5 (logit 0).

    Labels `y` (N,) in {0, 1}. At a step the curve takes its upper end. NaN where a class is missing.
    """
    if not 0 < y.sum() < len(y):
        return np.full(len(GRID), math.nan), math.nan, math.nan
    fpr, tpr, _ = roc_curve(y, logit)
    return np.interp(GRID, fpr, tpr), float((logit[y == 0] > 0).mean()), float((logit[y == 1] > 0).mean())


def curves(predictions: Iterable[tuple[Mapping[str, object], Mapping[str, Any]]]) -> pd.DataFrame:
    """Curves by method, group and fold from predictions of one test set.

    `predictions` are pairs of what a model is, `METHOD` and fold, and its a, y and logit, each (N,). Gives `METHOD`, a,
    fold, fpr, tpr, and `at`, true in the row of the operating point at 0.5. Seeds of a fold are averaged.
    """
    keys = [*METHOD, "a", "fold"]
    models, fprs, tprs = [], [], []
    for named, scored in predictions:
        a, y, logit = (np.asarray(scored[column]) for column in ("a", "y", "logit"))
        for group in np.unique(a):
            tpr, *point = curve(y[a == group], logit[a == group])
            models.append({**named, "a": group})
            fprs.append([*GRID, point[0]])
            tprs.append([*tpr, point[1]])
    by = [pd.DataFrame(models)[key] for key in keys]
    fpr, tpr = (pd.DataFrame(values).groupby(by).mean() for values in (fprs, tprs))
    found = fpr.index.to_frame(index=False).loc[np.repeat(np.arange(len(fpr)), len(GRID) + 1)].reset_index(drop=True)
    at = np.tile(np.arange(len(GRID) + 1) == len(GRID), len(fpr))
    return found.assign(fpr=fpr.to_numpy().ravel(), tpr=tpr.to_numpy().ravel(), at=at)


def draw(frame: pd.DataFrame, info: TaskInfo, title: str) -> Figure:
    """Draw a panel per backbone and method from a frame of `curves`, a line style per group.

    Lines are means over folds at equal false positive rates, bands ± std; markers are the means at the threshold 0.5.
    """
    panels = [(backbone, name) for backbone, part in frame.groupby("backbone") for name in names(part)]
    several = frame["backbone"].nunique() > 1
    abreast = min(_ABREAST, len(panels))
    down = math.ceil(len(panels) / abreast)
    figure = Figure(figsize=(TWO_COLUMNS, _PANEL * down + 1.3), layout="constrained")
    axes = figure.subplots(down, abreast, squeeze=False, sharex=True, sharey=True).flat
    for axis in list(axes)[len(panels) :]:
        axis.remove()
    for axis, (backbone, name) in zip(figure.axes, panels, strict=True):
        here = frame[frame["backbone"] == backbone]
        for group in range(len(info.group_names)):
            _behind(axis, here[(here["spec"] == BASELINE) & (here["a"] == group)], group)
            _line(axis, here[(here["spec"] == name.spec) & (here["a"] == group)], group, styles_of([name])[name.label])
        axis.set_title(f"{name.label}\n{backbone}" if several else name.label, fontsize=8)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        axis.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    for axis in figure.axes:
        place = axis.get_subplotspec()
        if place is not None and place.is_first_col():
            axis.set_ylabel("True positive rate")
        if place is not None and place.rowspan.stop * abreast + place.colspan.start >= len(panels):
            axis.set_xlabel("False positive rate")
            axis.tick_params(labelbottom=True)
    _legend(figure, frame, info.group_names, title)
    head(figure, info.synthetic)
    return figure


def _behind(axis: Axes, part: pd.DataFrame, group: int) -> None:
    mean = part[~part["at"]].groupby("fpr")["tpr"].mean()
    axis.plot(mean.index, mean, linestyle=dashes(group), **_BEHIND)


def _line(axis: Axes, part: pd.DataFrame, group: int, look: Style) -> None:
    line = part[~part["at"]].groupby("fpr")["tpr"].agg(["mean", "std"])
    band(axis, line.index, line["mean"], line["std"], look["color"])
    axis.plot(line.index, line["mean"], color=look["color"], linestyle=dashes(group), linewidth=1.1, zorder=3)
    point = part[part["at"]][["fpr", "tpr"]].mean()
    axis.plot(point["fpr"], point["tpr"], zorder=4, **_marker(group), marker=look["marker"], color=look["color"])


def _marker(group: int) -> Style:
    return {
        "linestyle": "none",
        "markersize": 5,
        "markeredgecolor": "black",
        "markeredgewidth": 0.7,
        "fillstyle": _FILLS[group % len(_FILLS)],
        "markerfacecoloralt": "white",
    }


def _legend(figure: Figure, frame: pd.DataFrame, groups: Sequence[str], title: str) -> None:
    handles = [
        Line2D([], [], color="black", label=name, marker="o", **{**_marker(group), "linestyle": dashes(group)})
        for group, name in enumerate(groups)
    ]
    handles.append(Line2D([], [], label="Baseline", **_BEHIND))
    lacking = [
        name for group, name in enumerate(groups) if not frame[(frame["a"] == group) & frame["at"]]["tpr"].notna().any()
    ]
    folds = frame.groupby(["backbone", "spec"])["fold"].nunique().max()
    says = f"{title}: means over {folds} folds at equal false positive rates, bands ± std (ddof 1).\n"
    says += "Markers: threshold 0.5."
    says += f" Without a curve, for want of a class: {', '.join(lacking)}." if lacking else ""
    legend(figure, handles, says)
