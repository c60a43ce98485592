"""The trade-off figure: disparity against accuracy, a panel per backbone and test set."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import seaborn as sns
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.aggregate import BASELINE, SYNTHETIC, Results
from bench.report.notes import spread
from bench.report.ranking import Row

Style = dict[str, Any]

ABREAST = 3
ONE_COLUMN, TWO_COLUMNS, PANEL_HEIGHT = 3.5, 7.0, 3.0  # inches

_PALETTE = [colour for place, colour in enumerate(sns.color_palette("colorblind")) if place != 8]
# Its yellow (place 8) is invisible on white paper; Baseline is black and takes its place.
_COLOURS = ["black", *_PALETTE]
_MARKERS = ["X", "o", "s", "^", "D", "v", "P", "<", "*", ">", "p", "h", "d", "8", "H", "$+$"]
_PALE = 0.4
_MEAN: Style = {"linestyle": "none", "markersize": 6, "markeredgecolor": "black", "markeredgewidth": 0.5}
_FILLS = ["full", "none", "left", "bottom", "right", "top"]

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}


def trade_off(results: Results) -> dict[str, bytes]:
    """The figure as `pdf` and `png` bytes; the same results give the same bytes.

    One panel per backbone and test set: AUC to the right, the gap of the task downwards. A large marker is a mean
    over folds with its std, a small one a fold. Rows without a finite mean are left out.
    """
    with style.context(["default", STYLE]):  # whatever the user's matplotlibrc says
        return to_bytes(draw(results))


def draw(results: Results) -> Figure:
    """Draw the figure under the matplotlib settings in force."""
    places = [(backbone, name) for backbone in results.backbones for name in results.info.ood]
    across = min(len(places), ABREAST)
    down = math.ceil(len(places) / across)
    width = ONE_COLUMN if across == 1 else TWO_COLUMNS
    styles = styles_of(results.rows)
    below = 0.9 + 0.17 * math.ceil(len(styles) / (2 if across == 1 else 5))
    figure = Figure(figsize=(width, PANEL_HEIGHT * down + below), layout="constrained")
    drawn: set[str] = set()
    panels = figure.subplots(down, across, squeeze=False).flat
    for panel in list(panels)[len(places) :]:
        panel.remove()
    for panel, (backbone, name) in zip(figure.axes, places, strict=True):
        info = results.info
        columns = (results.column(backbone, name, metric) for metric in ("auc", info.gap))
        drawn |= _panel(panel, zip(*columns, strict=True), styles)
        panel.set_xlabel(f"{info.title('auc')} (higher is better)")
        panel.set_ylabel(f"{info.title(info.gap)} (lower is better)")
        panel.set_title(f"{name}, {backbone}" if len(results.backbones) > 1 else name)
    _legend(figure, [label for label in styles if label in drawn], styles, results, columns=2 if across == 1 else 5)
    if results.info.synthetic:
        words = SYNTHETIC.replace(": ", ":\n") if across == 1 else SYNTHETIC
        figure.suptitle(words, fontsize=9, fontweight="bold")
    return figure


def styles_of(rows: Sequence[Row]) -> dict[str, Style]:
    """Colour, marker and fill by label, in the order of the table.

    Colour and marker depend on the method's row number alone, so that a method looks alike in every figure
    whichever others are in it; rows after the tenth share colours, never markers. Variants of a method differ
    in how the marker is filled.
    """
    found = sorted({(row.row, row.method, row.spec, row.label) for row in rows})
    later = sorted({(number, method) for number, method, _, _ in found if number > len(_COLOURS)})
    styles: dict[str, Style] = {}
    variants: dict[str, int] = {}
    for number, method, _, label in found:
        place = len(_COLOURS) + later.index((number, method)) if number > len(_COLOURS) else max(number - 1, 0)
        variant = variants.get(method, 0)
        variants[method] = variant + 1
        styles[label] = {
            "color": _COLOURS[place % len(_COLOURS)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "fillstyle": _FILLS[variant % len(_FILLS)],
        }
    return styles


def _panel(panel: Axes, columns: Iterable[tuple[Row, Row]], styles: Mapping[str, Style]) -> set[str]:
    """Draw one panel; return the labels that have a place in it."""
    drawn = set()
    for auc, gap in columns:
        if not math.isfinite(auc.mean + gap.mean):
            continue
        drawn.add(auc.label)
        look = styles[auc.label]
        places = [(auc.values[fold], gap.values[fold]) for fold in auc.values]
        panel.plot(*zip(*places, strict=True), linestyle="none", markersize=3, markeredgewidth=0, alpha=_PALE, **look)
        panel.errorbar(
            auc.mean, gap.mean, xerr=_bar(auc.std), yerr=_bar(gap.std),
            elinewidth=0.8, zorder=3, alpha=_PALE if gap.degenerate else 1, **_MEAN, **look,
        )  # fmt: skip
        if gap.degenerate:
            panel.annotate("†", (auc.mean, gap.mean), (4, 4), textcoords="offset points", zorder=4)
        if auc.spec == BASELINE:
            panel.axvline(auc.mean, color="0.6", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
            panel.axhline(gap.mean, color="0.6", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    panel.margins(0.06)
    panel.set_ylim(bottom=-0.03 * panel.get_ylim()[1])  # room for a marker at 0
    return drawn


def _legend(figure: Figure, labels: list[str], styles: Mapping[str, Style], results: Results, columns: int) -> None:
    lines = [
        f"Large: {spread(results)} Small: single folds.",
        "Dashed: Baseline. † pale: one class predicted, the gap means nothing.",
    ]
    says = "\n".join(line.replace(". ", ".\n", 1) if columns == 2 else line for line in lines)
    handles = [Line2D([], [], **_MEAN, **styles[label]) for label in labels]
    place = {"loc": "outside lower center", "ncols": columns}
    figure.legend(handles, labels, title=says, title_fontsize=8, frameon=False, **place)


def _bar(std: float) -> float | None:
    return std if math.isfinite(std) else None


def to_bytes(figure: Figure) -> dict[str, bytes]:
    """A figure as `pdf` and `png`, without the date and the version in which two runs would differ."""
    return {kind: _bytes(figure, kind, stamp) for kind, stamp in (("pdf", "CreationDate"), ("png", "Software"))}


def _bytes(figure: Figure, kind: str, stamp: str) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format=kind, metadata={stamp: None})
    return target.getvalue()
