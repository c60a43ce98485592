"""What each table and figure of the paper is made of: data, most of it read from the numbers that were published.

A layout names the paper's tasks. Others can stand in for them: the phantom twins, or one task for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pandas as pd

from bench import taskfile
from bench.api import Task
from bench.report.numbers.published import MAIN_TABLES, everything
from bench.run.ablate import ablations
from bench.spec import name_of, parse
from bench.tasks import TASKS

SAYS = {
    **dict.fromkeys(MAIN_TABLES, "the ten methods"),
    5: "more than two groups",
    6: "random, hard and soft masks",
    7: "how importances are normalised",
    8: "both steps or one",
    9: "what of the head is set to zero between the steps",
}
ROWS = {
    "swift:mask=random": "Random mask",
    "swift:mask=hard": "Hard mask",
    "swift:normalise=zscore": "z-score",
    "swift:steps=first": "Without step 2",
    "swift:steps=second": "Without step 1",
    "swift:reinit=none": "No reset",
    "swift:reinit=full": "Full reset",
}
"""Names of the rows of ablations."""
DEFAULTS = {6: "SWiFT (soft mask)", 7: "SWiFT (min-max)", 8: "SWiFT (both steps)", 9: "SWiFT (partial reset)"}
"""What the method itself is called beside them, by table."""
NOTES = {
    6: "Hard mask: the paper shows one rate and does not say how it was chosen. All that it searched are shown, "
    "and none is chosen by its numbers on test images."
}
FIGURES = {
    "figure-3": ("skin-tone",),
    "figure-4": ("skin-tone", "cxr-age"),
    "figure-5": ("skin-tone",),
    "figure-6": ("skin-tone", "cxr-age"),
    "figure-7": ("skin-tone", "cxr-age"),
    "figure-8": ("skin-tone",),
    "figure-9": ("cxr-age",),
}
"""The tasks of each figure, all with the first backbone."""
TWINS = {
    "skin-tone": "phantom-skin-tone",
    "skin-gender": "phantom-skin-sex",
    "cxr-gender": "phantom-cxr-sex",
    "cxr-age": "phantom-cxr-age",
    "skin-tone-groups": "phantom-skin-tone-groups",
    "cxr-age-groups": "phantom-cxr-age-groups",
}
"""The phantom that stands in for each task of the paper."""
ITSELF = {name: name for name in TWINS}
GROUPS = "-groups"
"""End of the name of a task on more than two groups."""


@dataclass(frozen=True)
class Part:
    """One attribute of a table: a task of the paper, its backbone, and its first test sets, as many as are shown."""

    task: str
    backbone: str
    sets: int


@dataclass(frozen=True)
class Layout:
    """A table of the paper; `rows` gives the label by spec, in order."""

    number: int
    parts: tuple[Part, ...]
    rows: Mapping[str, str]

    @property
    def name(self) -> str:
        """Stem of its files."""
        return f"table-{self.number}"

    @property
    def says(self) -> str:
        """What it shows."""
        return SAYS[self.number]

    @property
    def grouped(self) -> bool:
        """Whether it is of more than two groups."""
        return self.parts[0].task.endswith(GROUPS)

    @property
    def note(self) -> str:
        """What only this table needs to have said, empty where there is nothing."""
        return NOTES.get(self.number, "")


@dataclass(frozen=True)
class Block:
    """A part as it is made here: a task by spec, its backbone, and how many of its test sets; None is all."""

    task: str
    backbone: str
    sets: int | None


@cache
def layouts() -> tuple[Layout, ...]:
    """Return the nine tables as the published numbers have them."""
    return tuple(_layout(int(str(number)), rows) for number, rows in everything().groupby("table"))


def blocks(layout: Layout, names: Mapping[str, str]) -> list[Block]:
    """Return a table's blocks with other tasks in place of the paper's, by name."""
    allowed = {name: taskfile.resolve(spec).backbones for name, spec in names.items()}
    return [Block(names[part.task], _backbone(allowed[part.task], part.backbone), part.sets) for part in layout.parts]


def blocks_of(spec: str, task: Task) -> list[tuple[Layout, list[Block]]]:
    """Return the tables that one task, which `spec` names, has: it stands for the paper's, with all its test sets.

    Tables 1-4 are those in which the paper has the task, or that of which it is the twin, but each backbone once; a
    task of neither has the first. A task on more than two groups, or one with such a sibling, has Table 5.
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
    parts = rows.groupby(["task", "backbone"], sort=False)["test_set"].nunique().reset_index().to_numpy()
    keys = rows[["key", "method"]].drop_duplicates().to_numpy()
    labels = dict(_row(number, spec, title) for key, title in keys for spec in _runnable(key))
    return Layout(number, tuple(Part(*part) for part in parts), labels)


def _runnable(key: str) -> list[str]:
    """A key that leaves a parameter open, such as a hard mask without its rate, is every setting of the ablation."""
    given = parse(key)
    field = next(iter(given.options), "")
    return [one for one in ablations(given.name).get(field, []) if one.startswith(f"{key},")] or [key]


def _row(number: int, spec: str, title: str) -> tuple[str, str]:
    named = next((key for key in ROWS if spec == key or spec.startswith(f"{key},")), None)
    if named is None:
        return spec, DEFAULTS.get(number, title)
    more = spec.removeprefix(named).strip(",").replace("=", " ")
    return spec, f"{ROWS[named]}, {more}" if more else ROWS[named]
