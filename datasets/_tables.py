"""Columns of official tables as columns of the suite: words, numbers, ages, skin types, and reasons to drop a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from bench.errors import DataInvalid

SEX = {"female": 1, "f": 1, "male": 0, "m": 0, "unknown": None}
FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""The findings of MIMIC-CXR and CheXpert, as in the headers of their tables."""
CLASSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
"""The columns of diagnoses in the tables of ISIC 2019."""
TONES = "isic_train_20-19-18-17.csv"
"""The table of skin types of ISIC's images."""


def coded(rows: pd.DataFrame, column: str, codes: Mapping[str, int | None]) -> pd.Series:
    """Return a column of words as Int8: `codes` maps them, in lower case, to 0, 1 or None (unknown).

    Raises:
        DataInvalid: `codes` does not have a word.
    """
    words = rows[column].str.lower()
    refuse(rows, column, words.notna() & ~words.isin(list(codes)), f"allowed: {', '.join(codes)}")
    return words.map({word: code for word, code in codes.items() if code is not None}).astype("Int8")


def numbers(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as Float32; raise DataInvalid for a value that is not a number."""
    values = pd.to_numeric(rows[column].astype(object), errors="coerce").astype("Float32")
    refuse(rows, column, rows[column].notna() & values.isna(), "a number expected")
    return values


def years(rows: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    """Return ages in years (Float32), and which of them are impossible (over 120) and therefore unknown.

    Forms such as `58`, `58.0`, `058Y`, `013M` and `004D` are read.
    """
    parts = rows[column].str.extract(r"^(\d+(?:\.\d*)?)\s*([YMD]?)$", flags=2)
    refuse(rows, column, rows[column].notna() & parts[0].isna(), "years, or a number with Y, M or D, expected")
    value, unit = parts[0].astype("Float64"), parts[1].str.upper()
    age = value / unit.map({"M": 12.0, "D": 365.0}).fillna(1.0).astype("Float64")
    impossible = (age > 120).fillna(False).astype(bool)
    return age.mask(impossible).astype("Float32"), impossible


def known_age(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return ages in years (Float32) of a release in which 0 means unknown."""
    age, _ = years(rows, column)
    return age.mask((age == 0).fillna(False).astype(bool))


def dark(fst: pd.Series) -> pd.Series:
    """Return 1 for Fitzpatrick types 4 to 6, 0 for 1 to 3 (Int8)."""
    return (fst >= 4).astype("Int8")


def skin_type(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return Fitzpatrick types 1 to 6 as Int8; -1 and 0 mean unknown.

    Raises:
        DataInvalid: there is another value.
    """
    values = numbers(rows, column)
    refuse(rows, column, values.notna() & ~values.isin([-1, 0, 1, 2, 3, 4, 5, 6]), "1 to 6 expected, or -1")
    return values.mask((values < 1).fillna(True)).astype("Int8")


def joined(rows: pd.DataFrame, more: pd.DataFrame, on: list[str]) -> pd.DataFrame:
    """Return `rows` with the columns of `more`; `there` says whether `more` has the row.

    Raises:
        DataInvalid: `more` has two rows with the same key.
    """
    refuse(more, on[-1], more.duplicated(on), f"a second row of one {' and '.join(on)}", "D013")
    result = rows.merge(more.assign(there=True), how="left", on=on, validate="many_to_one")
    result["there"] = result["there"].eq(True).fillna(False).astype(bool)
    result.attrs = dict(rows.attrs)
    return result


def reasons(index: pd.Index, rules: Iterable[tuple[str, pd.Series]]) -> pd.Series:
    """Return the reason to drop each row, by the first rule that applies, or an empty text."""
    drop = pd.Series("", index=index, dtype=object)
    for code, applies in rules:
        drop = drop.mask((drop == "") & applies.fillna(False).astype(bool), code)
    return drop


def refuse(rows: pd.DataFrame, column: str, bad: pd.Series, expected: str, code: str = "D011") -> None:
    """Raise DataInvalid with file, row (the header being 1) and column of the first bad value, if there is any."""
    bad = bad.fillna(False).astype(bool)
    if bad.any():
        at = int(bad.to_numpy().argmax())
        file = rows.attrs.get("file", "table")
        more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
        raise DataInvalid(
            f"{file}: row {at + 2}, column {column!r}: {rows[column].iloc[at]!r}{more}: {expected}", code=code
        )
