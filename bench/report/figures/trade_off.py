"""The trade-off figure: disparity against accuracy, a panel per backbone and test set, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from bench.report.figures.style import (
    ABREAST,
    MEAN,
    ONE_COLUMN,
    PALE,
    PANEL_HEIGHT,
    REFERENCE,
    TWO_COLUMNS,
    Style,
    dashes_of,
    head,
    legend,
    names,
    place_titles,
    say_empty,
    styles_of,
)
from bench.report.numbers.aggregate import BASELINE
from bench.report.numbers.task_info import TaskInfo

_FRONT: Style = {"color": "black", "linewidth": 1.6, "alpha": 0.35, "zorder": 1}


def draw(frame: pd.DataFrame, info: TaskInfo, backbones: Sequence[str]) -> Figure:
    """Draw AUC to the right and the gap of the task upwards from a frame of `frames.by_fold`.

    A large marker is a mean over folds, a small one a fold, an ellipse the covariance of the folds at one standard
    deviation, where there are three. The front joins the means that no other mean beats on both axes. Rows without a
    finite mean are left out.
    """
    places = [(backbone, name) for backbone in backbones for name in info.ood]
    abreast = min(len(places), ABREAST)
    down = math.ceil(len(places) / abreast)
    width = ONE_COLUMN if abreast == 1 else TWO_COLUMNS
    columns = 2 if abreast == 1 else 5
    methods = names(frame)
    below = 1.2 + 0.17 * math.ceil(len(methods) / columns)
    figure = Figure(figsize=(width, PANEL_HEIGHT * down + below), layout="constrained")
    panels = figure.subplots(down, abreast, squeeze=False).flat
    for panel in list(panels)[len(places) :]:
        panel.remove()
    drawn: set[str] = set()
    styles, dashes = styles_of(methods), dashes_of(methods)
    for panel, place, title in zip(figure.axes, places, place_titles(places), strict=True):
        here = frame[(frame["backbone"] == place[0]) & (frame["set"] == place[1])]
        if found := _panel(panel, points(here, info.gap), styles, dashes):
            drawn |= found
        else:
            say_empty(panel, info)
        panel.set_xlabel(f"{info.title('auc')} (higher is better)")
        panel.set_ylabel(f"{info.title(info.gap)} (lower is better)")
        panel.set_title(title)
    _legend(figure, [name.label for name in methods if name.label in drawn], styles, columns, _folds(frame))
    head(figure, info.synthetic)
    return figure


def points(frame: pd.DataFrame, gap: str) -> pd.DataFrame:
    """AUC and gap of each fold of one place, columns label, spec, auc, gap and pale, in the order of the table.

    `pale` says that a fold of the row predicts one class, which gives its gap no meaning.
    """
    kept = frame[frame["metric"].isin(("auc", gap))]
    keys = ["row", "method", "spec", "label", "fold"]
    wide = kept.pivot(index=keys, columns="metric", values="value").reindex(columns=["auc", gap])
    degenerate = kept[kept["metric"] == gap].set_index(keys)["degenerate"]
    found = wide.set_axis(["auc", "gap"], axis=1).assign(pale=degenerate.reindex(wide.index, fill_value=False))
    return found.reset_index().sort_values(["row", "method", "spec", "fold"], kind="stable")


def pareto(auc: Sequence[float], gap: Sequence[float]) -> list[int]:
    """Places of the points that no other beats: as high an AUC and as low a gap, and better in one; NaN never.

    Sorted by AUC, so that the gap rises with it.
    """
    order = [i for i in range(len(auc)) if math.isfinite(auc[i] + gap[i])]
    order.sort(key=lambda i: (-auc[i], gap[i]))
    found: list[int] = []
    lowest = math.inf
    for i in order:
        same = bool(found) and (auc[i], gap[i]) == (auc[found[-1]], gap[found[-1]])
        if gap[i] < lowest or same:
            found.append(i)
            lowest = gap[i]
    return found[::-1]


def ellipse(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float] | None:
    """Full width, full height and angle in degrees of the covariance (ddof 1) at one standard deviation.

    The width lies along the angle and is the larger. None with fewer than three points that are finite.
    """
    places = np.column_stack([x, y])
    places = places[np.isfinite(places).all(axis=1)]
    if len(places) < 3:
        return None
    values, vectors = np.linalg.eigh(np.cov(places, rowvar=False))
    width, height = 2 * np.sqrt(np.maximum(values[::-1], 0))
    return float(width), float(height), float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))) % 180


def _panel(panel: Axes, here: pd.DataFrame, styles: Mapping[str, Style], dashes: Mapping[str, object]) -> set[str]:
    """Draw one panel; return the labels that have a place in it."""
    means = here.groupby("label", sort=False).agg(
        auc=("auc", "mean"), gap=("gap", "mean"), pale=("pale", "any"), spec=("spec", "first")
    )
    means = means[np.isfinite(means["auc"] + means["gap"])]
    sound = means[~means["pale"]]
    front = sound.iloc[pareto(sound["auc"].tolist(), sound["gap"].tolist())]
    for name, mean in means.iterrows():
        label, place, pale = str(name), (mean["auc"], mean["gap"]), mean["pale"]
        folds, look = here[here["label"] == label], styles[label]
        panel.plot(
            folds["auc"], folds["gap"], linestyle="none", markersize=3, markeredgewidth=0, alpha=0.75, zorder=2, **look
        )
        if shape := ellipse(folds["auc"].tolist(), folds["gap"].tolist()):
            width, alpha = (1.2, 1) if label in front.index else (0.8, PALE)
            outline: Style = {"linestyle": dashes[label], "linewidth": width, "edgecolor": look["color"]}
            panel.add_patch(Ellipse(place, *shape[:2], angle=shape[2], fill=False, zorder=2, alpha=alpha, **outline))
        panel.plot(*place, zorder=4, alpha=PALE if pale else 1, **MEAN, **look)
        if pale:
            panel.annotate("†", place, (4, 4), textcoords="offset points", zorder=5)
        if mean["spec"] == BASELINE:
            panel.axvline(place[0], **REFERENCE)
            panel.axhline(place[1], **REFERENCE)
    panel.plot(front["auc"], front["gap"], drawstyle="steps-pre", **_FRONT)
    panel.margins(0.06)
    panel.set_ylim(bottom=-0.03 * panel.get_ylim()[1])  # room for a marker at 0
    return {str(label) for label in means.index}


def _folds(frame: pd.DataFrame) -> int:
    return int(frame.groupby("label")["fold"].nunique().max()) if len(frame) else 0


def _legend(figure: Figure, labels: list[str], styles: Mapping[str, Style], columns: int, folds: int) -> None:
    lines = [
        f"Large: mean over {folds} {'fold' if folds == 1 else 'folds'}. Small: single folds.",
        *(["Ellipses: covariance of the folds (ddof 1), one std. Pale: not on the front."] if folds > 2 else []),
        "Grey steps: Pareto front of the means.",
        "Dashed: Baseline. † one class predicted: the gap means nothing.",
    ]
    says = "\n".join(line.replace(". ", ".\n", 1) if columns == 2 else line for line in lines)
    handles = [Line2D([], [], label=label, **MEAN, **styles[label]) for label in labels]
    legend(figure, handles, says, columns=columns)
