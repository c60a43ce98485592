"""Numbers as tables write them, ages above all: `58`, `58.0`, `058Y`, `008M`, `040W`, `[60-70)`, `89+`."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

OLDEST = 120
"""Years; an age above it is not known."""
SENTINELS = (-1, -9, -99, -999, -9999)
"""Negative numbers that tables write for "not known"."""
_UNITS = {"y": 1, "m": 12, "w": 365 / 7, "d": 365}
_NUMBER = r"([+-]?\d+(?:[.,]\d+)?(?:e[+-]?\d+)?)"
_WORDS = r"y(?:ears?|rs?|o)?|m(?:onths?|os?)?|w(?:eeks?|ks?)?|d(?:ays?)?"
_SINGLE = rf"{_NUMBER}\s*(?:({_WORDS})(?:[ -]old)?)?"
_RANGE = rf"[\[(]?\s*{_NUMBER}\s*(?:-|–|—|to|,|;|\.\.)\s*{_NUMBER}\s*[\])]?"
_OPEN = rf"(>=|≥|>|<=|≤|<)?\s*{_NUMBER}\s*(\+|plus|and (?:older|over|above))?"


def is_age(column: str) -> bool:
    """Return whether the name of a column says that it holds ages: `age`, `PatientAge`, `anchor_age`, `Age (years)`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).casefold()
    return re.search(r"(?<![a-z])ages?(?![a-z])", words) is not None


def intervals(words: pd.Series) -> pd.DataFrame:
    """Return `low` and `high` (float64) of every text: equal for one number, NaN for what is no number.

    Numbers with a unit (years, months, weeks, days) come out in years. `89+` and `>89` have no end (inf).
    """
    codes, values = pd.factorize(words)  # what is not known is -1, the last row
    pairs = np.array([*(_interval(str(word).strip()) for word in values), (np.nan, np.nan)])
    return pd.DataFrame(pairs[codes], columns=["low", "high"], index=words.index)


def _interval(word: str) -> tuple[float, float]:
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+", word):
        return np.nan, np.nan  # 1,234 may be a thousand and more, or a little more than one
    if match := re.fullmatch(_SINGLE, word, re.IGNORECASE):
        value = _number(match[1]) / _UNITS[(match[2] or "y")[0].lower()]
        return value, value
    if match := re.fullmatch(_RANGE, word, re.IGNORECASE):
        return _number(match[1]), _number(match[2])
    if (match := re.fullmatch(_OPEN, word, re.IGNORECASE)) and (match[1] or match[2]):
        value = _number(match[2])
        return (-np.inf, value) if (match[1] or "").startswith(("<", "≤")) else (value, np.inf)
    return np.nan, np.nan


def _number(word: str) -> float:
    value = float(word.replace(",", "."))
    return value if np.isfinite(value) else np.nan
