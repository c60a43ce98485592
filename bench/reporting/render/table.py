"""One table, and how it is written as Markdown, LaTeX and CSV and for the terminal; HTML is in `part.html.j2`.

Columns define how numbers are printed, rows hold the numbers. The writers do not depend on any particular table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import isfinite, nan
from typing import Any, Literal

import numpy as np
import pandas as pd
from rich.text import Text

from bench.errors import clean, no_formula
from bench.reporting.render.text import UNDEFINED, md, number, signed, tex

Mark = Literal["best", "second", ""]
_MD: dict[Mark, str] = {"best": "**{}**", "second": "<ins>{}</ins>", "": "{}"}
_TEX: dict[Mark, str] = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "": "{}"}
_STYLES: dict[Mark, str] = {"best": "bold", "second": "underline", "": ""}
_PLAIN: dict[Mark, str] = {"best": "^", "second": "+", "": ""}
_BETWEEN = "  "
MOST_LETTERS = 300
"""Longer texts in a table for LaTeX are cut, because a line of some thousand letters stops the compiler."""


@dataclass(frozen=True)
class Column:
    """A column and how its numbers are printed.

    Neighbours of the same `group` share a header, followed by `remark` in brackets. Markdown and HTML have no shared
    headers: there the group precedes the title.
    """

    title: str
    align: Literal["left", "centre", "right"] = "right"
    decimals: int = 3
    signed: bool = False
    group: str = ""
    remark: str = ""

    @property
    def full_title(self) -> str:
        """The title after that of the group."""
        return f"{self.group} {self.title}".lstrip()

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, which are aligned to the right by default."""
        return self.align != "left"


@dataclass(frozen=True)
class Entry:
    """A number, NaN if undefined or suppressed, and its std `spread`, NaN if there is none.

    `mark` is printed in bold or underlined; `sign`, after the number, refers to a note.
    """

    value: float
    spread: float = nan
    mark: Mark = ""
    sign: str = ""


@dataclass(frozen=True)
class Cited:
    """A text, in LaTeX followed by a \\cite of `key`."""

    text: str
    key: str


@dataclass(frozen=True)
class Spanning:
    """A text that fills the rest of a row, such as `not run`."""

    text: str


APART = "comparators"
BLANK = " "
"""An empty field, which is not undefined."""
Value = str | int | float | Entry | Cited | Spanning | None


