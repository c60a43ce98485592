"""Which artefacts of a report are asked for, which are there, and what makes the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.errors import UnknownName, UsageError
from bench.report.artefacts import Artefact
from bench.report.rerun_commands import once
from bench.report.task_results import Material


def chosen(every: Sequence[Artefact], only: str) -> list[Artefact]:
    """Return the artefacts that `--only` names, joined by commas.

    Raises:
        UnknownName, UsageError: for a name that is none of them, with the nearest right spelling, and for no name.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--only: name at least one of {', '.join(item.name for item in every)}")
    by_name = {item.name: item for item in every}
    for name in names:
        if name not in by_name:
            raise UnknownName("artefact", name, by_name)
    return [by_name[name] for name in dict.fromkeys(names)]


def listing(every: Iterable[Artefact], material: Material) -> list[str]:
    """Return a line for each artefact, and below it the lines that make the cells it lacks."""
    rows, below = [("name", "paper", "cells", "shows")], [[]]
    for item in every:
        there, wanted = item.count(material)
        rows.append((item.name, item.paper or "-", f"{there} of {wanted}", item.says))
        below.append(item.lines(material))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    found = []
    for row, lines in zip(rows, below, strict=True):
        found.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        found += [f"    {line}" for line in lines]
    return found


def everything(items: Iterable[Artefact], material: Material) -> list[str]:
    """Return the lines that make all cells that some artefacts lack, each cell once, below a heading; none if none."""
    lines = once(line for item in items for line in item.lines(material))
    return ["all that is missing:", *(f"    {line}" for line in lines)] if lines else []


def lacking(items: Sequence[Artefact], material: Material) -> list[str]:
    """Return how many cells are there of each artefact that lacks some, and the lines that make the others."""
    counts = {item.name: item.count(material) for item in items if item.lines(material)}
    found = [f"{name}: {there} of {wanted} cells are there" for name, (there, wanted) in counts.items()]
    return [*found, *everything(items, material)]
