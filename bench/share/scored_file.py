"""Files of predictions that were made elsewhere: which columns they have, and what their scores are.

One row is the prediction of one image by one method, with the label and the attributes of the image. Only `image_id`, a
score, a label and an attribute are needed; without the other columns there is one method, one fold, one set called
`test`, and each image counts as a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bench.api import Attribute, Label, Task
from bench.cells.predictions import ATTRIBUTE
from bench.data.columns import UNKNOWN, require_columns, texts
from bench.data.table_files import read_table_file
from bench.errors import DataInvalid, DataMissing, UsageError, number_of
from bench.reporting.render.text import listed
from bench.scoring.metrics import VALIDATION
from bench.scoring.threshold import logit_of

Scale = Literal["auto", "probability", "logit"]
ABSENT = "none"
"""As the name of a column: do not read any, even if there is one of the usual name."""
NOT_KNOWN = "-1"
"""The number of the group of an image whose attribute is not known, in stored predictions."""
MOST_GROUPS = 10
"""An attribute with more values than this, without a task, is a number or an id rather than groups."""
FEW_OUTSIDE = 0.1
"""Of logits, more than this share is outside of [0, 1]; with fewer, the others look like probabilities."""
CERTAIN = 1000.0
"""The logit of a probability of exactly 1, beyond that of every other float64; that of 0 is -1000."""
VALIDATIONS = {"val", "valid", "validation", "dev"}
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """The names of the columns of a file; None: the first of `USUAL` that it has."""

    image: str | None = None
    score: str | None = None
    label: str | None = None
    attributes: tuple[str, ...] = ()
    patient: str | None = None
    set: str | None = None
    method: str | None = None
    fold: str | None = None
    seed: str | None = None


USUAL: dict[str, tuple[str, ...]] = {
    "image": ("image_id", "uid", "image", "path"),
    "score": ("logit", "score", "probability"),
    "label": ("y", "label"),
    "patient": ("patient", "patient_id", "cluster"),
    "set": ("set",),
    "method": ("method",),
    "fold": ("fold",),
    "seed": ("seed",),
}
NEEDED = ("image", "score", "label")


def read(predictions: Path | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the table of a file, or a frame, and its name in messages.

    Raises:
        DataMissing: the file does not exist.
        DataInvalid: the file is no table, or has no rows.
    """
    if isinstance(predictions, pd.DataFrame):
        table, origin = predictions.reset_index(drop=True), "the table"
        table.columns = pd.Index([str(name) for name in table.columns])
    else:
        origin = str(predictions)
        if not predictions.is_file():
            raise DataMissing(f"file of predictions {origin}", get_it="Give a CSV or Parquet file.")
        table = read_table_file(predictions)
    if table.empty:
        raise DataInvalid(f"{origin} has no rows")
    return table, origin


def found_columns(table: pd.DataFrame, given: Columns, task: Task | None, origin: str) -> dict[str, str]:
    """Return the column of each role that the table has; those of label and attributes may be the task's.

    Raises:
        DataInvalid: a column that is named or needed does not exist; the message suggests the nearest spelling.
    """
    roles = [field.name for field in fields(Columns) if field.name != "attributes"]
    chosen = {role: name for role in roles if (name := getattr(given, role))}
    if wrong := [role for role in NEEDED if chosen.get(role) == ABSENT]:
        raise UsageError(f"--{wrong[0]} {ABSENT}: this column is needed")
    require_columns(table, [name for name in (*chosen.values(), *given.attributes) if name != ABSENT], origin)
    usual = {**USUAL, "label": (task.label.column, *USUAL["label"])} if task else USUAL
    for role in (role for role in roles if role not in chosen):
        if name := next((name for name in usual[role] if name in table.columns), None):
            chosen[role] = name
        elif role in NEEDED:
            names = " or ".join(dict.fromkeys(usual[role]))
            raise DataInvalid(
                f"{origin}: no column {names}: --{role} COLUMN names it; it has: {', '.join(table.columns)}",
                code="D010",
            )
    require_columns(table, [name for name in chosen.values() if name != ABSENT], origin)
    return {role: name for role, name in chosen.items() if name != ABSENT}


