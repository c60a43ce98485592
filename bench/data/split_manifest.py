"""Split manifests: the folds and external sets of a task as one CSV of ids, for use on another machine.

    # {"task": "phantom-cxr-age", "protocol": "clean", "folds": 5, ..., "n": 1500, "sha256": "..."}
    "uid","fold","external"
    "phantom:source-00001",3,1

The first line describes the cut. An image is in the validation part of its fold and in the training part of every
other fold. `external` says how often it is in the external set of its fold; empty means that the rule of the task draws
the set. Fold -1 means that the image is in no part, because its file could not be read. The sha256 covers the rows in
any order. A user's own cut needs no sha256 and no `external`. `pandas.read_csv(file, comment="#")` reads the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import bench
from bench.api import NO_GROUP, Task
from bench.data.folds import PAPER_SEED, SEED
from bench.errors import DataError, DataMissing
from bench.spec import name_of

NO_PART = -1
"""The fold of an image that is in no part of any fold."""
BY_RULE = -1
"""`external` of an image where the rule of the task draws the external set."""
COLUMNS = ["uid", "fold", "external"]
MARK = "# "


def rule(task: Task) -> dict[str, Any]:
    """Return the fields of a task that decide its cut; variants that agree in them can share a manifest."""
    return {
        "task": name_of(task.name),
        "protocol": task.protocol,
        "seed": SEED if task.protocol == "clean" else PAPER_SEED,
        "folds": task.folds,
        "stratify": task.stratify,
        "attribute": task.attribute.column,
        "external": task.external,
        "balance": task.balance,
        "deficit": task.deficit,
    }


def sha256(cut: pd.DataFrame) -> str:
    """Hash the rows of a cut in any order."""
    lines = sorted(f"{uid}\t{fold}\t{times}\n" for uid, fold, times in _rows(cut))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def manifest(task: Task, cut: pd.DataFrame) -> str:
    """Return the text of the manifest of a cut; it is the same on every machine."""
    header = {**rule(task), "n": len(cut), "sha256": sha256(cut), "bench": bench.__version__}
    # Quoted, because an id may contain a comma or the start of a comment.
    rows = [f'"{uid.replace(chr(34), chr(34) * 2)}",{fold},{times}\n' for uid, fold, times in _rows(cut)]
    return f'{MARK}{json.dumps(header)}\n"uid","fold","external"\n{"".join(rows)}'


def read(file: Path, task: Task) -> pd.DataFrame:
    """Return the cut of a manifest of the task: uid (str), fold and external (int64, -1: by the task's rule).

    Raises:
        DataMissing: the file does not exist.
        DataError: the file is not a manifest, or one of another cut, or has rows that were edited or are impossible.
    """
    if not file.is_file():
        raise DataMissing(f"splits {file}", get_it="Every run writes them to splits/ in its results folder.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"splits {file} cannot be read: {error}") from None
    first, _, rest = text.partition("\n")
    header = _checked_header(first, task, file)
    try:
        table = pd.read_csv(io.StringIO(rest), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise DataError(f"{file} is not CSV: {error}") from None
    for name in ("uid", "fold"):
        if name not in table.columns:
            raise DataError(f"{file}: no column '{name}'; a manifest has {', '.join(COLUMNS)}")
    table["external"] = table["external"].replace("", str(BY_RULE)) if "external" in table.columns else str(BY_RULE)
    for name, lowest, highest, allowed in (
        ("fold", NO_PART, task.folds - 1, f"{NO_PART} to {task.folds - 1}"),
        ("external", BY_RULE, math.inf, f"a whole number of {BY_RULE} or more, or nothing"),
    ):
        numbers = pd.to_numeric(table[name], errors="coerce")
        right = numbers.between(lowest, highest) & (numbers % 1 == 0)
        _refuse(table.loc[~right, "uid"], file, f"have another {name} than {allowed}")
        table[name] = numbers.astype("int64")
    _refuse(table.loc[table["uid"].duplicated(), "uid"], file, "have more than one row")
    outside = table.loc[(table["fold"] == NO_PART) & (table["external"] > 0), "uid"]
    _refuse(outside, file, "are in an external set but not in the validation part of a fold")
    table = table[COLUMNS].sort_values("uid", kind="stable", ignore_index=True)
    if "sha256" in header and (header.get("n"), header["sha256"]) != (len(table), sha256(table)):
        raise DataError(
            f"{file}: its {len(table)} rows have changed since it was written (n {header.get('n')}, sha256 "
            f"{str(header['sha256'])[:12]}...): use the original file. For a cut of your own, remove sha256 from the "
            "first line."
        )
    return table


def with_cut(source: pd.DataFrame, cut: pd.DataFrame, file: Path, task: Task) -> pd.DataFrame:
    """Return the source table with the columns fold and external of a cut that was read.

    Raises:
        DataError: an image is only in the table or only in the cut, a patient or lesion is in two folds (unless the
            protocol is that of the paper), a fold is empty, or an external set lacks images of a group and class.
    """
    known = set(source["uid"])
    lacking = cut.loc[~cut["uid"].isin(known) & (cut["fold"] != NO_PART), "uid"]
    _refuse(lacking, file, "are not in the table of this machine (no file, or another release or filter?)")
    _refuse(source.loc[~source["uid"].isin(cut["uid"]), "uid"], file, "of the table are not in the manifest")
    rows = cut.set_index("uid").loc[source["uid"]]
    table = source.assign(fold=rows["fold"].to_numpy(), external=rows["external"].to_numpy())
    table.attrs = {**source.attrs, "splits": str(file)}
    inside = table[table["fold"] != NO_PART]
    if task.protocol == "clean":
        folds = inside.groupby("patient")["fold"].nunique()
        _refuse(folds.index[folds > 1], file, "are in more than one fold", "patients (or lesions)")
    empty = sorted(set(range(task.folds)) - set(inside["fold"]))
    if empty:
        raise DataError(f"{file}: no image in fold {empty[0]} of {task.folds}")
    _check_external(inside, file, task)
    return table


def external_of(validation: pd.DataFrame) -> pd.DataFrame | None:
    """Return the external set that a cut defines in a validation part, or None where it is to be drawn."""
    if "external" not in validation.columns or (validation["external"] == BY_RULE).any():
        return None
    rows = validation.loc[validation.index.repeat(validation["external"])].reset_index(drop=True)
    repeats = {c: int((rows["uid"].duplicated() & (rows["y"] == c)).sum()) for c in (0, 1)}
    rows.attrs = {**validation.attrs, "set": "external", "shortfall": {c: n for c, n in repeats.items() if n}}
    return rows


def check_readable(source: pd.DataFrame, unreadable: Sequence[Any]) -> None:
    """Raise DataError for images of a manifest that this machine cannot read: without them the folds would change."""
    if "splits" in source.attrs:
        used = set(source.loc[source["fold"] != NO_PART, "uid"])
        lacking = [image for image in unreadable if image.uid in used]
        why = f"cannot be read on this machine ({lacking[0].why}): replace their files" if lacking else ""
        _refuse([image.uid for image in lacking], Path(source.attrs["splits"]), why)


def _check_external(inside: pd.DataFrame, file: Path, task: Task) -> None:
    mixed = inside.groupby("fold")["external"].agg(lambda times: (times == BY_RULE).any() and (times != BY_RULE).any())
    if mixed.any():
        raise DataError(f"{file}: fold {mixed.idxmax()} has `external` for some of its images and not for others")
    if task.attribute.grouped:
        if (inside["external"] != BY_RULE).any():
            raise DataError(f"{file}: each baseline chooses the groups of the external set: leave `external` empty")
    elif task.external:
        chosen = inside[inside["external"] > 0]
        _refuse(chosen.loc[chosen["a"] == NO_GROUP, "uid"], file, "of an external set have no known attribute")
        for fold in sorted(inside.loc[inside["external"] != BY_RULE, "fold"].unique()):
            if len(chosen.loc[chosen["fold"] == fold, ["a", "y"]].drop_duplicates()) < 4:
                raise DataError(f"{file}: the external set of fold {fold} lacks images of a group and class")


def _checked_header(line: str, task: Task, file: Path) -> dict[str, Any]:
    """Return what the first line of a manifest says; raise DataError where it is not a cut of the task."""
    try:
        header = json.loads(line.strip().strip('"').removeprefix(MARK.strip()))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise DataError(
            f'{file} is not a manifest of splits: its first line must be like {MARK}{{"task": "..."}}; '
            "every run writes one to splits/ in its results folder"
        )
    for name, expected in rule(task).items():
        if name not in header:
            raise DataError(f"{file}: its first line lacks '{name}': {json.dumps(expected)} expected")
        if header[name] != expected:
            raise DataError(
                f"{file} has {name} {json.dumps(header[name])}, but the task has {json.dumps(expected)}: "
                f"give the manifest of the task, or run with {name} {json.dumps(header[name])}"
            )
    return header


def _refuse(found: Iterable[object], file: Path, why: str, what: str = "images") -> None:
    """Raise DataError with the number and the first of what was found, if there is any."""
    names = sorted(map(str, found))
    if names:
        raise DataError(f"{file}: {len(names)} {what} {why}, first {names[0]!r}", code="D060")


def _rows(cut: pd.DataFrame) -> Iterable[tuple[str, int, str]]:
    times = cut["external"].astype(str).mask(cut["external"] == BY_RULE, "")
    return zip(cut["uid"], cut["fold"], times, strict=True)
