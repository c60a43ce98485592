"""What a person reads of the sets of a task before anything is trained: rows, reasons, rates, values, and notes."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.api import Label
from bench.data.sample_table import REASONS, without_group
from bench.data.set_facts import set_facts
from bench.data.task_data import TaskData


def set_lines(data: TaskData) -> list[str]:
    """Return, for each set, one line of rows, used and left out, one for each column and group, and its notes."""
    return [line for name, table in data.tables.items() for line in lines_of_set(name, table, data.task.label)]


def lines_of_set(name: str, table: pd.DataFrame, label: Label) -> Iterable[str]:
    """Yield the lines of a set from its sample table."""
    facts = set_facts(table, label)
    yield facts.says(name)
    for reason, n in table.attrs["left_out"].items():
        yield f"  left out: {n} row{'s' * (n != 1)}, {REASONS.get(reason, reason)} ({reason})"
    for reason, n in without_group(table).items():
        yield f"  without a group: {n} image{'s' * (n != 1)}, {REASONS[reason]} ({reason}); in the AUC, in no gap"
    for column, became in dict.fromkeys((value.column, value.became) for value in facts.values):
        shown = [value for value in facts.values if (value.column, value.became) == (column, became)]
        yield f"  {column}, {became}: {', '.join(f'{value.text} ({value.rows})' for value in shown)}"
    yield from (f"  note: {note}" for note in table.attrs["notes"])
