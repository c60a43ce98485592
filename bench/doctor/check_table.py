"""Checks of the table of one source, and the counts that are printed of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from bench.api import Dataset
from bench.decode import SUFFIXES
from bench.doctor.findings import Finding

ENOUGH = 20
"""With fewer images of a label and group, a rate says little."""
FOLLOWS, LEAST = 0.15, 50
"""D044 is reported where the rate of the label at a site differs by more than FOLLOWS from that of the other sites, and
both have at least LEAST images."""
CAPS = (90, 91)
"""Ages that stand for this age or more."""


@dataclass
class Counts:
    """The counts of a source: rows, rows in use, reasons for leaving rows out, and rates by label, group and site."""

    rows: int
    used: int
    reasons: dict[str, int]
    patients: int
    columns: tuple[str, ...] = ()
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, dict[str, int]] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    paper: dict[str, Any] = field(default_factory=dict)
    ties: list[dict[str, Any]] = field(default_factory=list)
    """Of generated images: the planted and the found log odds ratio of each pair (`bench.doctor.ties`)."""


def counts_of(dataset: Dataset, table: pd.DataFrame) -> Counts:
    """Count rows by reason, and the rows in use by label, attribute and site."""
    reason = _reason(table)
    used = table[reason == ""]
    reasons = {str(code): int(n) for code, n in reason[reason != ""].value_counts().sort_index().items()}
    columns = tuple(map(str, table.attrs.get("columns", table.columns)))
    found = Counts(len(table), len(used), reasons, used["patient"].nunique(), columns=columns)
    for label, y in _labels(dataset, used).items():
        found.labels[label] = {"known": int(y.notna().sum()), "positive": int((y == 1).sum()), "rate": _mean(y)}
        for name, a in attributes(dataset, used).items():
            found.cells[f"{label} x {name}"] = {
                f"{name}={value}, {label}={one}": int(((a == value) & (y == one)).sum())
                for value, one in product((0, 1), repeat=2)
            }
        for source, rows in used.groupby(used["source"].astype(str)):
            found.sources.setdefault(str(source), {"n": len(rows)})[label] = _mean(y[rows.index])
    if dataset.counts is not None:
        paper, why = dataset.counts.paper, dataset.counts.why
        difference = len(used) - paper if paper is not None else None
        found.paper = {"used": len(used), "paper": paper, "why": why, "difference": difference}
    return found


def attributes(dataset: Dataset, used: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the attributes of a table that have two groups, as 0 and 1; age becomes over 65 or not."""
    found = {}
    for name in [name for name in dataset.attributes if name in used]:
        values = pd.to_numeric(used[name], errors="coerce")
        if name == "age":
            found["age>65"] = (values > 65).astype(float).where(values.notna())
        elif values.dropna().isin([0, 1]).all():
            found[name] = values
    return found


def table_findings(name: str, dataset: Dataset, table: pd.DataFrame, counts: Counts, root: Path) -> list[Finding]:
    """Return the findings on a table that could be read, and on the image files below its folder."""
    reason = _reason(table)
    used, official = table[reason == ""], dataset.counts
    found = []
    if official and official.rows is not None and len(table) != official.rows:
        found.append(Finding("D012", "warning", name, f"{len(table)} rows; {official.release} has {official.rows}"))
    if unmatched := counts.reasons.get("NO_DEMOGRAPHICS_ROW", 0):
        share = f"{unmatched} of {len(table)} images ({unmatched / len(table):.1%})"
        found.append(Finding("D014", "warning", name, f"{share} have no row in the table of patients"))
    if not dataset.synthetic and dataset.vectors(root) is None:
        found += _files(name, table, reason, root)
    found += _ages(name, table[reason != "NOT_IN_TEST_LIST"])
    if "fst" in used and (unknown := int(used["fst"].isna().sum())):
        found.append(Finding("D042", "note", name, f"{unknown} of {len(used)} images have no skin type"))
    for column, (looked_for, _) in table.attrs.get("lacks", {}).items():
        if column in (*dataset.attributes, *dataset.labels):
            found.append(Finding("D043", "warning", name, f"{column} is unknown: {looked_for} is missing"))
    found += _follows(name, _labels(dataset, used), used["source"].astype(str))
    for cells in counts.cells.values():
        if any(cells.values()):
            small = {cell: n for cell, n in cells.items() if n < ENOUGH}
            texts = (f"{cell} has {n} images of {len(used)}" for cell, n in small.items())
            found += [Finding("D041", "warning", name, text) for text in texts]
    if counts.paper and counts.paper["paper"] is not None:
        text = "used {used}; paper {paper}; difference {difference:+d}: {why}".format(**counts.paper)
        found.append(Finding("D050", "note", name, text))
    return found


