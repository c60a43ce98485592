"""What all figures share: sizes, letters, the look of each method, and the same bytes twice."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd
import seaborn as sns
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.numbers.aggregate import SYNTHETIC
from bench.report.numbers.task_info import TaskInfo

Style = dict[str, Any]

ABREAST = 3
ONE_COLUMN, TWO_COLUMNS, PANEL_HEIGHT = 3.5, 7.0, 3.0  # inches
PALE = 0.4
REFERENCE: Style = {"color": "0.6", "linewidth": 0.6, "linestyle": (0, (4, 3)), "zorder": 0}
"""The line at Baseline."""
MEAN: Style = {"linestyle": "none", "markersize": 6, "markeredgecolor": "black", "markeredgewidth": 0.5}

_PALETTE = [colour for place, colour in enumerate(sns.color_palette("colorblind")) if place != 8]
# Its yellow (place 8) is invisible on white paper; Baseline is black and takes its place.
_COLOURS = ["black", *_PALETTE]
_MARKERS = ["X", "o", "s", "^", "D", "v", "P", "<", "*", ">", "p", "h", "d", "8", "H", "$+$"]
_FILLS = ["full", "none", "left", "bottom", "right", "top"]
_DASHES = [(0, ()), (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1))]

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


class Name(NamedTuple):
    """What tells one method from another, in the order of the table."""

    row: int
    method: str
    spec: str
    label: str


def names(frame: pd.DataFrame) -> list[Name]:
    """The methods of a frame with columns row, method, spec and label, in the order of the table."""
    found = frame[list(Name._fields)].drop_duplicates().itertuples(index=False, name=None)
    return sorted(Name(*values) for values in found)


def styles_of(methods: Iterable[Name]) -> dict[str, Style]:
    """Colour, marker and fill by label, in the order of the table.

    Colour and marker depend on the method's row number alone, so that a method looks alike in every figure
    whichever others are in it; rows after the tenth share colours, never markers. Variants of a method differ
    in how the marker is filled; its defaults fill it.
    """
    return {
        label: {
            "color": _COLOURS[place % len(_COLOURS)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "fillstyle": _FILLS[variant % len(_FILLS)],
        }
        for label, place, variant in _places(methods)
    }


def dashes_of(methods: Iterable[Name]) -> dict[str, Any]:
    """Line style by label, which is the method's row number's alone, as the colour is."""
    return {label: _DASHES[place % len(_DASHES)] for label, place, _ in _places(methods)}


def dashes(place: int) -> Any:
    """Line style of the group of this code, or of whatever else is numbered."""
    return _DASHES[place % len(_DASHES)]


def _places(methods: Iterable[Name]) -> Iterator[tuple[str, int, int]]:
    """Give label, place of the method and number of the variant."""
    found = sorted(set(methods))
    later = sorted({(name.row, name.method) for name in found if name.row > len(_COLOURS)})
    variants: dict[str, int] = {}
    for number, method, spec, label in found:
        place = len(_COLOURS) + later.index((number, method)) if number > len(_COLOURS) else max(number - 1, 0)
        if spec != method:
            variants[method] = variants.get(method, 0) + 1
        yield label, place, 0 if spec == method else variants[method]


def head(figure: Figure, synthetic: bool) -> None:
    """Say above a figure of synthetic data that it is one."""
    if synthetic:
        words = SYNTHETIC.replace(": ", ":\n") if figure.get_figwidth() < TWO_COLUMNS else SYNTHETIC
        figure.suptitle(words, fontsize=9, fontweight="bold")


def place_titles(places: Sequence[tuple[str, str]]) -> list[str]:
    """Titles of panels of a backbone and a test set each; one backbone goes without saying."""
    several = len({backbone for backbone, _ in places}) > 1
    return [f"{name}, {backbone}" if several else name for backbone, name in places]


def places_of(tests: pd.DataFrame, info: TaskInfo) -> dict[tuple[str, str], str]:
    """The titles of the backbones and test sets of a frame, in the order of the task."""
    found = set(zip(tests["backbone"], tests["set"], strict=True))
    places = sorted(found, key=lambda place: (place[0], info.ood.index(place[1])))
    return dict(zip(places, place_titles(places), strict=True))


def legend(figure: Figure, handles: Sequence[Line2D], says: str, columns: int | None = None) -> None:
    """Draw the legend below a figure, under the sentences on how to read it; at most four columns unless it is told."""
    columns = columns or min(4, len(handles))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, title=says, title_fontsize=8, frameon=False
    )


def band(panel: Axes, x: Any, mean: pd.Series, std: pd.Series, color: Any) -> None:
    """Draw ± std around a line of means."""
    panel.fill_between(x, mean - std, mean + std, color=color, alpha=0.15, lw=0)


def say_empty(panel: Axes, info: TaskInfo) -> None:
    """Say in a panel without a value why it has none."""
    words = f"suppressed:\nfewer than {info.min_cell} images" if info.min_cell else "no value"
    panel.tick_params(which="both", bottom=False, left=False, labelbottom=False, labelleft=False)
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color="0.4")


def finite(value: float) -> float | None:
    """The length of an error bar, None where there is none."""
    return value if math.isfinite(value) else None


def files(draw: Callable[[], Figure]) -> dict[str, bytes]:
    """Return what a function draws as `pdf` and `png`, whatever the matplotlibrc of the user says."""
    with style.context(["default", STYLE]):
        return to_bytes(draw())


def to_bytes(figure: Figure) -> dict[str, bytes]:
    """A figure as `pdf` and `png`, without the date and the version in which two runs would differ."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)  # once is enough; with "none" each file would be drawn twice
    return {kind: _bytes(figure, kind, stamp) for kind, stamp in (("pdf", "CreationDate"), ("png", "Software"))}


def _bytes(figure: Figure, kind: str, stamp: str) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format=kind, metadata={stamp: None})
    return target.getvalue()
