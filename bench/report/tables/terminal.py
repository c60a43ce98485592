"""The main table for a terminal: bold and underlined there, with signs in plain text elsewhere."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

from bench.report.numbers.aggregate import SYNTHETIC, Results
from bench.report.tables.main_table import Block, Entry, block, heads
from bench.report.words.conclusions import not_separable
from bench.report.words.notes import partial, spread

STYLES = {"best": "bold", "second": "underline", "": ""}
PLAIN_MARKS = {"best": "*", "second": "+", "": ""}
COLUMN = len(".123 ± .123*†") + 2


def show(results: Results, stream: TextIO | None = None) -> None:
    """Print the test sets side by side as far as the terminal is wide; all of them where it is none."""
    console = Console(file=stream or sys.stdout, highlight=False, emoji=False, markup=False)
    labels = max(len(label) for label in {row.label for row in results.rows}) + 2
    room = console.width - labels - 8 if console.is_terminal else sys.maxsize
    abreast = max(1, room // (COLUMN * len(results.info.columns)))
    if results.info.synthetic:
        console.print(SYNTHETIC, style="bold", soft_wrap=True)
    for backbone in results.backbones:
        for start in range(0, len(results.info.ood), abreast):
            sets = results.info.ood[start : start + abreast]
            if len(results.backbones) > 1:
                console.print(f"{backbone} backbone", soft_wrap=True)
            for line in _lines(results, block(results, backbone, sets), labels, console.is_terminal):
                console.print(line, soft_wrap=True)
    for sentence in _sentences(results, console.is_terminal):
        console.print(sentence, soft_wrap=not console.is_terminal)


def _lines(results: Results, item: Block, labels: int, styled: bool) -> list[Text]:
    sets, columns = heads(results, item.sets), results.info.columns
    first = " " * labels + "".join(f"{name} ({size})".ljust(COLUMN * len(columns)) for name, size in sets)
    titles = "".join(results.info.title(name).ljust(COLUMN) for name in columns) * len(sets)
    lines = [Text(first.rstrip()), Text(f"{'method'.ljust(labels)}{titles}{'cost':>6}")]
    for row in item.lines:
        line = Text(row.label.ljust(labels))
        for entry in row.entries:
            text = _number(entry) + ("" if styled else PLAIN_MARKS[entry.mark])
            line.append(text, style=STYLES[entry.mark])
            line.append(entry.sign.ljust(COLUMN - len(text)))
        lines.append(line.append(row.cost.rjust(6)))
    return lines


def _number(entry: Entry) -> str:
    parts = [entry.mean, entry.std] if entry.std else [entry.mean]
    return " ± ".join(part.removeprefix("0") for part in parts)


def _sentences(results: Results, styled: bool) -> list[str]:
    info, lists = results.info, {}
    for backbone in results.backbones:
        for name in info.ood:
            column = results.column(backbone, name, info.gap)
            rows, compared = not_separable(column), any(row.compared for row in column)
            where = f"{backbone}, {name}" if len(results.backbones) > 1 else name
            lists[where] = ", ".join(rows) or ("none" if compared else "not compared")
    same = len(set(lists.values())) == 1
    rest = next(iter(lists.values())) if same else "; ".join(f"{where}: {names}" for where, names in lists.items())
    marks = "" if styled else " * best, + second of a column."
    compared = any(row.compared for row in results.rows)
    tested = f" Not separable from Baseline on {info.title(info.gap)} (paired, Holm): {rest}." if compared else ""
    return [f"{spread(results)}{marks}{tested}", *partial(results)]
