"""Sample tables: one row per image of a set, with label and attribute checked and coded as numbers.

Rows that are left out are counted by reason; no row is left out silently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.api import Attribute, Dataset, Label
from bench.data.columns import check_spelling, coded, place, require_columns, texts, unknown_value
from bench.errors import DataInvalid, DataMissing, UnknownName

CONTRACT = ("uid", "path", "patient", "source", "drop")


def sample_table(
    dataset: Dataset,
    root: Path,
    where: Mapping[str, tuple[str, ...]],
    label: Label,
    attribute: Attribute,
    set_name: str,
) -> pd.DataFrame:
    """Return the images of one set: columns uid, path, patient, source, y (int8), a (int8), sorted by uid.

    Rows with a `drop` reason, without a label or without an attribute are left out. `attrs` of the result holds
    `file`, `set`, `rows` (of the set, before leaving any out) and `left_out` (reason -> number of rows).

    Raises:
        DataMissing: raised by the dataset; or a file without which label or attribute are unknown for all rows.
        DataInvalid: a column or value breaks the contract of `Dataset.table`, or no row is left.
        UnknownName: the table does not have a column or value of `where`, `one`, `zero` or `values`.
    """
    table = dataset.table(root)
    origin = str(table.attrs.get("file", f"the table of {type(dataset).__name__}"))
    require_columns(table, (*CONTRACT, label.column, attribute.column), origin)
    _check_uids(table["uid"], origin)
    inside = _inside(table, where, origin)
    # Spelling is checked against the whole table, because one site may lack a class.
    for coding in (label, attribute):
        check_spelling(table[coding.column], coding, origin)

    chosen = table[inside]
    reason = texts(chosen["drop"]).fillna("")
    left_out = {str(name): int(n) for name, n in reason[reason != ""].value_counts().sort_index().items()}
    chosen = chosen[reason == ""]
    y, a = (coded(chosen, coding, origin) for coding in (label, attribute))
    left_out["LABEL_MISSING"] = int(y.isna().sum())
    left_out["ATTRIBUTE_MISSING"] = int((y.notna() & a.isna()).sum())
    known = y.notna() & a.notna()
    columns = {name: _filled(chosen, name, origin)[known] for name in ("uid", "path", "patient", "source")}
    result = pd.DataFrame({**columns, "y": y[known].astype("int8"), "a": a[known].astype("int8")})
    left_out = {name: n for name, n in left_out.items() if n}
    if result.empty:
        for column, (looked_for, get_it) in table.attrs.get("lacks", {}).items():
            if column in (label.column, attribute.column):
                raise DataMissing(looked_for, get_it=get_it)
        reasons = ", ".join(f"{name} {n}" for name, n in left_out.items()) or "no row has these values"
        raise DataInvalid(f"{origin}: set '{set_name}' has no usable rows ({reasons})")
    result = result.sort_values("uid", kind="stable", ignore_index=True)
    result.attrs = {"file": origin, "set": set_name, "rows": int(inside.sum()), "left_out": left_out}
    return result


def keep_apart(source: pd.DataFrame, ood: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return `source` without the patients that also occur in a test set of the same dataset.

    Test sets are used whole, so a lesion or patient of two sites stays in the test set. The rows are counted in
    `attrs["left_out"]` as IN_OTHER_TEST_SET.

    Raises:
        DataInvalid: no row is left.
    """
    keep = ~_patients(source).isin({patient for table in ood for patient in _patients(table)})
    result = source[keep].reset_index(drop=True)
    if result.empty:
        raise DataInvalid("every patient of the source set also occurs in a test set: check `where` of the task")
    if not keep.all():
        left_out = {**source.attrs.get("left_out", {}), "IN_OTHER_TEST_SET": int((~keep).sum())}
        result.attrs = {**source.attrs, "left_out": left_out}
    return result


def fingerprint(table: pd.DataFrame) -> dict[str, Any]:
    """Return `{"n": rows, "sha": sha256}` of the sorted (uid, y, a). Repeats count; the order of rows does not."""
    lines = sorted(
        f"{uid}\t{int(y)}\t{int(a)}\n" for uid, y, a in zip(table["uid"], table["y"], table["a"], strict=True)
    )
    return {"n": len(lines), "sha": hashlib.sha256("".join(lines).encode()).hexdigest()}


def _inside(table: pd.DataFrame, where: Mapping[str, tuple[str, ...]], origin: str) -> pd.Series:
    inside = pd.Series(True, index=table.index)
    for column, values in where.items():
        if column not in table.columns:
            raise UnknownName("column", column, [str(name) for name in table.columns], where=f" of {origin}")
        words = texts(table[column])
        for value in values:
            if not (words == value).any():
                raise unknown_value(value, words, column, origin)
        inside &= words.isin(values)
    return inside


def _check_uids(uids: pd.Series, origin: str) -> None:
    words = texts(uids).fillna("")
    for bad, why in (
        (np.array([not (word and str(word).isprintable()) for word in words]), "is empty or not printable"),
        (words.duplicated().to_numpy(), "occurs twice"),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataInvalid(f"{origin}: row {row + 1}, column 'uid': {words.iloc[row]!r} {why}", code="D013")


def _filled(table: pd.DataFrame, name: str, origin: str) -> pd.Series:
    words = texts(table[name])
    empty = words.fillna("") == ""
    if empty.any():
        raise DataInvalid(f"{place(table, empty, origin, name)} is empty")
    return words.astype(str)


def _patients(table: pd.DataFrame) -> pd.Series:
    # A uid starts with the name of its dataset; equal names of patients in two datasets are different people.
    return table["uid"].str.partition(":")[0] + ":" + table["patient"]
