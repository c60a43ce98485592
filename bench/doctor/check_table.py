"""Checks of one source's table, and the counts that are printed of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bench.api import Dataset
from bench.doctor.findings import Finding

IMAGES = (".jpg", ".jpeg", ".png", ".dcm", ".tif", ".tiff")
ENOUGH = 20
"""Images of a cell of label and attribute below which a rate says little."""
FOLLOWS, LEAST = 0.15, 50
"""Difference of a source's rate of the label from that of the others that is told of, for sources of so many images."""
CAPS = (90, 91)
"""Ages that stand for that and older."""


@dataclass
class Counts:
    """What is printed of a source: rows to used rows, files, and tables of label, attribute and source."""

    rows: int
    used: int
    reasons: dict[str, int]
    patients: int
    files: dict[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, dict[str, int]] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    paper: dict[str, Any] = field(default_factory=dict)


def counts_of(dataset: Dataset, table: pd.DataFrame) -> Counts:
    """Count rows by reason, and the rows in use by label, attribute and source."""
    reason = table["drop"].fillna("").astype(str)
    used = table[reason == ""]
    reasons = {str(code): int(n) for code, n in reason[reason != ""].value_counts().sort_index().items()}
    columns = tuple(map(str, table.columns))
    found = Counts(len(table), len(used), reasons, used["patient"].nunique(), columns=columns)
    for label in [name for name in dataset.labels if name in used and used[name].notna().any()]:
        y = pd.to_numeric(used[label], errors="coerce")
        found.labels[label] = {"known": int(y.notna().sum()), "positive": int((y == 1).sum()), "rate": _mean(y)}
        for name, a in attributes(dataset, used).items():
            for value in (0, 1):
                for one in (0, 1):
                    cell = f"{name}={value}, {label}={one}"
                    found.cells.setdefault(f"{label} x {name}", {})[cell] = int(((a == value) & (y == one)).sum())
        for source, rows in used.groupby(used["source"].astype(str)):
            found.sources.setdefault(str(source), {"n": len(rows)})[label] = _mean(y[rows.index])
    if dataset.counts is not None:
        paper, ours = dataset.counts.paper, len(used)
        found.paper = {"used": ours, "paper": paper, "why": dataset.counts.why}
        found.paper["difference"] = ours - paper if paper is not None else None
    return found