@dataclass(frozen=True)
class Table:
    """Columns and rows, a value for each column; None and NaN are undefined. A `Spanning` ends its row.

    A rule stands above row `apart`, if there is one; Markdown has no rules, so a row says `APART` there.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    title: str = ""
    apart: int = 0

    def groups(self) -> list[tuple[str, int]]:
        """Return the shared headers from left to right and how many columns each covers; empty if there are none."""
        runs = groupby(self.columns, key=lambda column: (column.group, column.remark))
        found = [(f"{name} ({remark})" if remark else name, len(list(columns))) for (name, remark), columns in runs]
        return found if any(name for name, _ in found) else []


def markdown(table: Table) -> str:
    """Return the lines of a pipe table, without its title."""
    rows = [[md(column.full_title) for column in table.columns]]
    rows += [["---:" if column.numeric else "---" for column in table.columns]]
    for at, row in enumerate(table.rows):
        rows += [[f"*{APART}*", *[""] * (len(table.columns) - 1)]] if at and at == table.apart else []
        last = row[-1]
        repeated = [last] * (len(table.columns) - len(row)) if isinstance(last, Spanning) else []
        values = zip([*row, *repeated], table.columns, strict=True)
        rows.append([_marked(value, column, _MD, md) for value, column in values])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def latex(*tables: Table, side: str = "") -> str:
    """Return a `tabular` with the rules of booktabs, of tables below each other.

    With `side`, the title of each table stands beside the middle of its rows, in a first column of this title.
    """
    shown = [_beside(table, side if table is tables[0] else BLANK) for table in tables] if side else tables
    widest = max(shown, key=lambda table: len(table.columns))
    lines = [rf"\begin{{tabular}}{{{''.join(column.align[0] for column in widest.columns)}}}", r"\toprule"]
    for table in shown:
        lines += [r"\midrule"] if table is not shown[0] else []
        lines += _latex_lines(table)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _beside(table: Table, side: str) -> Table:
    """Return a table with its title in a first column, whose own title is `side`; a blank one hides the next, too."""
    own, *others = table.columns
    hidden = side == BLANK
    middle = (len(table.rows) - 1) // 2
    columns = [Column(side, "left"), replace(own, title=BLANK) if hidden else own, *others]
    return Table(columns, [[table.title if at == middle else BLANK, *row] for at, row in enumerate(table.rows)])


def _latex_lines(table: Table) -> list[str]:
    width = len(table.columns)
    lines = _latex_groups(table) if table.groups() else []
    titles = [column.title[:1].upper() + column.title[1:] for column in table.columns]
    lines += [rf"{' & '.join(map(_tex, titles))} \\", r"\midrule"]
    for at, row in enumerate(table.rows):
        lines += [r"\midrule"] if at and at == table.apart else []
        cells = []
        for value, column in zip(row, table.columns, strict=False):
            cell = _latex_cell(value, column)
            rest = width - len(row) + 1
            cells.append(rf"\multicolumn{{{rest}}}{{c}}{{{cell}}}" if isinstance(value, Spanning) else cell)
        lines.append(rf"{' & '.join(cells)} \\")
    return lines


def _latex_cell(value: Value, column: Column) -> str:
    """Return a value as the paper prints it: the mark on the mean alone, and the std smaller."""
    text, mark, sign = printed(value, column)
    mean, spread, std = text.partition(" ± ") if isinstance(value, Entry) else (text, "", "")
    small = rf"{{\scriptsize$\pm${std}}}" if spread else ""
    cite = rf"~\cite{{{value.key}}}" if isinstance(value, Cited) else ""
    return _TEX[mark].format(_tex(mean)) + small + tex(sign) + cite


def _tex(text: str) -> str:
    return tex(text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…")


def _latex_groups(table: Table) -> list[str]:
    cells, rules, place = [], [], 1
    for name, width in table.groups():
        cells += [rf" \multicolumn{{{width}}}{{c}}{{{_tex(name)}}}"] if name else [""] * width
        rules += [rf"\cmidrule(lr){{{place}-{place + width - 1}}}"] if name else []
        place += width
    return [rf"{' &'.join(cells)} \\", "".join(rules)]


def csv(rows: pd.DataFrame | Sequence[Any], columns: list[str] | None = None) -> str:
    """Return rows in full precision with a header; NaN is empty.

    No text is a formula (`no_formula`), and none has controls of terminals or marks of direction.
    """
    frame = pd.DataFrame(rows, columns=columns)
    for place, kind in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            frame.isetitem(place, np.array([_cell(value) for value in frame.iloc[:, place]], dtype=object))
    return frame.rename(columns=_cell).to_csv(index=False, lineterminator="\n")


def _cell(value: Any) -> Any:
    return no_formula(clean(value)) if isinstance(value, str) else value


def terminal(table: Table, *, styled: bool = False, short: bool = False) -> list[Text]:
    """Return the lines of a table for a terminal, without its title.

    Marks are bold and underlined if `styled`, and the signs ^ and + otherwise. `short` drops the zero before the
    decimal point.
    """
    rows = [
        [_styled(value, column, styled, short) for value, column in zip(row, table.columns, strict=False)]
        for row in table.rows
    ]
    widths = [len(column.title) for column in table.columns]
    for row, cells in zip(table.rows, rows, strict=True):
        whole = cells[:-1] if isinstance(row[-1], Spanning) else cells
        widths[: len(whole)] = [max(width, len(cell)) for width, cell in zip(widths, whole, strict=False)]
    above, place = [], 0
    for name, number_of in table.groups():
        inside = slice(place, place + number_of)
        room = sum(widths[inside]) + len(_BETWEEN) * (number_of - 1)
        widths[place + number_of - 1] += max(len(name) - room, 0)
        above.append(Text(clean(name).ljust(max(room, len(name)))))
        place += number_of
    titles = [Text(clean(column.title)) for column in table.columns]
    lines = [Text(_BETWEEN).join(above)] if above else []
    for cells in (titles, *rows):
        for cell, column, width in zip(cells, table.columns, widths, strict=False):
            cell.align("right" if column.align == "right" else "left", max(width, len(cell)))
        lines.append(Text(_BETWEEN).join(cells))
    for line in lines:
        line.rstrip()
    if table.apart:
        lines.insert(len(lines) - len(rows) + table.apart, Text("─" * max(map(len, lines))))
    return lines


def printed(value: Value, column: Column) -> tuple[str, Mark, str]:
    """Return a value as text, its mark and its sign, unescaped."""
    match value:
        case Entry():
            spread = f" ± {number(value.spread, column.decimals)}" if isfinite(value.spread) else ""
            return _formatted(value.value, column) + spread, value.mark, value.sign
        case Spanning() | Cited():
            return clean(value.text), "", ""
        case float():
            return _formatted(value, column), "", ""
        case None | "":
            return UNDEFINED, "", ""
        case _:
            return clean(value), "", ""


def _formatted(value: float, column: Column) -> str:
    return (signed if column.signed else number)(value, column.decimals)


def _marked(value: Value, column: Column, marks: Mapping[Mark, str], escaped: Callable[[object], str]) -> str:
    text, mark, sign = printed(value, column)
    return marks[mark].format(escaped(text)) + escaped(sign)


def _styled(value: Value, column: Column, styled: bool, short: bool) -> Text:
    text, mark, sign = printed(value, column)
    shown = re.sub(r"(?<![\d.])0\.", ".", text) if short and isinstance(value, Entry) else text
    found = Text().append(shown, style=_STYLES[mark] if styled else "")
    return found.append(("" if styled else _PLAIN[mark]) + sign)