def label_of_column(column: str, task: Task | None) -> Label:
    """Return how the column of labels is coded: as the task says or, in another column, as 0 and 1."""
    if task is not None and column == task.label.column:
        return task.label
    return Label(column=column, names=task.label_names if task else (f"{column} 0", f"{column} 1"))


def attributes_of(table: pd.DataFrame, given: Sequence[str], task: Task | None, origin: str) -> list[Attribute]:
    """Return how each attribute is coded: by the task, by its numbers of the groups, or by a group for each value.

    Raises:
        DataInvalid: no attribute, or one with a single group or very many.
    """
    if task is not None:
        if given:
            raise UsageError("--attributes goes without --task, which names the attribute")
        column, coded = task.attribute.column, f"{ATTRIBUTE}{task.attribute.column}"
        if column in table.columns or coded not in table.columns:
            require_columns(table, [column], origin)
            return [task.attribute]
        numbers = [str(number) for number in range(len(task.attribute.names))]
        return [_listing(coded, numbers, task.attribute.names, grouped=task.attribute.grouped)]
    names = given or [name for name in table.columns if name.startswith(ATTRIBUTE)]
    if not names:
        have = ", ".join(table.columns)
        raise UsageError(
            f"--attributes COLUMN, or --task, says between which groups {origin} is scored; it has: {have}"
        )
    return [_by_value(table, name, origin) for name in names]


def _by_value(table: pd.DataFrame, column: str, origin: str) -> Attribute:
    words = {str(word) for word in texts(table[column]).dropna() if word.lower() not in UNKNOWN}
    names = sorted(words - {NOT_KNOWN} if column.startswith(ATTRIBUTE) else words)
    if not 2 <= len(names) <= MOST_GROUPS:
        values = number_of(len(names), "value") + (f", such as {names[0]!r}" if names else "")
        raise DataInvalid(
            f"{origin}: column {column!r} has {values}; 2 to {MOST_GROUPS} groups can be compared: give --task, which "
            "cuts numbers (`cuts`, `above`) or joins values (`values`)",
            code="D011",
        )
    return _listing(column, names, names, grouped=len(names) > 2)


def _listing(column: str, values: Sequence[str], names: Sequence[str], *, grouped: bool) -> Attribute:
    """Return an attribute with a group for each value; not `grouped`, the second of two is that of 1."""
    zero, one = ((), ()) if grouped else ((values[0],), (values[1],))
    listed_values = tuple((value,) for value in values) if grouped else ()
    unknown = (NOT_KNOWN,) if column.startswith(ATTRIBUTE) else ()
    return Attribute(column=column, names=tuple(names), zero=zero, one=one, values=listed_values, unknown=unknown)


def logits(table: pd.DataFrame, column: str, method: pd.Series, scale: Scale, origin: str) -> tuple[np.ndarray, str]:
    """Return the logits of a column of scores (N,), and a sentence on what they were taken for.

    Without a `scale`, a column called `logit` holds logits; any other holds probabilities if all are in [0, 1], and
    logits if some are negative and at least `FEW_OUTSIDE` of all are outside.

    Raises:
        DataInvalid: a value is no finite number, or the values are neither probabilities nor logits.
    """
    words = texts(table[column]).fillna("")
    numbers, commas = np.array([_number(word) for word in words]), int(words.str.contains(",", regex=False).sum())
    point = f"; {commas} with a comma, which was read as a decimal point" if commas else ""
    wrong = ~(np.abs(numbers) <= LARGEST)
    if wrong.any():
        raise _wrong(table, column, wrong, "a probability or a finite logit expected", origin)
    outside = (numbers < 0) | (numbers > 1)
    number = int(outside.sum())
    if scale == "auto" and column != "logit" and outside.any():
        low, high = f"{numbers.min():g}", f"{numbers.max():g}"
        if numbers.min() >= 0:
            raise DataInvalid(
                f"{origin}: column {column!r} goes from {low} to {high}: neither probabilities nor, without a negative "
                "value, logits: divide percentages by 100, or say --scale logit"
            )
        if outside.mean() < FEW_OUTSIDE:
            raise DataInvalid(
                f"{origin}: column {column!r} has {number} of {len(numbers)} values outside of [0, 1], from {low} to "
                f"{high}: mend them if the others are probabilities, or say --scale logit"
            )
        if inside := [str(name) for name, any_outside in pd.Series(outside).groupby(method) if not any_outside.any()]:
            raise DataInvalid(
                f"{origin}: column {column!r} has values outside of [0, 1], but not for {listed(inside)}: give all "
                "methods one scale, or say --scale logit"
            )
    if scale == "logit" or (scale == "auto" and (column == "logit" or outside.any())):
        named = scale == "logit" or column == "logit"
        why = "" if named else f", as {number} of {len(numbers)} are outside of [0, 1]"
        return numbers, f"{column}: taken for logits{why}{point}"
    if outside.any():
        raise _wrong(table, column, outside, "a probability in [0, 1] expected", origin)
    certain = (numbers == 0) | (numbers == 1)
    clipped = f"; {int(certain.sum())} of exactly 0 or 1 became logits of ±{CERTAIN:g}" if certain.any() else ""
    found = np.array([logit_of(number) for number in numbers])
    return np.clip(found, -CERTAIN, CERTAIN), f"{column}: taken for probabilities, as all are in [0, 1]{clipped}{point}"


