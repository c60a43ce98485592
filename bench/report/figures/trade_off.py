"""The trade-off figure: disparity against accuracy, a panel per backbone and test set, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from bench.report.figures import style
from bench.report.numbers.aggregate import BASELINE
from bench.report.numbers.task_info import TaskInfo

_ABREAST = 3
_PANEL = 3.0  # inches
_FOLD: style.Style = {"linestyle": "none", "markersize": 3, "markeredgewidth": 0, "alpha": 0.75, "zorder": 2}
_FRONT: style.Style = {"color": "black", "linewidth": 1.6, "alpha": 0.35, "zorder": 1}


def draw(frame: pd.DataFrame, info: TaskInfo, backbones: Sequence[str]) -> Figure:
    """Draw AUC to the right and the gap of the task upwards from a frame of `frames.by_fold`.

    A large marker is a mean over folds, a small one is a fold, and an ellipse is the covariance of the folds at one
    standard deviation, drawn from three folds on. The front joins the means that no other mean beats on both axes.
    Rows without a finite mean are left out.
    """
    places = [(backbone, name) for backbone in backbones for name in info.ood]
    abreast = min(len(places), _ABREAST)
    width, columns = (style.ONE_COLUMN, 2) if abreast == 1 else (style.TWO_COLUMNS, 5)
    looks = style.styles_of(style.names(frame))
    height = _PANEL * math.ceil(len(places) / abreast) + 1.2 + 0.17 * math.ceil(len(looks) / columns)
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = style.grid(figure, len(places), abreast)
    shown: set[str] = set()
    for panel, place, title in zip(panels, places, style.place_titles(places), strict=True):
        here = frame[(frame["backbone"] == place[0]) & (frame["set"] == place[1])]
        found = _panel(panel, points(here, info.gap), looks)
        shown |= found
        if not found:
            style.say_empty(panel, info)
        panel.set_xlabel(f"{info.title('auc')} (higher is better)")
        panel.set_ylabel(f"{info.title(info.gap)} (lower is better)")
        panel.set_title(title)
    folds = int(frame.groupby("label")["fold"].nunique().max()) if len(frame) else 0
    entries = style.handles({label: look for label, look in looks.items() if label in shown}, style.MEAN)
    style.legend(figure, entries, _says(folds, narrow=columns == 2), columns)
    style.head(figure, info.synthetic)
    return figure


def points(frame: pd.DataFrame, gap: str) -> pd.DataFrame:
    """Return AUC and gap of each fold of one panel: columns label, spec, auc, gap and pale, in the order of the table.

    `pale` is true where the row predicts a single class in some fold, so that its gap means nothing.
    """
    kept = frame[frame["metric"].isin(("auc", gap))]
    keys = ["row", "method", "spec", "label", "fold"]
    wide = kept.pivot(index=keys, columns="metric", values="value").reindex(columns=["auc", gap])
    degenerate = kept[kept["metric"] == gap].set_index(keys)["degenerate"]
    found = wide.set_axis(["auc", "gap"], axis=1).assign(pale=degenerate.reindex(wide.index, fill_value=False))
    return found.reset_index().sort_values(["row", "method", "spec", "fold"], kind="stable")


def pareto(auc: Sequence[float], gap: Sequence[float]) -> list[int]:
    """Return the indices of the Pareto front, by rising AUC, hence by rising gap.

    A point is on the front if no other has an AUC as high and a gap as low, and one of the two better. NaN never is.
    """
    order = [i for i in range(len(auc)) if math.isfinite(auc[i] + gap[i])]
    order.sort(key=lambda i: (-auc[i], gap[i]))
    found: list[int] = []
    for i in order:
        if not found or gap[i] < gap[found[-1]] or (auc[i], gap[i]) == (auc[found[-1]], gap[found[-1]]):
            found.append(i)
    return found[::-1]


def ellipse(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float] | None:
    """Return width, height and angle in degrees of the covariance (ddof 1) at one standard deviation.

    Width and height are full axes. The width is the larger one, along the angle. None with fewer than three finite
    points.
    """
    places = np.column_stack([x, y])
    places = places[np.isfinite(places).all(axis=1)]
    if len(places) < 3:
        return None
    values, vectors = np.linalg.eigh(np.cov(places, rowvar=False))
    width, height = 2 * np.sqrt(np.maximum(values[::-1], 0))
    return float(width), float(height), float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))) % 180


def _panel(panel: Axes, here: pd.DataFrame, looks: Mapping[str, style.Style]) -> set[str]:
    """Draw one panel and return the labels that are in it."""
    means = here.groupby("label", sort=False).agg(
        auc=("auc", "mean"), gap=("gap", "mean"), pale=("pale", "any"), spec=("spec", "first")
    )
    means = means[np.isfinite(means["auc"] + means["gap"])]
    sound = means[~means["pale"]]
    front = sound.iloc[pareto(sound["auc"].tolist(), sound["gap"].tolist())]
    for name, mean in means.iterrows():
        label, place, pale = str(name), (mean["auc"], mean["gap"]), mean["pale"]
        folds, look = here[here["label"] == label], looks[label]
        panel.plot(folds["auc"], folds["gap"], **{**look, **_FOLD})
        if shape := ellipse(folds["auc"].tolist(), folds["gap"].tolist()):
            width, alpha = (1.2, 1) if label in front.index else (0.8, style.PALE)
            outline: style.Style = {"linestyle": look["linestyle"], "linewidth": width, "edgecolor": look["color"]}
            panel.add_patch(Ellipse(place, *shape[:2], angle=shape[2], fill=False, zorder=2, alpha=alpha, **outline))
        panel.plot(*place, zorder=4, alpha=style.PALE if pale else 1, **{**look, **style.MEAN})
        if pale:
            panel.annotate("†", place, (4, 4), textcoords="offset points", zorder=5)
        if mean["spec"] == BASELINE:
            panel.axvline(place[0], **style.REFERENCE)
            panel.axhline(place[1], **style.REFERENCE)
    panel.plot(front["auc"], front["gap"], drawstyle="steps-pre", **_FRONT)
    panel.margins(0.06)
    panel.set_ylim(bottom=-0.03 * panel.get_ylim()[1])  # room for a marker at 0
    return {str(label) for label in means.index}


def _says(folds: int, *, narrow: bool) -> str:
    """Return how to read the figure; a narrow one breaks its lines between sentences."""
    lines = [
        f"Large: mean over {folds} {'fold' if folds == 1 else 'folds'}. Small: single folds.",
        *(["Ellipses: covariance of the folds (ddof 1), one std. Pale: not on the front."] if folds > 2 else []),
        "Grey steps: Pareto front of the means.",
        "Dashed: Baseline. † one class predicted: the gap means nothing.",
    ]
    return "\n".join(line.replace(". ", ".\n", 1) if narrow else line for line in lines)
