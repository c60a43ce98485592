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
from collections.abc import Iterable


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
        near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        super().__init__(f"unknown {kind} '{given}'{where}: {hint}allowed: {', '.join(names) or 'none'}")


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
