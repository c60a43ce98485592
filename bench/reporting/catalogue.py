"""The artefacts that a person names, and a list of all with the commands that compute their missing cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.errors import UnknownName, UsageError
from bench.reporting.artefacts import Artefact
from bench.reporting.rerun_commands import once
from bench.reporting.task_results import TaskResults


def chosen(every: Sequence[Artefact], only: str) -> list[Artefact]:
    """Return the artefacts that `--only` names, joined by commas.

    Raises:
        UnknownName: for a name that is not among them, with the closest one.
        UsageError: without a name.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--only: name at least one of {', '.join(item.name for item in every)}")
    by_name = {item.name: item for item in every}
    for name in names:
        if name not in by_name:
            raise UnknownName("artefact", name, by_name)
    return [by_name[name] for name in dict.fromkeys(names)]


def listing(every: Sequence[Artefact], results: TaskResults) -> list[str]:
    """Return a line for each artefact with the commands that compute its missing cells, and last those for all."""
    rows, below = [("name", "paper", "cells", "shows")], [[]]
    for item in every:
        there, wanted = item.count(results)
        rows.append((item.name, item.paper or "-", f"{there} of {wanted}", item.says))
        below.append(item.lines(results))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    found = []
    for row, lines in zip(rows, below, strict=True):
        found.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        found += [f"    {line}" for line in lines]
    return [*found, *_everything(every, results)]


def lacking(items: Sequence[Artefact], results: TaskResults) -> list[str]:
    """Return how many cells each incomplete artefact has, and the commands that compute the missing ones."""
    counts = {item.name: item.count(results) for item in items if item.lines(results)}
    found = [f"{name}: {there} of {wanted} cells are there" for name, (there, wanted) in counts.items()]
    return [*found, *_everything(items, results)]


def _everything(items: Iterable[Artefact], results: TaskResults) -> list[str]:
    """Return the commands that compute all missing cells, each cell once, below a heading; empty if none is missing."""
    lines = once(line for item in items for line in item.lines(results))
    return ["all that is missing:", *(f"    {line}" for line in lines)] if lines else []
