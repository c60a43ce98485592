"""What a person reads of the sets of a task before anything is trained: rows, reasons, rates, values, and notes."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.api import Label, Task
from bench.data.sample_table import REASONS, without_group
from bench.data.set_facts import set_facts
from bench.data.task_data import TaskData
from bench.errors import number_of

FEWEST = 10
"""Of fewer images of a class in a group, a set of a finding has no gap."""


def set_lines(data: TaskData) -> list[str]:
    """Return, for each set, one line of rows, used and left out, one for each column and group, and its notes."""
    return [line for name, table in data.tables.items() for line in lines_of_set(name, table, data.task.label)]


def finding_lines(data: TaskData) -> list[str]:
    """Return a line on the finding of a task of several: in each set, its images and their number in each group.

    Sets are named in which a group has too few images of a class for a gap. There is no line for a task of one label.
    """
    if not data.task.finding:
        return []
    parts, few = [], []
    for name, table in data.tables.items():
        counts = counts_of(table, data.task)
        groups = ", ".join(f"{group} {of_class[1]}" for group, of_class in counts.items())
        known, positives = len(table), int(table["y"].sum())
        parts.append(f"{name} {positives} of {known} ({positives / known:.1%}: {groups})" if known else f"{name} none")
        if any(n < FEWEST for of_class in counts.values() for n in of_class):
            few.append(name)
    line = f"finding {data.task.finding}: {'; '.join(parts)}"
    if few:
        line += f"; a group has fewer than {FEWEST} images of a class: {', '.join(few)}"
    return [line]


def counts_of(table: pd.DataFrame, task: Task) -> dict[str, tuple[int, int]]:
    """Return how many images of class 0 and of class 1 each group of a set has."""
    names = task.attribute.names
    return {
        name: (int(((table["y"] == 0) & of_group).sum()), int(((table["y"] == 1) & of_group).sum()))
        for name, of_group in ((name, table["a"] == code) for code, name in enumerate(names))
    }


def lines_of_set(name: str, table: pd.DataFrame, label: Label) -> Iterable[str]:
    """Yield the lines of a set from its sample table."""
    facts = set_facts(table, label)
    yield facts.says(name)
    for reason, n in table.attrs["left_out"].items():
        yield f"  left out: {number_of(n, 'row')}, {REASONS.get(reason, reason)} ({reason})"
    for reason, n in without_group(table).items():
        yield f"  without a group: {number_of(n, 'image')}, {REASONS[reason]} ({reason}); in the AUC, in no gap"
    for column, became in dict.fromkeys((value.column, value.became) for value in facts.values):
        shown = [value for value in facts.values if (value.column, value.became) == (column, became)]
        yield f"  {column}, {became}: {', '.join(f'{value.text} ({value.rows})' for value in shown)}"
    yield from (f"  note: {note}" for note in table.attrs["notes"])
