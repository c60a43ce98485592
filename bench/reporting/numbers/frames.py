"""Tidy frames for figures: one row per method, fold, set and metric, without suppressed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from bench.cells.record import Record
from bench.reporting.numbers.aggregate import COST, Results

METHOD = ["backbone", "row", "method", "spec", "label"]
COSTS = {
    COST: "Cost (epochs of full fine-tuning)",
    "seconds": "Time (seconds)",
    "changed": "Parameters changed (share)",
}
"""Costs of a method, by name of the metric, with the title of the axis."""


def by_fold(results: Results) -> pd.DataFrame:
    """Return every value of a table: columns `METHOD`, set ("" for the cost), metric, fold, value and degenerate.

    Seeds are averaged. `degenerate` is true if some fold of the row is degenerate.
    """
    fields = [*METHOD, "set", "metric"]
    records = [
        (*(getattr(row, name) for name in fields), fold, value, row.degenerate > 0)
        for row in results.rows
        if row.excluded != "suppressed"
        for fold, value in row.values.items()
    ]
    return pd.DataFrame(records, columns=[*fields, "fold", "value", "degenerate"])


def of_tests(frame: pd.DataFrame, sets: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Return the values of some sets and metrics, without undefined ones."""
    return frame[frame["set"].isin(sets) & frame["metric"].isin(metrics) & frame["value"].notna()]


def costs(cells: Sequence[Record], results: Results) -> pd.DataFrame:
    """Return the costs of the methods of a table as metrics of set "", with the columns of `by_fold`.

    They are those of `COSTS` and `images`, the number of images that were passed forward and backward, which does not
    depend on the host.
    The frame is empty if the cost is suppressed. It is suppressed with the validation set, because the size of the
    external set follows from it.
    """
    every = by_fold(results)
    counted = every[every["metric"] == COST]
    if counted.empty:
        return counted
    spent = [
        (item.cell.backbone, item.cell.spec, item.cell.fold, metric, value)
        for item in cells
        for metric, value in (
            ("seconds", item.cost.seconds),
            ("images", _passed(item)),
            ("changed", item.cost.parameters_changed),
        )
    ]
    long = pd.DataFrame(spent, columns=["backbone", "spec", "fold", "metric", "value"]).astype({"value": float})
    long = long.assign(set="", degenerate=False)
    named = counted[METHOD].drop_duplicates().merge(long, on=["backbone", "spec"])
    means = named.groupby([*METHOD, "set", "metric", "fold", "degenerate"])["value"].mean().reset_index()
    return pd.concat([counted, means], ignore_index=True)


def _passed(item: Record) -> int | None:
    forward, backward = item.cost.images_forward, item.cost.images_backward
    return None if forward is None or backward is None else forward + backward


def along(parts: Mapping[float, pd.DataFrame]) -> pd.DataFrame:
    """Return frames of `by_fold` at several settings as one, with the column `x`.

    Only folds that all settings of a method have are kept, because means over different folds do not make a curve. A
    set and metric that is suppressed, and so missing, at one setting is left out at all of them.
    """
    frame = pd.concat([part.assign(x=float(x)) for x, part in parts.items()], ignore_index=True)
    places = ["backbone", "set", "metric"]
    at = frame.groupby(places)["x"].transform("nunique")
    frame = frame[at == frame.groupby("backbone")["x"].transform("nunique")]
    method = ["backbone", "spec"]
    settings = frame.groupby([*method, "fold"])["x"].transform("nunique")
    return frame[settings == frame.groupby(method)["x"].transform("nunique")].reset_index(drop=True)
