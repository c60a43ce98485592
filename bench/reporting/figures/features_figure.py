"""What the features know of the attribute against the gap, a panel per backbone and test set."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from bench.reporting.figures import style
from bench.reporting.numbers.task_info import TaskInfo

_ABREAST = 3


def draw(frame: pd.DataFrame, info: TaskInfo) -> Figure:
    """Draw the AUC of the probe to the right and the gap of the task upwards from a frame of `known_features.frame`."""
    places = style.places_of(frame, info)
    abreast = min(_ABREAST, len(places))
    height = 2.4 * math.ceil(len(places) / abreast) + 1.4
    figure = Figure(figsize=(style.TWO_COLUMNS, height), layout="constrained")
    looks = style.styles_of(style.names(frame))
    axes = style.grid(figure, len(places), abreast)
    for axis, ((backbone, name), title) in zip(axes, places.items(), strict=True):
        here = frame[(frame["backbone"] == backbone) & (frame["set"] == name)]
        for label, probe, gap in zip(here["label"], here["probe"], here["gap"], strict=True):
            axis.plot(probe, gap, **{**looks[label], **style.MEAN})
        axis.set_title(title)
        axis.set_xlabel(f"AUC of a probe for {info.attribute_name}")
        axis.set_ylabel(f"{info.title(info.gap)} (lower is better)")
        axis.set_ylim(bottom=0)
    says = "Means over folds. The probe is fitted on validation images and read on the test set; 0.5 is no knowledge."
    style.legend(figure, style.handles(looks, style.MEAN), says)
    style.head(figure, info.synthetic)
    return figure
