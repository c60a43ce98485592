"""Which artefacts of a report are asked for, which are there, and what makes the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.errors import UnknownName, UsageError
from bench.report.artefacts import Artefact
from bench.report.material import Material


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
    """Return a line for each artefact, and below it the commands that make what it lacks."""
    rows, below = [("name", "paper", "cells", "shows")], [[]]
    for item in every:
        there, wanted = item.count(material)
        rows.append((item.name, item.paper or "-", f"{there} of {wanted}", item.says))
        below.append(item.missing(material))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row, commands in zip(rows, below, strict=True):
        lines.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"    {command}" for command in commands]
    return lines


def lacking(items: Iterable[Artefact], material: Material) -> list[str]:
    """Return, for each artefact whose cells are missing, how many are, and the commands that make them."""
    lines = []
    for item in items:
        if commands := item.missing(material):
            there, wanted = item.count(material)
            lines.append(f"{item.name}: {there} of {wanted} cells are there; this makes the others:")
            lines += [f"    {command}" for command in commands]
    return lines
