"""The trade-off figure: disparity against accuracy, a panel per backbone and test set, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath

from bench.errors import number_of
from bench.reporting.figures import style
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.task_info import TaskInfo

_ABREAST = 3
_PANEL = 3.0  # inches
_FOLD: style.Style = {"linestyle": "none", "markersize": 2.5, "markeredgewidth": 0, "alpha": 0.3, "zorder": 2}
_AROUND = [(x / 2, y / 2) for x, y in ((2, 0), (-2, 0), (0, 2), (0, -2))]
_AROUND += [(x / 2, y / 2) for x in (2, -2, 1, -1) for y in (2, -2, 1, -1) if 2 in (abs(x), abs(y))]
"""Directions in which a label may be placed, the preferred first."""
_LETTERS = 7
"""Size of a label, in points."""
_MARKER, _FAR = 4, (6, 9, 14, 20, 28, 36)
"""Half the size of a marker, and how far labels may be from their points, in points."""
_STARTS, _ROUNDS = 20, 8
_MISLEADS = 60
"""What it costs that a label stands at the point of another, or behind it, in square points of what it covers."""
_HALO = withStroke(linewidth=1.5, foreground="white")
"""Keeps letters apart from the lines and the folds behind them."""
_LEADER = {"arrowstyle": "-", "linewidth": 0.4, "color": "0.5", "shrinkA": 0, "shrinkB": 3}
"""The line from a label to its point."""
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


def label_places(points: np.ndarray, sizes: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """Return the lower left corner of a label for each point, in the units of `points` (N, 2).

    Labels are rectangles of `sizes` (N, 2) beside their points. They shall cover no marker, no other label and nothing
    outside `box` (x0, y0, x1, y1), be near their points, and not stand at those of others. From several starts, each
    label in turn takes its best place beside the others until none moves; the best of these ends is returned.
    """
    around, far = np.tile(_AROUND, (len(_FAR), 1)), np.repeat(_FAR, len(_AROUND))
    half = sizes[:, None] / 2
    centres = points[:, None] + around * (far[:, None] + half)
    low, high = centres - half, centres + half  # (N, places, 2)
    reach = _distance(low[:, :, None], high[:, :, None], points)  # (N, places, N)
    own = np.diagonal(reach, axis1=0, axis2=2).T[:, :, None]
    misleads = (reach < np.minimum(own + 1, _FAR[1])).sum(-1) - (own[:, :, 0] < _FAR[1])
    steps = np.maximum(np.linspace(0, 1, 7), (_MARKER + 1) / own)[..., None]  # of the way from a point to its label
    way = points[:, None, None] + steps * (np.clip(points[:, None], low, high) - points[:, None])[:, :, None]
    crosses = (np.linalg.norm(way[:, :, :, None] - points, axis=-1) < _MARKER).any(2).sum(-1)
    alone = far + _outside(low, high, box) + _MISLEADS * (misleads + crosses)
    alone = alone + _overlap(low[:, :, None], high[:, :, None], points - _MARKER, points + _MARKER).sum(-1)
    rows, best, least = np.arange(len(points)), np.zeros(len(points), int), math.inf
    draws = np.random.default_rng(0)
    for start in range(_STARTS):
        chosen = alone.argmin(1)
        for _ in range(_ROUNDS):
            before = chosen.copy()
            for i in draws.permutation(rows) if start else rows:
                others = np.delete(rows, i)
                ends = low[others, chosen[others]], high[others, chosen[others]]
                chosen[i] = (alone[i] + _overlap(low[i][:, None], high[i][:, None], *ends).sum(-1)).argmin()
            if (chosen == before).all():
                break
        left, right = low[rows, chosen], high[rows, chosen]
        shared = _overlap(left[:, None], right[:, None], left, right).sum() - sizes.prod(1).sum()
        if (cost := alone[rows, chosen].sum() + shared / 2) < least - 1e-9:
            best, least = chosen, cost
    return low[rows, best]


def _overlap(low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray) -> np.ndarray:
    """Return the area that rectangles share with others; their corners are in the last axis."""
    return np.clip(np.minimum(high, other_high) - np.maximum(low, other_low), 0, None).prod(-1)


def _outside(low: np.ndarray, high: np.ndarray, box: Sequence[float]) -> np.ndarray:
    return (high - low).prod(-1) - _overlap(low, high, np.asarray(box[:2]), np.asarray(box[2:]))


def _distance(low: np.ndarray, high: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return how far points are from rectangles."""
    return np.linalg.norm(np.maximum(np.maximum(low - point, point - high), 0), axis=-1)


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
    sizes = np.array([(TextPath((0, 0), name, size=_LETTERS).get_extents().width, _LETTERS) for name in names])
    box = panel.bbox.frozen()
    corners = label_places(placed, sizes, (box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale))
    reach = _distance(corners[:, None], (corners + sizes)[:, None], placed)  # (label, point)
    led = (reach.diagonal() > _FAR[1]) | (reach.argmin(1) != np.arange(len(names)))
    for i, (name, label) in enumerate(zip(names, means.index, strict=True)):
        at = (float(means["auc"][label]), float(means["gap"][label]))
        x, y = corners[i] - placed[i]
        panel.annotate(
            name,
            at,
            (x, y + _LETTERS / 2),
            textcoords="offset points",
            va="center_baseline",
            fontsize=_LETTERS,
            arrowprops=_LEADER if led[i] else None,
            path_effects=[_HALO],
            zorder=5,
        )


def _says(folds: int, *, narrow: bool) -> str:
    """Return how to read the figure; a narrow one breaks its lines between sentences."""
    lines = [
        f"Large: mean over {number_of(folds, 'fold')}. Small: single folds.",
        "Grey steps: Pareto front of the means. Dashed: Baseline.",
        "† nearly one class predicted: the gap means nothing.",
    ]
    return "\n".join(line.replace(". ", ".\n", 1) if narrow else line for line in lines)
