"""What all figures share: sizes, letters, the look of each method, panels, legends, and reproducible files."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import pandas as pd
import seaborn as sns
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.reporting.numbers.aggregate import SYNTHETIC
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.render.table import csv

Arguments = ParamSpec("Arguments")
Style = dict[str, Any]
"""Arguments of `Axes.plot` and `Line2D`."""

ONE_COLUMN, TWO_COLUMNS, ROW = 3.5, 7.0, 1.75  # inches: widths of a figure, height of a row of small panels
PALE = 0.4
"""Opacity of what deserves less attention."""
REFERENCE: Style = {"color": "0.6", "linewidth": 0.6, "linestyle": (0, (4, 3)), "zorder": 0}
"""The line at Baseline."""
MEAN: Style = {"linestyle": "none", "markersize": 6, "markeredgecolor": "black", "markeredgewidth": 0.5}
"""The marker of a mean."""

_PALETTE = [colour for place, colour in enumerate(sns.color_palette("colorblind")) if place != 8]
# Its yellow (place 8) is invisible on white paper; Baseline is black and takes its place.
_COLOURS = ["black", *_PALETTE]
_MARKERS = [
    "X",
    "o",
    "s",
    "^",
    "D",
    "v",
    "P",
    "<",
    "*",
    ">",
    "p",
    "h",
    "d",
    "8",
    "H",
    (6, 1, 0),
    (4, 1, 0),
    (8, 1, 0),
    (7, 0, 0),
]
_FILLS = ["full", "none", "left", "bottom", "right", "top"]
_DASHES = [(0, ()), (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1))]

STYLE = Path(__file__).with_name("figures.mplstyle")


class Drawn(NamedTuple):
    """A figure and the numbers that it shows; no numbers for a figure of images of patients."""

    figure: Figure
    data: pd.DataFrame | None


class Name(NamedTuple):
    """The identity of a method, sorted in the order of the table."""

    row: int
    method: str
    spec: str
    label: str


def names(frame: pd.DataFrame) -> list[Name]:
    """Return the methods of a frame with columns row, method, spec and label, in the order of the table."""
    found = frame[list(Name._fields)].drop_duplicates().itertuples(index=False, name=None)
    return sorted(Name(*values) for values in found)


def styles_of(methods: Iterable[Name]) -> dict[str, Style]:
    """Return colour, line style, marker and fill by label, in the order of the table.

    All but the fill depend on the method's row number alone, so that a method looks alike in every figure. Rows after
    the tenth share colours, but no markers. Variants of a method differ in how the marker is filled; its defaults fill
    it completely.
    """
    found = sorted(set(methods))
    later = sorted({(name.row, name.method) for name in found if name.row > len(_COLOURS)})
    variants: Counter[str] = Counter()
    looks = {}
    for row, method, spec, label in found:
        place = len(_COLOURS) + later.index((row, method)) if row > len(_COLOURS) else max(row - 1, 0)
        variants[method] += spec != method
        looks[label] = {
            "color": _COLOURS[place % len(_COLOURS)],
            "linestyle": dashes(place),
            "marker": _MARKERS[place % len(_MARKERS)],
            "fillstyle": _FILLS[variants[method] % len(_FILLS) if spec != method else 0],
        }
    return looks


def dashes(number: int) -> Any:
    """Return the line style with this number, such as that of a group by its code."""
    return _DASHES[number % len(_DASHES)]


def head(figure: Figure, synthetic: bool, size: float = 9, says: str = "") -> None:
    """Print a warning above a figure of synthetic data, and the first sentence of what it `says` of its units."""
    words = SYNTHETIC.replace(": ", ":\n") if figure.get_figwidth() < TWO_COLUMNS else SYNTHETIC
    words = "\n".join(filter(None, [words * synthetic, says.partition(". ")[0]]))
    if words:
        figure.suptitle(words, fontsize=size, fontweight="bold")


def grid(figure: Figure, panels: int, abreast: int, **shared: Any) -> list[Axes]:
    """Return panels in rows of `abreast`; the last row may be shorter. `shared` are arguments of `subplots`."""
    axes = list(figure.subplots(math.ceil(panels / abreast), abreast, squeeze=False, **shared).flat)
    for panel in axes[panels:]:
        panel.remove()
    return axes[:panels]


def place_titles(places: Sequence[tuple[str, str]]) -> list[str]:
    """Return the titles of panels of a backbone and a test set each, without the backbone if all have the same."""
    several = len({backbone for backbone, _ in places}) > 1
    return [
        f"{display_name(name)}, {display_name(backbone)}" if several else display_name(name)
        for backbone, name in places
    ]


def places_of(tests: pd.DataFrame, info: TaskInfo) -> dict[tuple[str, str], str]:
    """Return the titles of the backbones and test sets of a frame, in the order of the task."""
    found = set(zip(tests["backbone"], tests["set"], strict=True))
    places = sorted(found, key=lambda place: (place[0], info.ood.index(place[1])))
    return dict(zip(places, place_titles(places), strict=True))


def handles(looks: Mapping[str, Style], shared: Style) -> list[Line2D]:
    """Return an entry of the legend for each label; `shared` overrules its look."""
    return [Line2D([], [], label=label, **{**look, **shared}) for label, look in looks.items()]


def legend(figure: Figure, entries: Sequence[Line2D], says: str, columns: int | None = None) -> None:
    """Draw the legend below a figure, under sentences on how to read it; by default in at most four columns."""
    columns = columns or max(1, min(4, len(entries)))
    figure.legend(
        handles=entries, loc="outside lower center", ncols=columns, title=says, title_fontsize=8, frameon=False
    )


def band(panel: Axes, x: Any, line: pd.DataFrame, color: Any) -> None:
    """Shade ± std around the means of a frame with the columns mean and std."""
    panel.fill_between(x, line["mean"] - line["std"], line["mean"] + line["std"], color=color, alpha=0.15, lw=0)


def say_empty(panel: Axes, info: TaskInfo) -> None:
    """Print into a panel without a value why it has none."""
    words = f"suppressed:\nfewer than {info.min_cell} images" if info.min_cell else "no value"
    panel.tick_params(which="both", bottom=False, left=False, labelbottom=False, labelleft=False)
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color="0.4")


def files(draw: Callable[Arguments, Figure | Drawn | None]) -> Callable[Arguments, dict[str, bytes]]:
    """Decorate a function that draws a figure: it then returns its files by suffix, none where it draws nothing.

    `csv` holds the numbers that are drawn.

    The user's matplotlibrc has no effect.
    """

    @wraps(draw)
    def wrapped(*args: Arguments.args, **named: Arguments.kwargs) -> dict[str, bytes]:
        with style.context(["default", STYLE]):
            drawn = draw(*args, **named)
            figure, data = drawn if isinstance(drawn, Drawn) else (drawn, None)
            found = to_bytes(figure) if figure else {}
        return found if data is None else found | {"csv": csv(data).encode()}

    return wrapped


def to_bytes(figure: Figure) -> dict[str, bytes]:
    """Return a figure as `pdf` and `png`, without date and version, so that two runs give the same bytes."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)  # the layout is the same for both files: compute it once
    found = {}
    for kind, stamp in (("pdf", "CreationDate"), ("png", "Software")):
        target = io.BytesIO()
        figure.savefig(target, format=kind, metadata={stamp: None})
        found[kind] = target.getvalue()
    return found
