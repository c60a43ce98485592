"""The table over findings: methods by findings, with the macro average and the worst finding, and the claims."""

from __future__ import annotations

from itertools import product
from math import isfinite
from typing import Any

import pandas as pd

from bench.reporting.numbers.aggregate import warning_of
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.over_findings import FEW, FEWEST, MACRO, WORST, OverFindings
from bench.reporting.numbers.ranking import SUPPORTED
from bench.reporting.render import document
from bench.reporting.render.document import Float, Section, written
from bench.reporting.render.table import Column, Entry, Table, Value, csv
from bench.reporting.render.text import listed, number
from bench.scoring.definitions import METRICS

NAME, MAP = "findings", "findings-map"
SAYS = {NAME: "methods by findings, and the claims over all findings", MAP: "what methods change, finding by finding"}
"""The artefacts over findings, by the stem of their files."""
NO_NUMBER = {
    "chance": "an AUC near .5",
    "degenerate": "one class predicted",
    "incomplete": "a fold or a finding without a number",
    "suppressed": "suppressed",
    "undefined": "not defined",
    FEW: f"fewer than {FEWEST} images of a class in a group",
}


def files(found: OverFindings) -> dict[str, str]:
    """Return the table by suffix."""
    tables, notes, warning = _tables(found), reading(found), warning_of(found.info)
    body = [*tables, Section("Claims", claims(found)), Section("How to read this", [notes])]
    section = Section(f"{found.task}: findings", body, warning)
    table = Float("Methods by findings.", f"{found.task}-findings", tables, notes, warning)
    tex = document.latex([table], plain="plain" in found.info.latex)
    return {**written(section), "tex": tex, "csv": csv(found.frame)}


def _tables(found: OverFindings) -> list[Table]:
    frame, several = found.frame, found.frame["backbone"].nunique() > 1
    columns = [Column("method", "left"), *(Column(name, "centre") for name in found.findings)]
    columns += [Column(MACRO, "centre"), Column(WORST, "left")]
    tables = []
    for (backbone, name, metric), here in frame.groupby(["backbone", "set", "metric"], sort=False):
        rows = [_row(of_method, found) for _, of_method in here.groupby("spec", sort=False)]
        where = f"{name}, {display_name(str(backbone))} backbone" if several else name
        tables.append(Table(columns, rows, f"{found.info.title(str(metric))} on {where}"))
    return tables


def _row(here: pd.DataFrame, found: OverFindings) -> list[Value]:
    lines: dict[Any, Any] = {line.finding: line for line in here.itertuples()}
    cells: list[Value] = [str(here["label"].iloc[0])]
    for name in found.findings:
        one = lines.get(name)
        cells.append(Entry(one.mean, one.std, sign=SUPPORTED * one.supported) if one else None)
    cells.append(Entry(lines[MACRO].mean))
    worst = lines[WORST]
    return [*cells, f"{worst.of} ({number(worst.mean, 3)})" if isfinite(worst.mean) else None]


def claims(found: OverFindings) -> list[str]:
    """Return what the one family of claims over all findings supports, in sentences."""
    frame = found.frame
    supported = frame[frame["supported"].astype(bool)]
    lines = [
        f"One family of {found.claims} claims over {len(found.findings)} findings: each method against Baseline in "
        f"{found.info.title(found.info.gap)} and AUC, on each test set and backbone; Holm's correction covers them all."
    ]
    for finding, metric in product(found.findings, dict.fromkeys(frame["metric"])):
        here = supported[(supported["finding"] == finding) & (supported["metric"] == metric)]
        higher = (here["difference"] > 0) == (METRICS[metric].direction == "up")
        for word, same in (("better", here[higher]), ("worse", here[~higher])):
            what = [f"{line.label} on {line.set} ({line.difference:+.3f})" for line in same.itertuples()]
            says = f"{finding}: {found.info.title(metric)} is {word} than Baseline's with {listed(what)}."
            lines += [says] if what else []
    return lines if len(lines) > 1 else [*lines, "None of them is supported."]


def reading(found: OverFindings) -> list[str]:
    """Return how to read the table: what is suppressed, by name, and what has no number and why."""
    notes = [
        "Methods mitigate one finding at a time. All findings share the images, the split of patients and one "
        "baseline, a network with an output for each.",
        f"{SUPPORTED}: supported after Holm's correction over all findings.",
        f"The {MACRO} is the mean over the findings that are shown; the {WORST} is the one with the largest gap or the "
        "lowest AUC. Neither is a claim. A method that lacks the number of a finding has neither.",
    ]
    if found.suppressed:
        named = "; ".join(f"{name} on {', '.join(sets)}" for name, sets in found.suppressed.items())
        notes.append(f"Suppressed, because a group has fewer than {FEWEST} images of a class: {named}.")
    frame = found.frame[~found.frame["finding"].isin((MACRO, WORST)) & (found.frame["why"] != FEW)]
    for why, here in frame[frame["why"] != ""].groupby("why", sort=False):
        places = dict.fromkeys(f"{line.label}: {line.finding} on {line.set}" for line in here.itertuples())
        notes.append(f"No number, {NO_NUMBER.get(str(why), str(why))}: {listed(places)}.")
    if found.lacking:
        notes.append(f"Without results: {listed(found.lacking)}.")
    return notes
