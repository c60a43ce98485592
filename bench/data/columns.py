"""Columns of a table: values as text whatever their type, labels coded as 0 and 1, groups as 0 to G-1."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bench.api import Attribute, Coding
from bench.data.ages import OLDEST, SENTINELS, intervals, is_age
from bench.errors import DataInvalid, UnknownName

UNKNOWN = frozenset({"", "?", "unknown", "unk", "missing", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null"})
"""Words, in lower case, for an unknown value."""


def coded(table: pd.DataFrame, coding: Coding, origin: str, whole: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return how the column of `coding` is read, row by row; `whole` is the table of which these are some rows.

    Columns: `word`, the value as the table writes it (text); `code`, Int8 in {0, 1, NA}, of an attribute with `cuts` or
    `values` in {0..G-1, NA}; `why`, empty or the reason why the code is NA:

    MISSING     an empty field, a word that means "not known", or a value of `unknown`
    NOT_LISTED  a value that the task lists in no group
    IMPOSSIBLE  an impossible number, such as an age of 412
    AMBIGUOUS   a range of numbers, such as `[60-70)`, that belongs to two groups

    Raises:
        DataInvalid: a value is not a number (with `above` or `cuts`), or neither 0 nor 1 (without any coding).
    """
    words = texts(table[coding.column]).fillna("").astype(str)
    group = {value: number for number, listed in enumerate(coding.lists) for value in listed}
    missing = (words.str.lower().isin(UNKNOWN) | words.isin(coding.unknown)) & ~words.isin(group)
    why = pd.Series("", index=words.index).mask(missing, "MISSING")
    if group:
        code = words.map(group).astype("Int8")
        if coding.rest:
            code = code.fillna(int(not coding.one)).astype("Int8")
    elif coding.bounds:
        values = texts((table if whole is None else whole)[coding.column])
        code, odd = _cut(words.mask(missing), coding, plausible(values, coding))
        _refuse(table, coding.column, words, odd == "NO_NUMBER", origin, "a number expected")
        why = why.mask(odd != "", odd)
    else:
        truth = words.str.lower().replace({"true": "1", "false": "0"})
        numbers = pd.to_numeric(truth.mask(missing).astype(object), errors="coerce")
        wanted = "0, 1 or nothing expected; name other values with `one` and `zero`, or cut numbers with `above`"
        _refuse(table, coding.column, words, ~missing & ~numbers.isin((0, 1)), origin, wanted)
        code = (numbers == 1).astype("Int8")
    code = code.mask(why != "")
    return pd.DataFrame({"word": words, "code": code, "why": why.mask(code.isna() & (why == ""), "NOT_LISTED")})


def _cut(words: pd.Series, coding: Coding, allowed: tuple[float, float]) -> tuple[pd.Series, pd.Series]:
    """Return the group of each number or range (Int8), and why it has none."""
    found = intervals(words)
    low, high = found["low"], found["high"]
    if isinstance(coding, Attribute) and coding.cuts:  # a band begins at its cut, and a range ends before its last year
        single = low == high
        first, last = np.searchsorted(coding.cuts, low, "right"), np.searchsorted(coding.cuts, high, "left")
        last = np.where(single, first, last)
    else:
        first, last = (low > coding.above) | ((low == coding.above) & (high > low)), high > coding.above
    least, most = allowed
    odd = pd.Series("", index=words.index)
    odd = odd.mask(np.asarray(first) != np.asarray(last), "AMBIGUOUS")
    odd = odd.mask(((low < least) & np.isfinite(low)) | ((high > most) & np.isfinite(high)), "IMPOSSIBLE")
    odd = odd.mask(low.isna() | (low > high), "NO_NUMBER").mask(words.isna(), "")
    return pd.Series(np.asarray(first), index=words.index).astype("Int8"), odd


def plausible(column: pd.Series, coding: Coding) -> tuple[float, float]:
    """Return the range of numbers that a column can hold; others are not known.

    Ages (by the name of the column, or a unit beside a number) are 0 to 120. In other columns, a code such as -1 or -99
    means "not known" if all negative numbers of the column are such codes.
    """
    values = column.dropna().unique()
    if is_age(coding.column) or any(word[-1:] in "YMWD" for word in values):
        return 0, OLDEST
    low = intervals(pd.Series(values, dtype="string"))["low"]
    negative = low[low < 0]
    return (0 if len(negative) and negative.isin(SENTINELS).all() else -np.inf), np.inf


def _refuse(table: pd.DataFrame, column: str, words: pd.Series, bad: pd.Series, origin: str, wanted: str) -> None:
    if bad.any():
        text = f"{place(table, bad, origin, column)} is {words[bad].iloc[0]!r}: {wanted}"
        raise DataInvalid(
            f"{text}, or nothing where it is not known (`unknown` of a task file lists other words for that)",
            code="D011",
        )


def texts(column: pd.Series) -> pd.Series:
    """Return the values as stripped text, missing ones as NA; 1.0 reads '1', so that types do not matter."""
    if column.dtype == object:
        column = pd.Series([pd.NA if pd.isna(value) else str(value) for value in column], index=column.index)
    words = column.astype("string").str.strip()
    return words.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def require_columns(table: pd.DataFrame, names: Iterable[str], origin: str) -> None:
    """Raise DataInvalid, with the nearest spelling, unless each name occurs as a column exactly once."""
    have = [str(name) for name in table.columns]
    written = table.attrs.get("columns", have)  # the suite adds some
    for name in names:
        if name not in have:
            near = difflib.get_close_matches(name, written, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise DataInvalid(f"{origin}: no column {name!r}: {hint}it has: {', '.join(written)}", code="D010")
        if have.count(name) > 1:
            raise DataInvalid(f"{origin}: column {name!r} occurs {have.count(name)} times", code="D010")


def check_spelling(column: pd.Series, coding: Coding, origin: str) -> None:
    """Raise UnknownName unless a value of each list occurs: a misspelt one would code all rows alike."""
    words = texts(column).fillna("")
    for values in coding.lists:
        if values and not words.isin(values).any():
            raise unknown_value(values[0], words, str(column.name), origin)


def unknown_value(value: str, words: pd.Series, column: str, origin: str) -> UnknownName:
    """Return the error of a value that a column does not have, with the nearest of those that it has."""
    have = sorted(words[words != ""].unique())
    shown = have if len(have) <= 20 else (difflib.get_close_matches(value, have, n=10) or have[:10])
    return UnknownName("value", value, shown, where=f" of column '{column}' in {origin}")


def place(table: pd.DataFrame, bad: pd.Series, origin: str, column: str) -> str:
    """Return file, row and column of the first bad value."""
    first = table.loc[bad.to_numpy(dtype=bool)].iloc[0]
    return f"{origin}: row of {first['uid']}, column {column!r}"
