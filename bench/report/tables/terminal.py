"""The main table for a terminal: marks are bold and underlined there, signs in plain text."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

from bench.report.numbers.aggregate import SYNTHETIC, Results
from bench.report.render.table import terminal
from bench.report.tables.main_table import block
from bench.report.words.conclusions import not_separable
from bench.report.words.notes import partial, spread


def show(results: Results, stream: TextIO | None = None) -> None:
    """Print the test sets side by side as far as the terminal is wide; all of them where it is none."""
    console = Console(file=stream or sys.stdout, highlight=False, emoji=False, markup=False)
    if results.info.synthetic:
        console.print(SYNTHETIC, style="bold", soft_wrap=True)
    for backbone in results.backbones:
        abreast = _abreast(results, backbone, console)
        for start in range(0, len(results.info.ood), abreast):
            sets = results.info.ood[start : start + abreast]
            if len(results.backbones) > 1:
                console.print(f"{backbone} backbone", soft_wrap=True)
            for line in terminal(block(results, backbone, sets), styled=console.is_terminal, short=True):
                console.print(line, soft_wrap=True)
    for sentence in _sentences(results, console.is_terminal):
        console.print(sentence, soft_wrap=not console.is_terminal)


def _abreast(results: Results, backbone: str, console: Console) -> int:
    """Return how many test sets fit side by side."""
    for number in range(len(results.info.ood), 1, -1):
        lines = terminal(block(results, backbone, results.info.ood[:number]), styled=console.is_terminal, short=True)
        if not console.is_terminal or max(map(len, lines)) <= console.width:
            return number
    return 1


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
