"""One table and its five writers: Markdown, LaTeX, HTML, CSV and the terminal.

Columns say how their numbers are printed, rows hold numbers. A writer knows its medium and no table in particular.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite, nan
from typing import Any, Literal

import pandas as pd
from markupsafe import Markup
from rich.text import Text

from bench.report.render import text as escaping
from bench.report.render.text import UNDEFINED, md, number, signed, tex

Mark = Literal["best", "second", ""]
_MD: dict[Mark, str] = {"best": "**{}**", "second": "<ins>{}</ins>", "": "{}"}
_TEX: dict[Mark, str] = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "": "{}"}
_HTML: dict[Mark, Markup] = {"best": Markup("<b>{}</b>"), "second": Markup("<ins>{}</ins>"), "": Markup("{}")}
_STYLES: dict[Mark, str] = {"best": "bold", "second": "underline", "": ""}
_PLAIN: dict[Mark, str] = {"best": "*", "second": "+", "": ""}
_BETWEEN = "  "


@dataclass(frozen=True)
class Column:
    """A column and how its numbers are printed.

    Neighbours of the same `group` share a header, behind which `remark` stands in brackets. In Markdown and HTML, which
    have no shared headers, the group stands before the title.
    """

    title: str
    align: Literal["left", "centre", "right"] = "right"
    decimals: int = 3
    signed: bool = False
    group: str = ""
    remark: str = ""

    @property
    def full_title(self) -> str:
        """The title behind that of the group."""
        return f"{self.group} {self.title}".lstrip()

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, which are aligned to the right where nothing else is said."""
        return self.align != "left"


@dataclass(frozen=True)
class Entry:
    """A number, NaN where it is undefined or suppressed; `spread` is its std, NaN where there is none.

    `mark` is printed in bold or underlined, `sign` behind the number points to a note.
    """

    value: float
    spread: float = nan
    mark: Mark = ""
    sign: str = ""


@dataclass(frozen=True)
class Spanning:
    """A text that fills the rest of a row, such as `not run`."""

    text: str


Value = str | int | float | Entry | Spanning | None


