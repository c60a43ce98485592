"""The labels of a task that asks about several findings: read once, as columns of one table that all findings share.

The label `Effusion` is the column `finding_Effusion` of a sample table: 1, 0, or a number below 0 that says why it is
not known. All findings share one split of patients and one baseline; the table of one finding has the images whose
label is known, with their label in `y`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

import numpy as np
import pandas as pd

from bench.api import Coding, Label, Task
from bench.errors import UsageError

FINDING = "finding_"
"""Prefix of the column of a finding in a sample table."""
NO_LABELS: Mapping[str, Label] = MappingProxyType({})
WHY = ("MISSING", "NOT_LISTED", "IMPOSSIBLE", "AMBIGUOUS")
"""Why a label is not known: -1, -2, -3 and -4."""
EXPECTED = 20
"""Two labels exclude each other if no image has both, although so many would if they were independent."""
Read = Sequence[tuple[Coding, pd.DataFrame]]


def any_known(read: Read) -> pd.DataFrame:
    """Return code (0 where a label is known, else NA) and why of an image with several labels."""
    known = np.any([found["code"].notna() for _, found in read], axis=0)
    first = read[0][1]
    code = pd.Series(0, index=first.index, dtype="Int8")
    return pd.DataFrame({"code": code.mask(~known), "why": first["why"].mask(known, "")})


def finding_codes(labels: Mapping[str, Label], read: Read) -> pd.DataFrame:
    """Return the columns of the findings, int8: 1, 0, or below 0 where the label is not known."""
    found = {}
    for name, (_, one) in zip(labels, read, strict=True):
        code = one["code"].astype("float").to_numpy()
        unknown = one["why"].map({why: -1 - number for number, why in enumerate(WHY)}).to_numpy()
        found[FINDING + name] = np.where(np.isnan(code), unknown, code).astype("int8")
    return pd.DataFrame(found, index=read[0][1].index)


def with_stratum(table: pd.DataFrame, labels: Mapping[str, Label]) -> pd.DataFrame:
    """Return a table with the stratum of each image in `y`: its rarest finding, counted from 1, or 0 without any.

    Folds that are alike in it are alike in the rare findings, whose images are scarce. It is the same for all findings.
    """
    codes = table[[FINDING + name for name in labels]].to_numpy() == 1
    rarest = np.argsort(codes.sum(axis=0), kind="stable")
    y = np.zeros(len(table), dtype="int8")
    for number in rarest[::-1]:
        y[codes[:, number]] = number + 1
    return _with(table, table.assign(y=y))


def of_finding(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the images of a table whose label of a finding is known, with that label in `y`."""
    code = table[FINDING + name]
    unknown = code[code < 0].value_counts().sort_index(ascending=False)
    left_out = {f"LABEL_{WHY[-1 - int(number)]}": int(n) for number, n in unknown.items()}  # type: ignore[arg-type]
    drop = [column for column in table.columns if column.startswith(FINDING)]
    found = table.assign(y=code.astype("int8"))[code >= 0].drop(columns=drop).reset_index(drop=True)
    found = _with(table, found)
    found.attrs["left_out"] = {**table.attrs.get("left_out", {}), **left_out}
    return found


def combined(table: pd.DataFrame, labels: Mapping[str, Label], *, swapped: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table with the number of its combination of labels in `y`, and the labels (C, K) of each combination.

    A label is 1, 0 or, where it is not known, NaN; with `swapped`, 0 and 1 change places (the polarity of the task).
    """
    codes = np.maximum(table[[FINDING + name for name in labels]].to_numpy(), -1)
    found, number = np.unique(codes, axis=0, return_inverse=True)
    values = np.where(found < 0, np.nan, 1 - found if swapped else found)
    return _with(table, table.assign(y=number.reshape(-1).astype("int32"))), values.astype(np.float32)


def check_findings(source: pd.DataFrame, task: Task) -> None:
    """Refuse labels that no comparison can be made of; `source` has its folds.

    Raises:
        UsageError: a class without an image or in one fold only; labels that coincide or that exclude each other; a
            label that is the attribute.
    """
    if not task.labels:
        return
    codes = {name: source[FINDING + name].to_numpy() for name in task.labels}
    a, fold = source["a"].to_numpy(), source["fold"].to_numpy()
    for name, code in codes.items():
        for value in (0, 1):
            folds = np.unique(fold[code == value])
            what = f"finding {name}: {task.labels[name].names[value]!r} ({value})"
            if not len(folds):
                raise UsageError(f"{what} has no image in the source: correct its coding, or leave the finding out")
            if len(folds) == 1:
                n = int((code == value).sum())
                raise UsageError(
                    f"{what}: its {n} images are in one fold only ({folds[0]}), so that the baseline of this fold "
                    "would see none: leave the finding out, or take more images"
                )
        known = (code >= 0) & (a >= 0)
        if known.any() and any((code[known] == other).all() for other in (a[known], 1 - a[known])):
            raise UsageError(
                f"finding {name} and the attribute {task.attribute.column} coincide on all {int(known.sum())} images "
                "of the source: there is no image of one without the other; leave the finding out"
            )
    for first, second in combinations(codes, 2):
        _check_pair(first, second, codes, one_column=task.labels[first].column == task.labels[second].column)


def _check_pair(first: str, second: str, codes: Mapping[str, np.ndarray], *, one_column: bool) -> None:
    one, other = codes[first], codes[second]
    known = (one >= 0) & (other >= 0)
    one, other, n = one[known], other[known], int(known.sum())
    if n and ((one == other).all() or (one != other).all()):
        how = "are equal" if (one == other).all() else "are each other's opposite"
        raise UsageError(f"findings {first} and {second} {how} on all {n} images that have both labels; delete one")
    expected = float(one.mean() * other.mean() * n) if n else 0.0
    if not one_column and expected >= EXPECTED and not (one & other).any():
        raise UsageError(
            f"findings {first} and {second} exclude each other: no image has both, where {expected:.0f} would if they "
            "were independent. Leave one out (such as 'no finding', which follows from the others); classes of one "
            'column are `classes = { column = "...", one_vs_rest = [...] }`'
        )


def _with(table: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    found.attrs = dict(table.attrs)
    return found
