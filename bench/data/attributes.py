"""Codes of attributes: of the one that is mitigated, of further ones that are only measured, and of crossings.

A further attribute `sex` is the column `also_sex` of a sample table: the number of the group, or -1 where it is not
known. It decides on nothing that is trained, so that it is no part of the identity of a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

import numpy as np
import pandas as pd

from bench.api import NO_GROUP, Attribute, Coding, Task
from bench.data.columns import check_spelling, coded, require_columns, texts
from bench.errors import UsageError

UNIT = "unit"
"""The column of a sample table with the unit of each image, as text; empty where it is not known."""
ALSO = "also_"
"""Prefix of the column of a further attribute in a sample table."""
Also = Mapping[str, Attribute]
"""Further attributes by name."""
NONE: Also = MappingProxyType({})
FEWEST = 20
"""Of fewer images nobody can tell whether two attributes coincide."""
Read = list[tuple[Coding, pd.DataFrame]]
"""How the rows of a table are read by some codings: word, code and why, as `bench.data.columns.coded` returns them."""


def parts_of(attribute: Attribute, also: Also) -> dict[str, Attribute]:
    """Return the attributes whose columns decide on the groups: those of a crossing, or the attribute itself."""
    return {name: also[name] for name in attribute.cross} or {attribute.column: attribute}


def read_attribute(
    rows: pd.DataFrame, attribute: Attribute, also: Also, origin: str, whole: pd.DataFrame
) -> tuple[pd.DataFrame, Read]:
    """Return code and why of the mitigated attribute, row by row, and how each of its columns is read."""
    read: Read = [(one, coded(rows, one, origin, whole)) for one in parts_of(attribute, also).values()]
    if not attribute.cross:
        return read[0][1][["code", "why"]], read
    code = crossed([found["code"].fillna(NO_GROUP).to_numpy(int) for _, found in read], [len(c.names) for c, _ in read])
    why = pd.Series("", index=rows.index)
    for _, found in read:
        why = why.mask(why == "", found["why"])
    known = pd.Series(code, index=rows.index).astype("Int8")
    return pd.DataFrame({"code": known.mask(known == NO_GROUP), "why": why}), read


def crossed(codes: Sequence[np.ndarray], groups: Sequence[int]) -> np.ndarray:
    """Return the group (N,) of each combination, the last attribute changing fastest; -1 where one is not known."""
    code = np.zeros(len(codes[0]), dtype=int)
    for one, number in zip(codes, groups, strict=True):
        code = code * number + one
    return np.where(np.min(codes, axis=0) < 0, NO_GROUP, code)


def further_codes(rows: pd.DataFrame, also: Also, origin: str, whole: pd.DataFrame, unit: str = "") -> pd.DataFrame:
    """Return the columns of further attributes, int8; -1 in all rows of a table that lacks the column; and of the unit.

    `attrs` holds what `check_further` reads: the attributes whose column is lacking, the columns of the table, and the
    words in those that are coded by lists.
    """
    found, lacking = pd.DataFrame(index=rows.index), []
    if unit:
        found[UNIT] = texts(rows[unit]).fillna("").astype(str)
    for name, one in also.items():
        if one.column not in whole.columns:
            lacking.append(name)
            found[ALSO + name] = np.int8(NO_GROUP)
            continue
        require_columns(whole, [one.column], origin)
        found[ALSO + name] = coded(rows, one, origin, whole)["code"].fillna(NO_GROUP).astype("int8")
    if also:
        words = {name: texts(whole[one.column]) for name, one in also.items() if one.lists and name not in lacking}
        found.attrs["lacks_also"] = lacking
        found.attrs["columns"] = [*whole.attrs.get("columns", whole.columns)]
        found.attrs["words"] = {name: sorted(found.dropna().unique()) for name, found in words.items()}
    return found


def check_further(tables: Mapping[str, pd.DataFrame], task: Task) -> None:
    """Refuse further attributes that no table has, values that none has, and attributes that coincide.

    Raises:
        UsageError: with the table of the task file that is to change.
        DataInvalid, UnknownName: no such column or value; the message has the nearest spelling.
    """
    if not task.also:
        return
    every = list(tables.values())
    for name, one in task.also.items():
        if all(name in table.attrs["lacks_also"] for table in every):
            columns = every[0].attrs["columns"]
            require_columns(pd.DataFrame(columns=columns), [one.column], f"[also.{name}]: {every[0].attrs['file']}")
        known = [code for table in every for code in table[ALSO + name].unique()]
        for group, values in enumerate(one.lists):
            if values and group not in known:
                column = pd.concat([pd.Series(table.attrs["words"].get(name, ()), dtype=str) for table in every])
                check_spelling(column.rename(one.column), one, f"[also.{name}]")
    codes = {name: pd.concat([table[ALSO + name] for table in every]).to_numpy() for name in task.also}
    if not task.attribute.cross:
        codes["attribute"] = pd.concat([table["a"] for table in every]).to_numpy()
    for first, second in combinations(codes, 2):
        if _coincide(codes[first], codes[second]):
            named = [f"[{name}]" if name == "attribute" else f"[also.{name}]" for name in (first, second)]
            raise UsageError(f"{' and '.join(named)} coincide: they divide the images in the same way; delete one")


def check_crossing(source: pd.DataFrame, attribute: Attribute) -> None:
    """Raise UsageError where a mitigated crossing has groups without an image in the source."""
    if not attribute.cross:
        return
    there = set(source["a"].unique())
    if empty := [name for code, name in enumerate(attribute.names) if code not in there]:
        raise UsageError(
            f"cross = {list(attribute.cross)}: no image of the source is in {', '.join(map(repr, empty))}: join groups "
            "of the attributes, or cross fewer"
        )


def _coincide(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether each group of one attribute is one of the other, over all images where both are known."""
    both = (one >= 0) & (other >= 0)
    pairs: Iterable[tuple[int, int]] = set(zip(one[both].tolist(), other[both].tolist(), strict=True))
    firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
    enough = int(both.sum()) >= FEWEST and len(firsts) > 1
    return enough and len(set(firsts)) == len(firsts) and len(set(seconds)) == len(seconds)
