"""Split manifests: the folds and external sets of a task as one CSV of ids, to be given to another machine.

    # {"task": "phantom-cxr-age", "protocol": "clean", "folds": 5, ..., "n": 1500, "sha256": "..."}
    "uid","fold","external"
    "phantom:source-00001",3,1

The first line says which cut this is. An image is in the validation part of its fold and in the training part of every
other; `external` says how often it is in the external set of its fold (repeats count, empty: drawn by the rule of the
task), and fold -1 that it is in no part, because its file could not be read. `pandas.read_csv(file, comment="#")`
reads it. The sha256 is of the rows, in whatever order; a cut of one's own has none, and may leave out `external`.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bench
from bench.api import Task
from bench.data.folds import PAPER_SEED, SEED
from bench.errors import DataError, DataMissing
from bench.spec import name_of

NO_PART = -1
"""The fold of an image that is in no part of any fold."""
DRAWN = -1
"""`external` of an image whose fold has its external set drawn by the rule of the task."""
COLUMNS = ["uid", "fold", "external"]
MARK = "# "


def rule(task: Task) -> dict[str, Any]:
    """Return what of a task decides how it is cut; variants that agree in it share a manifest."""
    return {
        "task": name_of(task.name),
        "protocol": task.protocol,
        "seed": SEED if task.protocol == "clean" else PAPER_SEED,
        "folds": task.folds,
        "attribute": task.attribute.column,
        "external": task.external,
        "balance": task.balance,
        "deficit": task.deficit,
    }


def sha256(cut: pd.DataFrame) -> str:
    """Hash the rows of a cut; their order does not count."""
    lines = sorted(f"{uid}\t{fold}\t{_cell(times)}\n" for uid, fold, times in _tuples(cut))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def manifest(task: Task, cut: pd.DataFrame) -> str:
    """Return the text of the manifest of a cut, the same on every machine."""
    header = {**rule(task), "n": len(cut), "sha256": sha256(cut), "bench": bench.__version__}
    # Quoted, so that no sign in an id is taken for a comma or for the start of a comment.
    rows = [f'"{uid.replace(chr(34), chr(34) * 2)}",{fold},{_cell(times)}\n' for uid, fold, times in _tuples(cut)]
    return f'{MARK}{json.dumps(header)}\n"uid","fold","external"\n{"".join(rows)}'


def read(file: Path, task: Task) -> pd.DataFrame:
    """Return the cut of a manifest of the task: uid (str), fold and external (int64, -1: drawn).

    Raises:
        DataMissing: no such file.
        DataError: a file that is no manifest or one of another cut, or rows that were edited or cannot be.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataMissing(f"splits {file}", get_it="`bench run` writes them to splits/ in its results.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"splits {file} cannot be read: {error}") from None
    first, _, rest = text.partition("\n")
    _check_header(header := _header(first, file), task, file)
    try:
        table = pd.read_csv(io.StringIO(rest), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise DataError(f"{file} is not CSV: {error}") from None
    lacking = [name for name in ("uid", "fold") if name not in table.columns]
    if lacking:
        raise DataError(f"{file}: no column '{lacking[0]}'; a manifest has {', '.join(COLUMNS)}")
    table["external"] = table["external"].replace("", str(DRAWN)) if "external" in table.columns else str(DRAWN)
    for name, lowest, highest in (("fold", NO_PART, task.folds - 1), ("external", DRAWN, None)):
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = ~(numbers >= lowest) | (numbers % 1 != 0) | (numbers > (np.inf if highest is None else highest))
        allowed = f"{lowest} to {highest}" if highest is not None else f"a whole number of {lowest} or more, or nothing"
        _refuse(table.loc[wrong, "uid"], file, f"have another {name} than {allowed}")
        table[name] = numbers.where(~wrong).astype(np.int64)
    _refuse(table.loc[table["uid"].duplicated(), "uid"], file, "have more than one row")
    _refuse(
        table.loc[(table["fold"] == NO_PART) & (table["external"] > 0), "uid"],
        file,
        "are in an external set but not in the validation part of a fold",
    )
    table = table[COLUMNS].sort_values("uid", kind="stable", ignore_index=True)
    if "sha256" in header and (header.get("n"), header["sha256"]) != (len(table), sha256(table)):
        raise DataError(
            f"{file}: its {len(table)} rows are not those that were written (n {header.get('n')}, sha256 "
            f"{header['sha256'][:12]}...): take the file as it was written. For a cut of your own take sha256 out of "
            "the first line."
        )
    return table


def with_cut(source: pd.DataFrame, cut: pd.DataFrame, file: Path, task: Task) -> pd.DataFrame:
    """Return the source table with the columns fold and external of a cut that was read.

    Raises:
        DataError: an image on one side that the other lacks, a patient or lesion in two folds (unless the protocol
            is that of the paper), an empty fold, or an external set that lacks images of a group and class.
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
    """Return the external set that a cut gives of a validation part, repeats as rows; None where it is drawn."""
    if "external" not in validation.columns or (validation["external"] == DRAWN).any():
        return None
    rows = validation.loc[validation.index.repeat(validation["external"])].reset_index(drop=True)
    repeats = {c: int((rows["uid"].duplicated() & (rows["y"] == c)).sum()) for c in (0, 1)}
    rows.attrs = {**validation.attrs, "set": "external", "shortfall": {c: n for c, n in repeats.items() if n}}
    return rows


def check_readable(source: pd.DataFrame, unreadable: Sequence[Any]) -> None:
    """Refuse images of a manifest that this machine cannot read: without them these would be other folds.

    Raises:
        DataError: with their number, the first, and why.
    """
    if "splits" in source.attrs:
        used = set(source.loc[source["fold"] != NO_PART, "uid"])
        lacking = [image for image in unreadable if image.uid in used]
        why = f"cannot be read on this machine ({lacking[0].why}): replace their files" if lacking else ""
        _refuse([image.uid for image in lacking], Path(source.attrs["splits"]), why)


def _check_external(inside: pd.DataFrame, file: Path, task: Task) -> None:
    mixed = inside.groupby("fold")["external"].agg(lambda times: (times == DRAWN).any() and (times != DRAWN).any())
    if mixed.any():
        raise DataError(f"{file}: fold {mixed.idxmax()} has `external` for some of its images and not for others")
    if task.attribute.grouped:
        if (inside["external"] != DRAWN).any():
            raise DataError(
                f"{file}: the groups of the external set are chosen by each baseline: leave `external` empty"
            )
    elif task.external:
        chosen = inside[inside["external"] > 0]
        for fold in sorted(inside.loc[inside["external"] != DRAWN, "fold"].unique()):
            cells = set(chosen.loc[chosen["fold"] == fold, ["a", "y"]].itertuples(index=False, name=None))
            if len(cells) < 4:
                raise DataError(f"{file}: the external set of fold {fold} lacks images of a group and class")


def _header(line: str, file: Path) -> dict[str, Any]:
    try:
        header = json.loads(line.strip().strip('"').removeprefix(MARK.strip()))
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise DataError(
            f'{file} is no manifest of splits: its first line is to be like {MARK}{{"task": "..."}}; '
            "`bench run` writes one to splits/ in its results"
        )
    return header


def _check_header(header: dict[str, Any], task: Task, file: Path) -> None:
    for name, expected in rule(task).items():
        if name not in header:
            raise DataError(f"{file}: its first line has no '{name}', {json.dumps(expected)} expected")
        if header[name] != expected:
            raise DataError(
                f"{file} is of {name} {json.dumps(header[name])}, {json.dumps(expected)} is asked for: "
                f"give the manifest of that, or run with {name} {json.dumps(header[name])}"
            )


def _refuse(found: Iterable[object], file: Path, why: str, what: str = "images") -> None:
    """Raise for what was found, with its number and the first of it."""
    names = sorted(map(str, found))
    if names:
        raise DataError(f"{file}: {len(names)} {what} {why}, first {names[0]!r}", code="D060")


def _tuples(cut: pd.DataFrame) -> Iterable[tuple[str, int, int]]:
    return zip(cut["uid"], cut["fold"], cut["external"], strict=True)


def _cell(times: int) -> str:
    return "" if times == DRAWN else str(times)
