"""The trade-off figure: disparity against accuracy, a panel per backbone and test set, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reporting.figures import style
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.task_info import TaskInfo

_ABREAST = 3
_PANEL = 3.0  # inches
_FOLD: style.Style = {"linestyle": "none", "markersize": 2.5, "markeredgewidth": 0, "alpha": 0.3, "zorder": 2}
_AROUND = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
"""Directions in which a label may be placed, the preferred first."""
_LETTERS = 7
"""Size of a label, in points."""
_LEADER = {"arrowstyle": "-", "linewidth": 0.4, "color": "0.5", "shrinkA": 0, "shrinkB": 3}
"""The line from a label to its point."""
Rectangle = tuple[float, float, float, float]
_FRONT: style.Style = {"color": "black", "linewidth": 1.6, "alpha": 0.35, "zorder": 1}


def draw(frame: pd.DataFrame, info: TaskInfo, backbones: Sequence[str]) -> Figure:
    """Draw AUC to the right and the gap of the task upwards from a frame of `frames.by_fold`.

    A large marker with a name is a mean over folds, a small one is a fold. The front joins the means that no other mean
    beats on both axes. Rows without a finite mean are left out.
    """
    places = [(backbone, name) for backbone in backbones for name in info.ood]
    abreast = min(len(places), _ABREAST)
    width = style.ONE_COLUMN if abreast == 1 else style.TWO_COLUMNS
    figure = Figure(figsize=(width, _PANEL * math.ceil(len(places) / abreast) + 1), layout="constrained")
    panels = style.grid(figure, len(places), abreast)
    looks = style.styles_of(style.names(frame))
    means = {}
    for panel, place, title in zip(panels, places, style.place_titles(places), strict=True):
        here = frame[(frame["backbone"] == place[0]) & (frame["set"] == place[1])]
        means[panel] = _panel(panel, points(here, info.gap), looks)
        if means[panel].empty:
            style.say_empty(panel, info)
        panel.set_xlabel(f"{info.title('auc')} (higher is better)")
        panel.set_ylabel(f"{info.title(info.gap)} (lower is better)")
        panel.set_title(title)
    folds = int(frame.groupby("label")["fold"].nunique().max()) if len(frame) else 0
    style.legend(figure, [], _says(folds, narrow=abreast == 1))
    style.head(figure, info.synthetic, says=info.decided)
    figure.draw_without_rendering()  # labels are placed where the layout has put the points
    for panel, found in means.items():
        _name(panel, found)
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


def label_places(
    points: np.ndarray, sizes: np.ndarray, box: tuple[float, float, float, float]
) -> list[tuple[float, float]]:
    """Return the lower left corner of a label for each point, in the units of `points` (N, 2).

    One after another, each label takes the place around its point at which its rectangle of `sizes` (N, 2) covers
    least of the other points, of the labels before it, and of what is outside `box` (x0, y0, x1, y1).
    """
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    found = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        places = [
            (x + dx * (far + width / 2) - width / 2, y + dy * (far + height / 2) - height / 2)
            for far in (5, 12, 20)
            for dx, dy in _AROUND
        ]
        rectangles = [(left, low, left + width, low + height) for left, low in places]
        covered = [sum(_overlap(one, other) for other in taken) + _outside(one, box) for one in rectangles]
        # The first of equal places is nearest; a far one must save more than a letter.
        best = min(range(len(places)), key=lambda place: (covered[place] + 6 * (place // len(_AROUND)), place))
        taken.append(rectangles[best])
        found.append(places[best])
    return found


def _overlap(one: Rectangle, other: Rectangle) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def _outside(one: Rectangle, box: Rectangle) -> float:
    return (one[2] - one[0]) * (one[3] - one[1]) - _overlap(one, box)


def _panel(panel: Axes, here: pd.DataFrame, looks: Mapping[str, style.Style]) -> pd.DataFrame:
    """Draw one panel and return the means that are in it, by label: auc, gap, pale and spec."""
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
        panel.plot(*place, label=label, zorder=4, alpha=style.PALE if pale else 1, **{**look, **style.MEAN})
        if mean["spec"] == BASELINE:
            panel.axvline(place[0], **style.REFERENCE)
            panel.axhline(place[1], **style.REFERENCE)
    panel.plot(front["auc"], front["gap"], drawstyle="steps-pre", **_FRONT)
    panel.margins(0.06)
    panel.set_ylim(bottom=-0.03 * panel.get_ylim()[1])  # room for a marker at 0
    return means


def _name(panel: Axes, means: pd.DataFrame) -> None:
    """Write the name of each mean beside it."""
    if means.empty:
        return
    scale = panel.figure.dpi / 72
    names = [f"{label}{'†' if pale else ''}" for label, pale in zip(means.index, means["pale"], strict=True)]
    placed = panel.transData.transform(means[["auc", "gap"]].to_numpy()) / scale
    sizes = np.array([(0.56 * _LETTERS * len(name), _LETTERS) for name in names])
    box = panel.bbox.frozen()
    corners = label_places(placed, sizes, (box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale))
    for name, label, point, corner in zip(names, means.index, placed, corners, strict=True):
        where = (corner[0] - point[0], corner[1] - point[1])
        at = (float(means["auc"][label]), float(means["gap"][label]))
        panel.annotate(name, at, where, textcoords="offset points", fontsize=_LETTERS, arrowprops=_LEADER, zorder=5)


def _says(folds: int, *, narrow: bool) -> str:
    """Return how to read the figure; a narrow one breaks its lines between sentences."""
    lines = [
        f"Large: mean over {folds} {'fold' if folds == 1 else 'folds'}. Small: single folds.",
        "Grey steps: Pareto front of the means. Dashed: Baseline.",
        "† nearly one class predicted: the gap means nothing.",
    ]
    return "\n".join(line.replace(". ", ".\n", 1) if narrow else line for line in lines)