@dataclass(frozen=True)
class Table:
    """Columns and rows, a value for each column; None and NaN are undefined. A `Spanning` ends its row."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    title: str = ""

    def groups(self) -> list[tuple[str, int]]:
        """Return the shared headers from left to right and how many columns each covers; empty where there is none."""
        runs = groupby(self.columns, key=lambda column: (column.group, column.remark))
        return [(f"{name} ({remark})" if remark else name, len(list(columns))) for (name, remark), columns in runs]


def markdown(table: Table) -> str:
    """Return the lines of a pipe table, without its title."""
    rows = [[md(column.full_title) for column in table.columns]]
    rows += [["---:" if column.numeric else "---" for column in table.columns]]
    for row in table.rows:
        last = row[-1]
        repeated = [last] * (len(table.columns) - len(row)) if isinstance(last, Spanning) else []
        values = zip([*row, *repeated], table.columns, strict=True)
        rows.append([_marked(value, column, _MD, md) for value, column in values])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def latex(table: Table) -> str:
    """Return a `tabular` with the rules of booktabs, its title in italics above it."""
    width = len(table.columns)
    lines = [rf"\textit{{{tex(table.title)}}}\\[2pt]"] if table.title else []
    lines += [rf"\begin{{tabular}}{{{''.join(column.align[0] for column in table.columns)}}}", r"\toprule"]
    if any(name for name, _ in table.groups()):
        lines += _latex_groups(table)
    titles = [column.title[:1].upper() + column.title[1:] for column in table.columns]
    lines += [rf"{' & '.join(map(tex, titles))} \\", r"\midrule"]
    for row in table.rows:
        cells = []
        for value, column in zip(row, table.columns, strict=False):
            cell = _marked(value, column, _TEX, tex)
            rest = width - len(row) + 1
            cells.append(rf"\multicolumn{{{rest}}}{{c}}{{{cell}}}" if isinstance(value, Spanning) else cell)
        lines.append(rf"{' & '.join(cells)} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _latex_groups(table: Table) -> Iterator[str]:
    cells, rules, place = [], [], 1
    for name, width in table.groups():
        cells += [rf" \multicolumn{{{width}}}{{c}}{{{tex(name)}}}"] if name else [""] * width
        rules += [rf"\cmidrule(lr){{{place}-{place + width - 1}}}"] if name else []
        place += width
    yield rf"{' &'.join(cells)} \\"
    yield "".join(rules)


def html(table: Table) -> Markup:
    """Return a table that scrolls in a box of its own, without its title; the first column heads its row."""
    heads = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(_number(column), column.full_title) for column in table.columns
    )
    rows = []
    for row in table.rows:
        cells = [Markup('<th scope="row">{}</th>').format(_printed(row[0], table.columns[0])[0])]
        for value, column in zip(row[1:], table.columns[1:], strict=False):
            span = Markup(' colspan="{}"').format(len(table.columns) - len(row) + 1)
            how = span if isinstance(value, Spanning) else _number(column)
            shown = _marked(value, column, _HTML, escaping.html)
            cells.append(Markup("<td{}>{}</td>").format(how, shown))
        rows.append(Markup("<tr>{}</tr>\n").format(Markup("").join(cells)))
    return Markup(
        '<div class="box" tabindex="0" role="region" aria-label="{}">\n<table>\n<thead><tr>{}</tr></thead>\n'
        "<tbody>\n{}</tbody>\n</table>\n</div>\n"
    ).format(table.title or "Table", heads, Markup("").join(rows))


def csv(rows: pd.DataFrame | Sequence[Any], columns: list[str] | None = None) -> str:
    """Return rows in full precision below the names of the columns; NaN is empty."""
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n")


def terminal(table: Table, *, styled: bool = False, short: bool = False) -> list[Text]:
    """Return the lines of a table for a terminal, without its title.

    Marks are bold and underlined where it is `styled`, else the signs * and +. `short` entries lack the zero before
    their point.
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
        above.append(Text(name.ljust(max(room, len(name)))))
        place += number_of
    titles = [Text(column.title) for column in table.columns]
    lines = [Text(_BETWEEN).join(above)] if any(name for name, _ in table.groups()) else []
    for cells in (titles, *rows):
        for cell, column, width in zip(cells, table.columns, widths, strict=False):
            cell.align("right" if column.align == "right" else "left", max(width, len(cell)))
        lines.append(Text(_BETWEEN).join(cells))
    for line in lines:
        line.rstrip()
    return lines


def _printed(value: Value, column: Column) -> tuple[str, Mark, str]:
    """Return a value as text, its mark and its sign, before they are escaped."""
    match value:
        case Entry():
            spread = f" ± {number(value.spread, column.decimals)}" if isfinite(value.spread) else ""
            return _formatted(value.value, column) + spread, value.mark, value.sign
        case Spanning():
            return value.text, "", ""
        case float():
            return _formatted(value, column), "", ""
        case None | "":
            return UNDEFINED, "", ""
        case _:
            return str(value), "", ""


def _formatted(value: float, column: Column) -> str:
    return (signed if column.signed else number)(value, column.decimals)


def _marked(value: Value, column: Column, marks: Mapping[Mark, str], escaped: Callable[[object], str]) -> str:
    text, mark, sign = _printed(value, column)
    return marks[mark].format(escaped(text)) + escaped(sign)


def _styled(value: Value, column: Column, styled: bool, short: bool) -> Text:
    text, mark, sign = _printed(value, column)
    shown = re.sub(r"(?<![\d.])0\.", ".", text) if short and isinstance(value, Entry) else text
    found = Text().append(shown, style=_STYLES[mark] if styled else "")
    return found.append(("" if styled else _PLAIN[mark]) + sign)


def _number(column: Column) -> Markup:
    return Markup(' class="number"' if column.numeric else "")