def _number(word: str) -> float:
    try:
        return float(word.replace(",", "."))  # a comma is the point of some spreadsheets
    except ValueError:
        return float("nan")


def _wrong(table: pd.DataFrame, column: str, wrong: np.ndarray, wanted: str, origin: str) -> DataInvalid:
    row = int(np.flatnonzero(wrong)[0])
    value = "empty" if pd.isna(table[column].iloc[row]) else repr(str(table[column].iloc[row]))
    return DataInvalid(
        f"{origin}: row {row + 2}, column {column!r} is {value} ({int(wrong.sum())} such rows): {wanted}", code="D011"
    )


def rows_of(table: pd.DataFrame, columns: dict[str, str], scale: Scale, origin: str) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per prediction: columns image, method, set, fold, seed, patient (NA: not known) and logit.

    The sentences say what was assumed, converted and left out.

    Raises:
        DataInvalid: an empty or wrong value; or an image that a method, fold, seed and set have twice.
    """
    said: list[str] = []
    usual = {"set": "test", "method": "predictions", "fold": "0", "seed": "0"}
    found = pd.DataFrame({"image": texts(table[columns["image"]])})
    for role, word in usual.items():
        found[role] = texts(table[columns[role]]) if role in columns else word
        if role not in columns and role != "seed":
            said.append(f"no column of the {role}: all rows are of one")
    for role in ("image", *(role for role in usual if role in columns)):
        if (empty := found[role].isna().to_numpy(dtype=bool)).any():
            raise _wrong(table, columns[role], empty, "a value expected in every row", origin)
    for role in ("fold", "seed"):
        whole = found[role].str.fullmatch(r"\d{1,6}").to_numpy(dtype=bool)
        if not whole.all():
            raise _wrong(table, columns[role], ~whole, "a whole number expected", origin)
        found[role] = found[role].astype(int)
    found["patient"] = texts(table[columns["patient"]]) if "patient" in columns else pd.NA
    if "patient" not in columns:
        said.append(
            "no column of the patient: each image counts as a patient, and intervals are too narrow if it is not"
        )
    found["logit"], taken = logits(table, columns["score"], found["method"], scale, origin)
    said.append(taken)
    for name in [name for name in found["set"].unique() if name.casefold() in VALIDATIONS - {VALIDATION}]:
        found["set"] = found["set"].replace(name, VALIDATION)
        said.append(f"the set {name!r} is taken for the validation set")
    key = ["method", "fold", "seed", "set", "image"]
    if (twice := found.duplicated(key)).any():
        where = dict(zip(key, found.loc[twice, key].iloc[0], strict=True))
        raise DataInvalid(
            f"{origin}: image {where['image']!r} is there twice for method {where['method']!r}, fold {where['fold']}, "
            f"seed {where['seed']}, set {where['set']!r} ({int(twice.sum())} such rows): keep one",
            code="D013",
        )
    return found, said
