"""The facts of a set that a person should read: its rows, its label rate, and what became of each value of its table.

`bench doctor` and the first lines of a run show them (`bench.data.set_lines`), and cells store them for reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import msgspec

from bench.errors import number_of

if TYPE_CHECKING:  # stored cells are read where nothing needs tables
    import pandas as pd

    from bench.api import Label

SHOWN = 8
"""Values of a group that are named; the others are counted together."""
LONGEST = 60
"""Characters that are shown of a value."""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
"""A number of rows or images, as it may stand in a file from elsewhere."""


@dataclass(frozen=True)
class Value:
    """A value of a column as the table writes it, the number of its rows, and the class or group that it became.

    `others` is the number of values that are counted together and not named; `value` is empty then. A `span` holds all
    numbers of a group and is written as the smallest and the largest.
    """

    column: str
    value: str
    rows: int
    became: str
    others: int = 0
    span: bool = False

    @property
    def text(self) -> str:
        """The value in quotes, or how many others there are."""
        return number_of(self.others, "other value") if self.others else repr(self.value)


@dataclass(frozen=True)
class SetFacts:
    """One set of a task as it was read.

    Args:
        rows: rows of the set before any is left out.
        images: images that are used.
        label: the name of class 1, as the table codes it.
        positives: images of class 1; None where it is suppressed.
        values: of the columns of label and attribute; of each class or group, those of the most rows come first.
    """

    rows: Count
    images: Count
    label: str
    positives: Count | None
    values: tuple[Value, ...] = ()

    def says(self, name: str) -> str:
        """Return size and label rate of the set, called `name`, in a line."""
        size = f"{name}: {self.rows} rows, {self.images} images used"
        if self.positives is None:
            return size
        return f"{size}, {self.positives} of them {self.label} ({self.positives / self.images:.1%})"


def set_facts(table: pd.DataFrame, label: Label) -> SetFacts:
    """Return the facts of a set from its sample table."""
    positives = int(table["y"].sum())
    return SetFacts(table.attrs["rows"], len(table), label.names[1], positives, table.attrs["values"])


def most_frequent(values: Iterable[Value]) -> tuple[Value, ...]:
    """Return the `SHOWN` most frequent values of each column and group, cut to `LONGEST`, and the others together."""
    groups = [sorted(mine, key=lambda value: -value.rows) for mine in _by_group(values).values()]
    shown = {value for mine in groups for value in mine[:SHOWN]}
    return tuple(replace(one, value=_short(one.value)) for one in together(chain(*groups), shown.__contains__))


def together(values: Iterable[Value], named: Callable[[Value], bool]) -> tuple[Value, ...]:
    """Return the values that are `named`, and after those of each column and group the others, counted together."""
    found: list[Value] = []
    for (column, became), mine in _by_group(values).items():
        found += filter(named, mine)
        if rest := [value for value in mine if not named(value)]:
            number = sum(value.others or 1 for value in rest)
            found.append(Value(column, "", sum(value.rows for value in rest), became, others=number))
    return tuple(found)


def _by_group(values: Iterable[Value]) -> dict[tuple[str, str], list[Value]]:
    found: dict[tuple[str, str], list[Value]] = {}
    for value in values:
        found.setdefault((value.column, value.became), []).append(value)
    return found


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