def attributes(dataset: Dataset, used: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the attributes of a table as 0 and 1: age as over 65, skin type not beside `dark`."""
    found = {}
    for name in [name for name in dataset.attributes if name in used]:
        values = pd.to_numeric(used[name], errors="coerce")
        if name == "age":
            found["age>65"] = (values > 65).astype(float).where(values.notna())
        elif values.dropna().isin([0, 1]).all():
            found[name] = values
    return found


def table_findings(name: str, dataset: Dataset, table: pd.DataFrame, root: Path) -> list[Finding]:
    """Return what is noteworthy of a table that could be read, and of the files below its folder."""
    reason = table["drop"].fillna("").astype(str)
    used = table[reason == ""]
    counts = dataset.counts
    found = []
    if counts and counts.rows is not None and len(table) != counts.rows:
        found.append(Finding("D012", "warning", name, f"{len(table)} rows, {counts.release} has {counts.rows}"))
    lonely = int((reason == "NO_DEMOGRAPHICS_ROW").sum())
    if lonely:
        share = f"{lonely} of {len(table)} images ({lonely / len(table):.1%})"
        found.append(Finding("D014", "warning", name, f"{share} have no row in the table of patients"))
    found += _files(name, dataset, table, reason, root)
    found += _ages(name, table[reason != "NOT_IN_TEST_LIST"])
    if "fst" in used and (unknown := int(used["fst"].isna().sum())):
        found.append(Finding("D042", "note", name, f"{unknown} of {len(used)} images have no skin type"))
    for column, (looked_for, _) in table.attrs.get("lacks", {}).items():
        if column in (*dataset.attributes, *dataset.labels):
            found.append(Finding("D043", "warning", name, f"{column} is not known: {looked_for} is not there"))
    found += _follows(name, dataset, used)
    for label in [label for label in dataset.labels if label in used and used[label].notna().any()]:
        y = pd.to_numeric(used[label], errors="coerce")
        for attribute, a in attributes(dataset, used).items():
            if not a.notna().any():
                continue
            for one in (0, 1):
                for value in (0, 1):
                    n = int(((y == one) & (a == value)).sum())
                    if n < ENOUGH:
                        text = f"{label}={one}, {attribute}={value} has {n} images of {len(used)}"
                        found.append(Finding("D041", "warning", name, text))
    if counts is not None and counts.paper is not None:
        text = f"used {len(used)}; paper {counts.paper}; difference {len(used) - counts.paper:+d}: {counts.why}"
        found.append(Finding("D050", "note", name, text))
    return found


def _files(name: str, dataset: Dataset, table: pd.DataFrame, reason: pd.Series, root: Path) -> list[Finding]:
    if dataset.synthetic:
        return []
    named = set(table["path"].dropna().astype(str))
    there = image_files(root)
    lower = {path.lower() for path in there}
    gone = table["path"].map(lambda path: bool(path) and str(path).lower() not in lower) & (reason == "")
    missing = (reason == "FILE_MISSING") | gone
    of = int((missing | (reason == "")).sum())
    found = []
    if n := int(missing.sum()):
        first = str(table.loc[missing, "uid"].iloc[0])
        level = "error" if n > 0.005 * of else "warning"
        found.append(Finding("D020", level, name, f"{n} of {of} image files are missing", (first,)))
    extra = len(there) - len(named & set(there))
    if extra > 0:
        found.append(Finding("D021", "note", name, f"{extra} image files are not used by the table"))
    return found


def image_files(root: Path) -> list[str]:
    """Return the image files below a folder, as paths from it."""
    found = []
    for folder, _, names in os.walk(root, followlinks=True):
        prefix = Path(folder).relative_to(root).as_posix() + "/"
        found += [prefix.removeprefix("./") + one for one in names if one.lower().endswith(IMAGES)]
    return found


def _ages(name: str, table: pd.DataFrame) -> list[Finding]:
    if "age" not in table:
        return []
    age = pd.to_numeric(table["age"], errors="coerce")
    impossible = int((table["age_note"] == "AGE_IMPOSSIBLE").sum()) if "age_note" in table else 0
    zero, capped = int((age == 0).sum()), int(age.isin(CAPS).sum())
    parts = [f"{impossible} ages are impossible (over 120)"] if impossible else []
    parts += [f"{zero} are 0"] if zero else []
    level = "warning" if parts else "note"
    parts += [f"{capped} are at the cap of {CAPS[0]} or {CAPS[1]}"] if capped else []
    return [Finding("D040", level, name, "; ".join(parts))] if parts else []


def _follows(name: str, dataset: Dataset, used: pd.DataFrame) -> list[Finding]:
    found = []
    for label in [label for label in dataset.labels if label in used]:
        y = pd.to_numeric(used[label], errors="coerce")
        for source, rows in used.groupby(used["source"].astype(str)):
            own, rest = y[rows.index].dropna(), y.drop(rows.index).dropna()
            if min(len(own), len(rest)) >= LEAST and abs(own.mean() - rest.mean()) > FOLLOWS:
                text = (
                    f"{label} is 1 on {own.mean():.1%} of the {len(own)} images of source {source}, on "
                    f"{rest.mean():.1%} of the others: a network can tell the label by the source"
                )
                found.append(Finding("D044", "warning", name, text))
    return found


def waterfall(counts: Counts) -> list[tuple[str, int]]:
    """Return rows, what each reason leaves out, and what is left."""
    return [("rows", counts.rows), *((reason, -n) for reason, n in counts.reasons.items()), ("used", counts.used)]


def _mean(y: pd.Series) -> float | None:
    known = y.dropna()
    return round(float(known.mean()), 6) if len(known) else None
