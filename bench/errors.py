"""Every error that `bench` raises on purpose, and the exit code the command line gives for it.

    BenchError            1   something failed; finished cells are kept
    ├── UsageError        2   a name, parameter or value that is not allowed
    │   └── UnknownName   2   ... with the nearest right spelling
    ├── DataError         3   data that cannot be used as they are
    │   ├── DataMissing   3   a missing file or folder
    │   └── DataInvalid   3   a file, row or column with a value that is not allowed
    ├── NotWritten        1   a folder that cannot be written, or a full disk
    ├── PluginBroken      1   a plugin file that cannot be imported or breaks the contract
    ├── UndeclaredSplit   1   a method that reads a split it does not declare in `uses`
    ├── BatchTooLarge     1   a batch that does not fit in memory and cannot be split
    ├── EmptyGroup        1   a fold in which a method or a metric has no images of a group
    └── NonFinite         1   a model with NaN or infinite weights or logits

A run that is interrupted exits with 130.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from math import inf

_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Controls, which a terminal obeys, and marks that change the direction of the text after them. Lines and tabs stay."""


def clean(text: object) -> str:
    """Return a text without controls of terminals and marks of direction; each run of them becomes a space."""
    return _INVISIBLE.sub(" ", str(text))


_FORMULA, _NUMBER = re.compile(r"'*\s*[=+\-@\t]"), re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def no_formula(text: str) -> str:
    """Return a cell of a CSV that no spreadsheet computes: an apostrophe before a formula makes a text of it.

    One that has an apostrophe already gets another, so that no two texts become the same.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def of_no_formula(cell: str) -> str:
    """Return the text of which `no_formula` made a cell."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def number_of(number: int, noun: str) -> str:
    """Return a number with its noun: `1 fold`, `5 folds`."""
    return f"{number} {noun}{'s' * (number != 1)}"


class BenchError(Exception):
    """Base class of every error whose message is meant for the user."""

    exit_code = 1


class UsageError(BenchError):
    """A command, name, parameter or value that is not allowed."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is not registered; the message suggests the nearest right spellings."""

    def __init__(self, kind: str, given: str, allowed: Iterable[str], *, where: str = "") -> None:
        names = list(allowed)
        near = nearest(given, names)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        super().__init__(f"unknown {kind} '{given}'{where}: {hint}allowed: {', '.join(names) or 'none'}")


def nearest(given: str, names: list[str]) -> list[str]:
    """Return the names that were probably meant: those of the same letters, else at most three similar ones."""
    same = [name for name in names if _letters(name) == _letters(given)]
    return same or difflib.get_close_matches(given, names, n=3, cutoff=0.5)


def _letters(name: str) -> str:
    """Return a name without what people confuse: capitals, dashes, and the s of a plural."""
    return re.sub(r"[-_]", "", name.lower()).removesuffix("s")


class DataError(BenchError):
    """Data that cannot be used as they are; `code` is the code of `bench doctor`, if there is one."""

    exit_code = 3

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DataMissing(DataError):
    """A missing file or folder; the message says where to get it."""

    def __init__(self, looked_for: str, *, get_it: str, code: str = "D002") -> None:
        super().__init__(f"{looked_for} not found. {get_it}", code=code)


class DataInvalid(DataError):
    """A file whose content breaks the contract; the message names file, row and column."""


class NotWritten(BenchError):
    """A folder that cannot be written, or a full disk. It ends a run, because no later cell could be stored either."""


class PluginBroken(BenchError):
    """A plugin that cannot be imported or breaks the contract of `bench.api`."""


class UndeclaredSplit(BenchError):
    """A method read a split that its `uses` does not name."""


class BatchTooLarge(BenchError):
    """A batch that does not fit in memory; splitting it would change the method, or its parts do not fit either."""


class EmptyGroup(BenchError):
    """A fold without images of a group (or of a class within it) that the step needs."""


class NonFinite(BenchError):
    """A model with NaN or infinite parameters, buffers or logits."""


def seconds_of(variable: str, default: float, *, zero: bool = False) -> float:
    """Return a number of seconds from the environment, above 0, or 0 too; raise UsageError for anything else."""
    text = os.environ.get(variable, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not (0 < seconds < inf or (zero and seconds == 0)):
        raise UsageError(f"the environment variable {variable} is {text!r}: seconds expected, such as {default}")
    return seconds
