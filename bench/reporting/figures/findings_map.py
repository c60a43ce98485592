"""The heat map over findings: what each method changes in the gap and in AUC of each finding."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from bench.reporting.figures import style
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.over_findings import MACRO, OverFindings
from bench.reporting.numbers.ranking import SUPPORTED
from bench.scoring.definitions import METRICS

_WIDE, _HIGH = 0.62, 0.24  # inches of a field
COLOURS = "PuOr"
"""Orange is worse and purple is better; they can be told apart without red and green."""


@style.files
def draw(found: OverFindings) -> style.Drawn | None:
    """Draw a panel for each metric, test set and backbone: methods by findings, the change against Baseline."""
    frame = found.frame[(found.frame["method"] != BASELINE) & found.frame["finding"].isin((*found.findings, MACRO))]
    if frame.empty:
        return None
    keys = ["backbone", "set", "metric"]
    panels = list(dict.fromkeys(frame[keys].itertuples(index=False, name=None)))
    columns = [*found.findings, MACRO]
    methods = list(dict.fromkeys(frame["label"]))
    abreast = frame["metric"].nunique()
    width = max(style.ONE_COLUMN, abreast * (_WIDE * len(columns) + 0.3) + 1.3)
    height = -(-len(panels) // abreast) * (_HIGH * len(methods) + 0.9) + 0.9
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = style.grid(figure, len(panels), abreast, sharey=True)
    places = list(dict.fromkeys((backbone, name) for backbone, name, _ in panels))
    titles = dict(zip(places, style.place_titles(places), strict=True))
    for axis, panel in zip(axes, panels, strict=True):
        backbone, name, metric = panel
        here = frame[(frame[keys] == list(panel)).all(axis=1)]
        _panel(axis, here, methods, columns, better=1 if METRICS[metric].direction == "up" else -1)
        axis.set_title(f"{found.info.title(metric)}, {titles[backbone, name]}", fontsize=7)
    says = f"Change against Baseline; purple is better. {SUPPORTED}: supported over all findings. Grey: no number."
    style.legend(figure, [], says)
    style.head(figure, found.info.synthetic, says=found.info.decided)
    return style.Drawn(figure, frame)


def _panel(axis: Axes, here: pd.DataFrame, methods: list[str], columns: list[str], *, better: int) -> None:
    values = here.pivot(index="label", columns="finding", values="difference").reindex(methods, columns=columns)
    marked = here.pivot(index="label", columns="finding", values="supported").reindex(methods, columns=columns)
    shown = values.to_numpy(float)
    largest = max(float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 0.0, 1e-3)
    axis.set_facecolor("0.85")
    norm = TwoSlopeNorm(0, -largest, largest)
    axis.imshow(np.ma.masked_invalid(better * shown), cmap=COLOURS, norm=norm, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            dark = abs(value) > 0.6 * largest
            sign = SUPPORTED if marked.iat[row, column] == 1 else ""
            colour = "white" if dark else "black"
            axis.text(column, row, f"{value:+.3f}{sign}", ha="center", va="center", fontsize=5.5, color=colour)
    axis.axvline(len(columns) - 1.5, color="white", linewidth=2)
    axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right", fontsize=6)
    axis.set_yticks(range(len(methods)), methods, fontsize=6)
    axis.tick_params(length=0)