def _files(name: str, table: pd.DataFrame, reason: pd.Series, root: Path) -> list[Finding]:
    used = table[reason == ""]
    # Text, for there may be a million paths.
    rows = zip(used["uid"].tolist(), used["path"].tolist(), strict=True)
    gone = [uid for uid, path in rows if not os.path.exists(os.path.join(root, path))]
    missing = (reason == "FILE_MISSING") | table["uid"].isin(gone)
    total = int((missing | (reason == "")).sum())
    found = []
    if n := int(missing.sum()):
        level = "error" if n > 0.005 * total else "warning"
        first = str(table.loc[missing, "uid"].iloc[0])
        found.append(Finding("D020", level, name, f"{n} of {total} image files are missing", (first,)))
    named = {os.path.normpath(os.path.join(root, path)) for path in table["path"].dropna().tolist()}
    if extra := len(image_files(table.attrs.get("looked_in", root)) - named):
        found.append(Finding("D021", "note", name, f"{extra} image files are not used by the table"))
    return found


def image_files(root: Path | str) -> set[str]:
    """Return the image files below a folder."""
    walk = os.walk(os.path.normpath(root), followlinks=True)
    return {os.path.join(folder, one) for folder, _, names in walk for one in names if one.lower().endswith(SUFFIXES)}


def _ages(name: str, table: pd.DataFrame) -> list[Finding]:
    if "age" not in table:
        return []
    age = pd.to_numeric(table["age"], errors="coerce")
    impossible = int((table["age_note"] == "AGE_IMPOSSIBLE").sum()) if "age_note" in table else 0
    zero, capped = int((age == 0).sum()), int(age.isin(CAPS).sum())
    kinds = {"impossible (over 120)": impossible, "0": zero, f"at the cap of {CAPS[0]} or {CAPS[1]}": capped}
    text = ", ".join(f"{n} are {kind}" for kind, n in kinds.items() if n)
    return [Finding("D040", "warning" if impossible or zero else "note", name, f"ages: {text}")] if text else []


def _follows(name: str, labels: Mapping[str, pd.Series], sites: pd.Series) -> list[Finding]:
    found = []
    for label, y in labels.items():
        for site in sorted(sites.unique()):
            own, rest = y[sites == site].dropna(), y[sites != site].dropna()
            if min(len(own), len(rest)) >= LEAST and abs(own.mean() - rest.mean()) > FOLLOWS:
                text = (
                    f"{label} is 1 for {own.mean():.1%} of the {len(own)} images of source {site} and for "
                    f"{rest.mean():.1%} of the others: a network can predict the label from the source"
                )
                found.append(Finding("D044", "warning", name, text))
    return found


def _reason(table: pd.DataFrame) -> pd.Series:
    return table["drop"].fillna("").astype(str)


def _labels(dataset: Dataset, used: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the labels, as numbers, that are known for some image in use."""
    names = [name for name in dataset.labels if name in used and used[name].notna().any()]
    return {name: pd.to_numeric(used[name], errors="coerce") for name in names}


def _mean(y: pd.Series) -> float | None:
    known = y.dropna()
    return round(float(known.mean()), 6) if len(known) else None
