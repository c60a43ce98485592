"""The forest plot of further attributes: what each method changes in the gap of each attribute and crossing."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reporting.figures import style
from bench.reporting.figures.forest import COLOUR, GOOD
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.answer import WHY
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.further import Line, Measured
from bench.reporting.numbers.task_info import TaskInfo

_LINE, _PANEL = 0.19, 1.45  # inches: for each method, and for each attribute


def draw(found: Sequence[Measured], info: TaskInfo) -> Figure:
    """Draw a row of panels for each backbone and test set, one for each attribute; the better side is tinted."""
    names = list(dict.fromkeys(one.attribute for one in found))
    places = dict.fromkeys((line.backbone, one.set) for one in found for line in one.lines)
    titles = style.place_titles(list(places))
    specs = dict.fromkeys((line.spec, line.label) for one in found for line in one.lines if line.spec != BASELINE)
    height = (_LINE * len(specs) + 0.6) * len(places) + 1.0
    figure = Figure(figsize=(max(style.ONE_COLUMN, _PANEL * len(names) + 1.1), height), layout="constrained")
    panels = figure.subplots(len(places), len(names), squeeze=False, sharey=True, sharex=True)
    for row, (backbone, place), title in zip(panels, places, titles, strict=True):
        for panel, name in zip(row, names, strict=True):
            (one,) = [one for one in found if (one.attribute, one.set) == (name, place)]
            lines = {line.spec: line for line in one.lines if line.backbone == backbone}
            _panel(panel, one, [lines.get(spec) for spec, _ in specs])
            if row is panels[0]:
                panel.annotate(
                    f"{name}\n({one.kind})", (0.5, 1), (0, 16), "axes fraction", "offset points", ha="center"
                )
        row[0].set_title(title, loc="left", fontweight="bold")
        row[0].set_yticks(range(len(specs)), [label for _, label in specs])
        row[0].set_ylim(len(specs) - 0.5, -0.5)
    low, high = panels[0][0].get_xlim()
    for panel in panels.flat:
        panel.axvspan(low, 0, color=GOOD, zorder=0, linewidth=0)
        panel.set_xlim(low, high)
    for panel in panels[-1]:
        panel.set_xlabel(f"Change of {info.title(info.gap)}\n(left is better)")
    says = f"Bars: 95 % intervals over {info.unit}. Filled: supported; hollow: exploratory or not supported."
    style.legend(figure, [], says)
    style.head(figure, info.synthetic, says=info.decided)
    return figure


def _panel(panel: Axes, one: Measured, lines: Sequence[Line | None]) -> None:
    panel.axvline(0, color="0.3", linewidth=0.8, zorder=1)
    panel.tick_params(axis="y", length=0)
    panel.locator_params(axis="x", nbins=3)
    if one.why:
        panel.text(0.5, 0.5, one.why, transform=panel.transAxes, ha="center", va="center", color="0.4", fontsize=6)
    for y, line in enumerate(lines):
        if line is None or line.difference is None:
            words = display_name(WHY.get(line.why, "")) if line else ""
            panel.annotate(words, (0, y), (-3, 0), textcoords="offset points", ha="right", va="center", fontsize=6)
            continue
        colour = COLOUR if line.supported else "0.45"
        if line.ci_low is not None and line.ci_high is not None:
            panel.plot([line.ci_low, line.ci_high], [y, y], color=colour, linewidth=1.1, zorder=2)
        fill = colour if line.supported else "white"
        panel.plot(line.difference, y, "o", color=colour, markerfacecolor=fill, markersize=4, zorder=3)
