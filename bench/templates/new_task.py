"""`bench new task`: a task file for your own table, with every guess marked for you to confirm."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pandas as pd

from bench.data.ages import intervals, is_age
from bench.data.columns import UNKNOWN, texts
from bench.data.find_files import find_files
from bench.data.table_files import read_table_file
from bench.decode import SUFFIXES, read_image
from bench.errors import DataMissing, UsageError
from bench.taskfile import UNCONFIRMED, toml_key, toml_value

SHOWN = 8
"""Largest number of values of a column that are listed."""
LOOKED_AT = 50
"""Number of rows whose files are looked for."""
NAMES = {
    "patient": r"patient|subject|person|participant|\bpid\b|\bmrn\b",
    "site": r"hospital|\bsite\b|cent(er|re)|institution|clinic",
    "attribute": r"\bsex\b|gender|\bage\b|race|ethnic|skin|fitzpatrick|\btone\b",
    "label": r"label|target|finding|diagnos|class|malignan|outcome|disease",
}
"""Role of a column -> words that its name may contain."""
SEXES = {"f": "women", "female": "women", "w": "women", "m": "men", "male": "men"}


def write_task(name: str, table: Path, folder: Path) -> Path:
    """Write `<name>.toml` for the images of a table into `folder` and return its path.

    Raises:
        UsageError: a file that is there already.
        DataMissing, DataInvalid: no such table, or one that cannot be read.
    """
    file = folder / f"{name.removesuffix('.toml')}.toml"
    if file.exists():
        raise UsageError(f"{file} is there already")
    if not table.is_file():
        raise DataMissing(f"table {table}", get_it="Give the table of your images with --csv FILE.")
    rows = read_table_file(table).apply(texts)
    rows.columns = rows.columns.astype(str)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_text(rows, table), encoding="utf-8")
    return file


def _text(rows: pd.DataFrame, table: Path) -> str:
    column = {what: _named(rows, pattern) for what, pattern in NAMES.items()}
    path, images = _paths(rows, table.parent)
    taken = {path, *column.values()}
    if column["label"] is None:
        free = (one for one in map(str, rows) if one not in taken and 2 <= rows[one].nunique() <= 4)
        column["label"] = next(free, None)
    dataset = {"name": "manifest", "csv": table.name, "images": images, "path_column": path}
    if column["patient"]:
        dataset["patient_column"] = column["patient"]
    sites = rows[column["site"]].dropna().value_counts() if column["site"] else pd.Series(dtype=int)
    lines = [
        f"# A task from {table.name}, {len(rows)} rows. Its columns:",
        *(f"#   {line}" for one in rows for line in [_column(rows[one])]),
        f"# Each line with `{UNCONFIRMED}` is a guess: correct it, then delete that mark and what follows it.",
        "",
        "image_size = 224",
        f"channels = {_channels(table.parent / images, rows[path])} {UNCONFIRMED} 1 for grey images, 3 for colour",
        "",
        "[source]",
        f"dataset = {_inline(dataset)} {UNCONFIRMED}"
        + ("" if column["patient"] else " no patient_column: each image counts as a patient"),
    ]
    if len(sites) > 1:
        key = toml_key(str(column["site"]))
        lines += [f"where = {{ {key} = [{toml_value(sites.index[0])}] }} {UNCONFIRMED} trained on"]
        for number, site in enumerate(sites.index[1:], 1):
            lines += ["", f"[ood.site_{number}]", f"dataset = {_inline(dataset)} {UNCONFIRMED}"]
            lines += [f"where = {{ {key} = [{toml_value(site)}] }} {UNCONFIRMED} tested on"]
    else:
        lines += ["", "[tests.held_out]", f"share = 0.2 {UNCONFIRMED} of the patients"]
    for what in ("label", "attribute"):
        lines += ["", f"[{what}]", *_coding(rows, column[what])]
    return "\n".join(lines) + "\n"


def _named(rows: pd.DataFrame, pattern: str) -> str | None:
    words = {one: re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", one).lower() for one in map(str, rows)}
    return next((one for one, said in words.items() if re.search(pattern, said) and rows[one].nunique() > 1), None)


def _paths(rows: pd.DataFrame, folder: Path) -> tuple[str, str]:
    """Return the column whose values are files below a folder, and that folder; a likely name where none is."""
    folders = [".", *sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())]
    found = {
        (one, images): int((find_files(folder / images, list(rows[one].dropna()[:LOOKED_AT]))["drop"] == "").sum())
        for one in map(str, rows)
        if rows[one].nunique() > len(rows) / 4
        for images in folders
    }
    best = max(found, key=lambda pair: found[pair], default=None)
    if best and found[best]:
        return best
    named = next((one for one in rows if rows[one].str.lower().str.endswith(SUFFIXES).any()), rows.columns[0])
    return str(named), "."


def _channels(folder: Path, paths: pd.Series) -> int:
    found = find_files(folder, list(paths.dropna()[:LOOKED_AT]))
    for name in found["name"][found["drop"] == ""]:
        with contextlib.suppress(OSError, ValueError, DataMissing):
            return 1 if read_image(folder / name).ndim == 2 else 3
    return 3


def _column(values: pd.Series) -> str:
    counts = values.value_counts()
    shown = ", ".join(f"{value} ({n})" for value, n in counts.head(SHOWN).items())
    more = f", and {len(counts) - SHOWN} other values" if len(counts) > SHOWN else ""
    return f"{values.name}: {shown}{more}; empty ({int(values.isna().sum())})"


def _coding(rows: pd.DataFrame, column: str | None) -> list[str]:
    if column is None:
        return [f'column = "" {UNCONFIRMED} no column was recognised', f'names = ["", ""] {UNCONFIRMED}']
    lines = [f"column = {toml_value(column)} {UNCONFIRMED}"]
    values = [value for value in rows[column].dropna().value_counts().index if value.lower() not in UNKNOWN]
    if is_age(column) or (len(values) > SHOWN and intervals(rows[column])["low"].notna().any()):
        cut = int(intervals(rows[column])["low"].median())
        return [*lines, f"above = {cut} {UNCONFIRMED} the median", f'names = ["up to {cut}", "over {cut}"]']
    if {value.lower() for value in values} <= set(SEXES):
        women = [value for value in values if SEXES[value.lower()] == "women"]
        rest, names = [value for value in values if value not in women], ["men", "women"]
    else:
        ordered = sorted(values)
        rest, women = ordered[:1], ordered[1:]
        names = [ordered[0], " or ".join(women)] if ordered else ["", ""]
    return [
        *lines,
        f"zero = {toml_value(rest)} {UNCONFIRMED} the values of the first name",
        f"one = {toml_value(women)} {UNCONFIRMED} those of the second: the finding, or the group called disadvantaged",
        f"names = {toml_value(names)} {UNCONFIRMED}",
    ]


def _inline(table: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {toml_value(value)}" for key, value in table.items()) + " }"
