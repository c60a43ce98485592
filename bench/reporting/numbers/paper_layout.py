"""The layout of each table and figure of the paper, from `paper.toml` and the published numbers.

A layout names the paper's tasks. Other tasks can replace them: the phantom twins, or one task for all of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from bench import taskfile
from bench.api import Task
from bench.reporting.numbers.published import MAIN_TABLES, everything
from bench.running.ablate import ablations
from bench.running.plan import under
from bench.spec import name_of, parse
from bench.tasks import TASKS

_PAPER = tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))
FIGURES: Mapping[str, list[str]] = _PAPER["figures"]
"""The tasks of each figure."""
TWINS: Mapping[str, str] = _PAPER["twins"]
"""The phantom that replaces each task of the paper."""
ITSELF = {name: name for name in TWINS}
GROUPS = "-groups"
"""End of the name of a task with more than two groups."""


@dataclass(frozen=True)
class Block:
    """One attribute of a table: a task by spec, its backbone, and how many of its first test sets; None for all."""

    task: str
    backbone: str
    sets: int | None


@dataclass(frozen=True)
class Layout:
    """A table of the paper: what it says, its blocks, the labels of its rows by spec, in order, and its own note."""

    number: int
    says: str
    parts: tuple[Block, ...]
    rows: Mapping[str, str]
    note: str = ""

    @property
    def name(self) -> str:
        """Stem of its files."""
        return f"table-{self.number}"

    def under(self, preset: str) -> dict[str, str]:
        """Return the spec of each row under a preset, by the spec in `rows`."""
        return {spec: under(spec, preset) for spec in self.rows}

    @property
    def grouped(self) -> bool:
        """Whether it shows more than two groups."""
        return self.parts[0].task.endswith(GROUPS)


@cache
def layouts() -> tuple[Layout, ...]:
    """Return the nine tables as the published numbers have them."""
    return tuple(_layout(int(str(number)), rows) for number, rows in everything().groupby("table"))


def tasks(*, twins: bool, preset: str = "suite") -> dict[str, str]:
    """Return the spec of the task that stands for each task of the paper: itself or its twin, under a preset."""
    return {name: taskfile.vary(TWINS[name] if twins else name, "preset", preset) for name in TWINS}


def blocks(layout: Layout, names: Mapping[str, str]) -> list[Block]:
    """Return a table's blocks with other tasks in place of the paper's, by name."""
    allowed = {name: taskfile.resolve(spec).backbones for name, spec in names.items()}
    return [Block(names[part.task], _backbone(allowed[part.task], part.backbone), part.sets) for part in layout.parts]


def blocks_of(spec: str, task: Task) -> list[tuple[Layout, list[Block]]]:
    """Return the tables of one task, which `spec` names: it replaces the paper's tasks, with all its test sets.

    A task of the paper, or the twin of one, has those of Tables 1-4 that contain the task, each backbone once; any
    other task has the first. A task with more than two groups, or with such a sibling, has Table 5.
    """
    base = name_of(spec)
    paper = {**{twin: name for name, twin in TWINS.items()}, **ITSELF}.get(base)
    sibling = spec.replace(base, f"{base}{GROUPS}", 1) if f"{base}{GROUPS}" in TASKS else ""
    found: list[tuple[Layout, list[Block]]] = []
    for layout in layouts():
        used = spec if layout.grouped == task.attribute.grouped else sibling if layout.grouped else ""
        among = layout.number == 1 if paper is None else paper in {part.task for part in layout.parts}
        if not used or (layout.number in MAIN_TABLES and not among):
            continue
        allowed = task.backbones if used == spec else taskfile.resolve(used).backbones
        block = Block(used, _backbone(allowed, layout.parts[0].backbone), None)
        if (layout.rows, [block]) not in [(other.rows, made) for other, made in found]:
            found.append((layout, [block]))
    return found


def _backbone(allowed: tuple[str, ...], papers: str) -> str:
    return papers if papers in allowed else allowed[0]


def _layout(number: int, rows: pd.DataFrame) -> Layout:
    about = _PAPER["tables"][str(number)]
    parts = rows.groupby(["task", "backbone"], sort=False)["test_set"].nunique().reset_index().to_numpy()
    keys = rows[["key", "method"]].drop_duplicates().to_numpy()
    labels = {spec: _label(spec, about.get("default", title)) for key, title in keys for spec in runnable(key)}
    return Layout(number, about["says"], tuple(Block(*part) for part in parts), labels, about.get("note", ""))


def runnable(key: str) -> list[str]:
    """Return all settings of the ablation for a key that leaves a parameter open, such as a hard mask without rate."""
    spec = parse(key)
    field = next(iter(spec.options), "")
    return [one for one in ablations(spec.name).get(field, []) if one.startswith(f"{key},")] or [key]


def _label(spec: str, default: str) -> str:
    named = next((key for key in _PAPER["rows"] if spec == key or spec.startswith(f"{key},")), None)
    if named is None:
        return default
    more = spec.removeprefix(named).strip(",").replace("=", " ")
    return f"{_PAPER['rows'][named]}, {more}" if more else _PAPER["rows"][named]
