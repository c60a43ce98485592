"""ROC curves by group: a panel per method on one test set, Baseline behind each."""

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

from bench.reporting.figures import style
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.frames import METHOD
from bench.reporting.numbers.task_info import TaskInfo

GRID = np.linspace(0, 1, 101)
"""False positive rates at which curves are averaged."""
_ABREAST = 4
_PANEL = 1.85  # inches
_BEHIND: style.Style = {"color": "black", "linewidth": 0.5, "alpha": 0.6, "zorder": 1}
_FILLS = ("full", "none", "left", "right", "top", "bottom")


def curve(y: np.ndarray, logit: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return true positive rates (101,) at `GRID`, then the false and true positive rate at the threshold 0.5.

    Labels `y` (N,) in {0, 1}. At a step the curve takes its upper end. NaN where a class is missing.
    """
    if not 0 < y.sum() < len(y):
        return np.full(len(GRID), math.nan), math.nan, math.nan
    fpr, tpr, _ = roc_curve(y, logit)
    return np.interp(GRID, fpr, tpr), float((logit[y == 0] > 0).mean()), float((logit[y == 1] > 0).mean())


def curves(predictions: Iterable[tuple[Mapping[str, object], Mapping[str, Any]]]) -> pd.DataFrame:
    """Return curves by method, group and fold from predictions of one test set; seeds of a fold are averaged.

    `predictions` are pairs: `METHOD` and the fold of a model, and its a, y and logit, each (N,). The frame has the
    columns `METHOD`, a, fold, fpr, tpr, and `at`, true in the row of the operating point at the threshold 0.5.
    """
    keys = [*METHOD, "a", "fold"]
    models, fprs, tprs = [], [], []
    for named, scored in predictions:
        a, y, logit = (np.asarray(scored[column]) for column in ("a", "y", "logit"))
        for group in np.unique(a[a >= 0]):
            tpr, *point = curve(y[a == group], logit[a == group])
            models.append({**named, "a": group})
            fprs.append([*GRID, point[0]])
            tprs.append([*tpr, point[1]])
    by = [pd.DataFrame(models)[key] for key in keys]
    fpr, tpr = (pd.DataFrame(values).groupby(by).mean() for values in (fprs, tprs))
    found = fpr.index.to_frame(index=False).loc[np.repeat(np.arange(len(fpr)), len(GRID) + 1)].reset_index(drop=True)
    at = np.tile(np.arange(len(GRID) + 1) == len(GRID), len(fpr))
    return found.assign(fpr=fpr.to_numpy().ravel(), tpr=tpr.to_numpy().ravel(), at=at)


def means(frame: pd.DataFrame, info: TaskInfo) -> pd.DataFrame:
    """Return what `draw` shows of a frame of `curves`: means and std over folds, with the name of the group.

    Rows with a `threshold` are the operating points.
    """
    keys = [*METHOD, "a"]
    lines = frame[~frame["at"]].groupby([*keys, "fpr"], sort=False)["tpr"].agg(["mean", "std"]).reset_index()
    points = frame[frame["at"]].groupby(keys, sort=False)[["fpr", "tpr"]].mean().reset_index()
    found = pd.concat([lines.rename(columns={"mean": "tpr", "std": "tpr_std"}), points.assign(threshold=0.5)])
    return found.assign(group=[info.group_names[int(a)] for a in found["a"]]).drop(columns="a")


def draw(frame: pd.DataFrame, info: TaskInfo, title: str) -> Figure:
    """Draw a panel per backbone and method from a frame of `curves`, a line style per group.

    Lines are means over folds at equal false positive rates, bands ± std, and markers the means at the threshold 0.5.
    """
    panels = [(backbone, name) for backbone, part in frame.groupby("backbone") for name in style.names(part)]
    several = frame["backbone"].nunique() > 1
    abreast = min(_ABREAST, len(panels))
    height = _PANEL * math.ceil(len(panels) / abreast) + 1.3
    figure = Figure(figsize=(style.TWO_COLUMNS, height), layout="constrained")
    axes = style.grid(figure, len(panels), abreast, sharex=True, sharey=True)
    for number, (axis, (backbone, name)) in enumerate(zip(axes, panels, strict=True)):
        here = frame[frame["backbone"] == backbone]
        for group in range(len(info.group_names)):
            _behind(axis, here[(here["spec"] == BASELINE) & (here["a"] == group)], group)
            look = style.styles_of([name])[name.label]
            _line(axis, here[(here["spec"] == name.spec) & (here["a"] == group)], group, look)
        axis.set_title(f"{name.label}\n{display_name(str(backbone))}" if several else name.label, fontsize=8)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        axis.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
        if number % abreast == 0:
            axis.set_ylabel("True positive rate")
        if number + abreast >= len(panels):
            axis.set_xlabel("False positive rate")
            axis.tick_params(labelbottom=True)
    _legend(figure, frame, info.group_names, title)
    style.head(figure, info.synthetic, says=info.decided)
    return figure


def _behind(axis: Axes, part: pd.DataFrame, group: int) -> None:
    mean = part[~part["at"]].groupby("fpr")["tpr"].mean()
    axis.plot(mean.index, mean, linestyle=style.dashes(group), **_BEHIND)


def _line(axis: Axes, part: pd.DataFrame, group: int, look: style.Style) -> None:
    line = part[~part["at"]].groupby("fpr")["tpr"].agg(["mean", "std"])
    style.band(axis, line.index, line, look["color"])
    axis.plot(line.index, line["mean"], color=look["color"], linestyle=style.dashes(group), linewidth=1.1, zorder=3)
    point = part[part["at"]][["fpr", "tpr"]].mean()
    axis.plot(point["fpr"], point["tpr"], zorder=4, **_marker(group), marker=look["marker"], color=look["color"])


def _marker(group: int) -> style.Style:
    fill = {"fillstyle": _FILLS[group % len(_FILLS)], "markerfacecoloralt": "white"}
    return {**style.MEAN, "markersize": 5, "markeredgewidth": 0.7, **fill}


def _legend(figure: Figure, frame: pd.DataFrame, groups: Sequence[str], title: str) -> None:
    looks: dict[str, style.Style] = {
        name: {"color": "black", "marker": "o", **_marker(group), "linestyle": style.dashes(group)}
        for group, name in enumerate(groups)
    }
    entries = [*style.handles(looks, {}), Line2D([], [], label="Baseline", **_BEHIND)]
    known = frame[frame["at"] & frame["tpr"].notna()]["a"].unique()
    lacking = [name for group, name in enumerate(groups) if group not in known]
    folds = frame.groupby(["backbone", "spec"])["fold"].nunique().max()
    says = f"{title}: means over {folds} folds at equal false positive rates, bands ± std (ddof 1).\n"
    says += "Markers: threshold 0.5."
    says += f" Without a curve, because a class is missing: {', '.join(lacking)}." if lacking else ""
    style.legend(figure, entries, says)
