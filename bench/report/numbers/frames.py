"""Tidy frames that figures are drawn from: one row per method, fold, set and metric, suppressed values left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.cells.record import Record
from bench.report.numbers.aggregate import COST, Results

METHOD = ["backbone", "row", "method", "spec", "label"]
COSTS = {
    COST: "Cost (epochs of full fine-tuning)",
    "seconds": "Time (seconds)",
    "changed": "Parameters changed (share)",
}
"""What a method costs, by name of the metric, with the title of its axis."""


def by_fold(results: Results) -> pd.DataFrame:
    """Every value of a table: columns `METHOD`, set ("" for the cost), metric, fold, value and degenerate.

    Seeds are averaged. `degenerate` says that some fold of the row is. What is suppressed is not in it.
    """
    records = [
        {**{name: getattr(row, name) for name in (*METHOD, "set", "metric")}, "fold": fold, "value": value}
        | {"degenerate": row.degenerate > 0}
        for row in results.rows
        if row.excluded != "suppressed"
        for fold, value in row.values.items()
    ]
    return pd.DataFrame(records, columns=[*METHOD, "set", "metric", "fold", "value", "degenerate"])


def costs(cells: Sequence[Record], results: Results) -> pd.DataFrame:
    """What the methods of a table cost, all of `COSTS` as metrics of set "", with the columns of `by_fold`.

    Empty where the cost is suppressed, as it is with the validation set: the size of the external set follows from it.
    """
    every = by_fold(results)
    counted = every[every["metric"] == COST]
    if counted.empty:
        return counted
    known = {(name.backbone, name.spec): name for name in counted.drop_duplicates(METHOD).itertuples()}
    records = [
        {**{name: getattr(known[key], name) for name in METHOD}, "set": "", "metric": metric, "fold": cell.fold}
        | {"value": _number(getattr(item.cost, source)), "degenerate": False}
        for item in cells
        for cell in [item.cell]
        for key in [(cell.backbone, cell.spec)]
        for metric, source in (("seconds", "seconds"), ("changed", "parameters_changed"))
    ]
    keys = [*METHOD, "set", "metric", "fold", "degenerate"]
    means = pd.DataFrame(records).groupby(keys)["value"].mean().reset_index()
    return pd.concat([counted, means], ignore_index=True)


def along(parts: Mapping[float, pd.DataFrame]) -> pd.DataFrame:
    """Frames of `by_fold` at several settings as one, with the column `x`.

    Of each method only the folds that every one of its settings has are kept: means over different folds do not make
    a curve. A set and metric that is suppressed at one setting, and so missing there, is left out at all.
    """
    frame = pd.concat([part.assign(x=float(x)) for x, part in parts.items()], ignore_index=True)
    places = ["backbone", "set", "metric"]
    at = frame.groupby(places)["x"].transform("nunique")
    frame = frame[at == frame.groupby("backbone")["x"].transform("nunique")]
    method = ["backbone", "spec"]
    settings = frame.groupby([*method, "fold"])["x"].transform("nunique")
    return frame[settings == frame.groupby(method)["x"].transform("nunique")].reset_index(drop=True)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
