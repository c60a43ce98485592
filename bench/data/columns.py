"""Columns of a table: values as text whatever their type, labels coded as 0 and 1, groups as 0 to G-1."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bench.api import Attribute, Coding
from bench.errors import DataInvalid, UnknownName

UNKNOWN = frozenset({"", "unknown", "unk", "na", "n/a", "nan"})
"""Words, in lower case, for an unknown value."""


def coded(table: pd.DataFrame, coding: Coding, origin: str) -> pd.Series:
    """Return the column of `coding` as Int8 in {0, 1, NA}; for an attribute with `cuts` or `values`, in {0..G-1, NA}.

    Raises:
        DataInvalid: a value is not a number (with `above` or `cuts`), or neither 0 nor 1 (without any coding).
    """
    cuts, values = (coding.cuts, coding.values) if isinstance(coding, Attribute) else ((), ())
    words = texts(table[coding.column])
    words = words.where(~words.str.lower().isin(UNKNOWN))
    if values:
        group = {value: number for number, listed in enumerate(values) for value in listed}
        return words.map(group).astype("Int8")
    if coding.one or coding.zero:
        one, zero = words.isin(coding.one), words.isin(coding.zero)
        one, zero = (one if coding.one else ~zero), (zero if coding.zero else ~one)
        return one.astype("Int8").where((one | zero) & words.notna())
    truth = words.str.lower().map({"true": "1", "false": "0"})
    numbers = pd.to_numeric(truth.where(truth.notna(), words).astype(object), errors="coerce").astype("float64")
    bad = words.notna() & ~np.isfinite(numbers)
    expected = "a number expected"
    if coding.above is None and not cuts:
        bad |= words.notna() & ~numbers.isin((0, 1))
        expected = "0, 1 or nothing expected; name other values with `one` and `zero`, or cut numbers with `above`"
    if bad.any():
        raise DataInvalid(
            f"{place(table, bad, origin, coding.column)} is {words[bad].iloc[0]!r}: {expected}", code="D011"
        )
    if cuts:
        result = pd.Series(np.searchsorted(cuts, numbers, side="right"), index=words.index)
    else:
        result = (numbers > coding.above) if coding.above is not None else (numbers == 1)
    return result.astype("Int8").where(words.notna())


def texts(column: pd.Series) -> pd.Series:
    """Return the values as stripped text, missing ones as NA. 1.0 becomes '1', so that types do not matter."""
    kinds = pd.api.types
    if kinds.is_string_dtype(column.dtype) and column.dtype != object:
        return column.astype("string").str.strip()
    if kinds.is_integer_dtype(column.dtype) or kinds.is_bool_dtype(column.dtype):
        return column.astype("string")

    def text(value: Any) -> Any:
        if pd.isna(value):
            return pd.NA
        if isinstance(value, float | np.floating) and float(value).is_integer():
            return str(int(value))
        return str(value).strip()

    return pd.Series([text(value) for value in column], index=column.index, dtype="string")


def require_columns(table: pd.DataFrame, names: Iterable[str], origin: str) -> None:
    """Raise DataInvalid, with the nearest spelling, unless each name occurs as a column exactly once."""
    have = [str(name) for name in table.columns]
    for name in names:
        if name not in have:
            near = difflib.get_close_matches(name, have, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise DataInvalid(f"{origin}: no column {name!r}: {hint}it has: {', '.join(have)}", code="D010")
        if have.count(name) > 1:
            raise DataInvalid(f"{origin}: column {name!r} occurs {have.count(name)} times", code="D010")


def check_spelling(column: pd.Series, coding: Coding, origin: str) -> None:
    """Raise UnknownName unless a value of each list occurs: a misspelt one would code all rows alike."""
    words = texts(column)
    for values in (coding.one, coding.zero, *(coding.values if isinstance(coding, Attribute) else ())):
        if values and not words.isin(values).any():
            raise unknown_value(values[0], words, str(column.name), origin)


def unknown_value(value: str, words: pd.Series, column: str, origin: str) -> UnknownName:
    """Return the error of a value that a column does not have, with the nearest of those that it has."""
    have = sorted(words.dropna().unique())
    shown = have if len(have) <= 20 else (difflib.get_close_matches(value, have, n=10) or have[:10])
    return UnknownName("value", value, shown, where=f" of column '{column}' in {origin}")


def place(table: pd.DataFrame, bad: pd.Series, origin: str, column: str) -> str:
    """Return file, row and column of the first bad value."""
    first = table.loc[bad.to_numpy(dtype=bool)].iloc[0]
    return f"{origin}: row of {first['uid']}, column {column!r}"
