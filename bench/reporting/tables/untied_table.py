"""The table and figure of the distance to the untied model, over draws of a planted tie and of its control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.errors import number_of
from bench.reporting.numbers.aggregate import warning_of
from bench.reporting.numbers.untied import QUANTITIES
from bench.reporting.render.document import Section, written
from bench.reporting.render.table import Column, Table, csv
from bench.reporting.render.text import listed, number, signed
from bench.reporting.task_results import TaskResults

UNTIED = "untied"
"""Name of the table and of its files."""


def files(results: TaskResults) -> dict[str, str]:
    """Return the table by suffix; nothing without a draw of which tie and control have models."""
    if results.distances.empty:
        return {}
    named = results.distances.assign(task=results.info.name, synthetic=results.info.synthetic)
    return {**written(section(results)), "csv": csv(named)}


def section(results: TaskResults) -> Section:
    """Return a table for each backbone and test set."""
    info = results.info
    columns = [Column("method", "left"), *(Column(title) for title in QUANTITIES.values())]
    tables = []
    for keys, block in results.distances.groupby(["backbone", "set"], sort=False):
        rows = []
        for label, part in block.groupby("label", sort=False):
            found = part.set_index("quantity").to_dict("index")
            rows.append([str(label), *(_change(found[name]) for name in QUANTITIES)])
        first = block.drop_duplicates("quantity").set_index("quantity")["untied"]
        rows.insert(0, ["Untied model", *(_value(first[name], name) for name in QUANTITIES)])
        tables.append(Table(columns, rows, ", ".join(map(str, keys))))
    return Section(
        f"{info.name}: distance to the untied model",
        [*tables, Section("How to read this", [notes(results)])],
        warning_of(info),
    )


def notes(results: TaskResults) -> list[str]:
    """Return what the numbers are, over how many draws, and what is left out."""
    info, frame = results.info, results.distances
    numbers = [str(one.number) for one in results.draws if one.whole]
    alone = [str(one.number) for one in results.draws if not one.whole]
    models = frame["models"].max()
    few = frame[frame["models"] < models]["label"].unique()
    gone = [name for name in info.ood if name not in set(frame["set"])]
    found = [
        "The untied model is Baseline of the control: trained on as many images of each label and group, without the "
        "tie. Its row has values; the others have differences to it, with 95 % intervals over "
        f"{info.unit} of the test set. At 0 a method has come back to it; the row of Baseline is the way to go.",
        f"TPR and FPR difference: {info.group_names[1]} less {info.group_names[0]}, with the sign, at a score of 0.5.",
        f"Means over draw{'s' * (len(numbers) > 1)} {listed(numbers)} of the tie, their folds and seeds. ±: std of the "
        "difference over draws (ddof 1). The intervals are of these trained models.",
        "Exploratory: no difference here is a claim.",
    ]
    if alone:
        found.append(f"Left out, without cells of tie and control: draw{'s' * (len(alone) > 1)} {listed(alone)}.")
    if unread := frame.attrs["unread"]:
        names = f"{number_of(unread, 'model')} of ties and controls"
        found.append(f"Left out, because their predictions cannot be read: {names}.")
    if len(few):
        found.append(f"With fewer models than the {models} of others: {listed(few)}; the CSV has their numbers.")
    if gone:
        found.append(f"Not shown, suppressed or without predictions: {listed(gone)}.")
    return found


def _change(row: Mapping[Any, Any]) -> str:
    """Return a difference with its interval, and its std over draws where there are several."""
    if pd.isna(row["difference"]):
        return "-"
    spread = "" if pd.isna(row["std"]) else f" ± {row['std']:.3f}"
    ends = "" if pd.isna(row["low"]) else f" [{signed(row['low'], 3)}, {signed(row['high'], 3)}]"
    return f"{signed(row['difference'], 3)}{spread}{ends}"


def _value(value: float, quantity: str) -> str:
    """Return a value of the untied model, a difference of groups with its sign."""
    return signed(value, 3) if quantity.endswith("difference") else number(value, 3)
