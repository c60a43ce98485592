"""What a person reads of the sets of a task before anything is trained: rows, reasons, rates, values, and notes."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.api import Task
from bench.data.sample_table import REASONS
from bench.data.task_data import TaskData

SHOWN = 8
"""Values of a group that are named; the others are counted."""


def set_lines(data: TaskData) -> list[str]:
    """Return, for each set, one line of rows, used and left out, one for each column and group, and its notes."""
    return [line for name, table in data.tables.items() for line in _of_set(name, table, data.task)]


def _of_set(name: str, table: pd.DataFrame, task: Task) -> Iterable[str]:
    facts, positive = table.attrs, int(table["y"].sum())
    yield (
        f"{name}: {facts['rows']} rows, {len(table)} images used, {positive} of them {task.label.names[1]} "
        f"({positive / len(table):.1%})"
    )
    for reason, n in facts["left_out"].items():
        yield f"  left out: {n} row{'s' * (n != 1)}, {REASONS.get(reason, reason)} ({reason})"
    for column, values in facts["values"].items():
        groups = dict.fromkeys(value["is"] for value in values)
        for group in groups:
            of_group = sorted((value for value in values if value["is"] == group), key=lambda value: -value["n"])
            shown = ", ".join(f"{value['value']!r} ({value['n']})" for value in of_group[:SHOWN])
            more = sum(value["n"] for value in of_group[SHOWN:])
            rest = f" and {len(of_group) - SHOWN} other values ({more})" if more else ""
            yield f"  {column}, {group}: {shown}{rest}"
    yield from (f"  note: {note}" for note in facts["notes"])
