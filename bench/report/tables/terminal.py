"""The main table for a terminal: best and second best are bold and underlined there, and signs in plain text."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

from bench.report.numbers.aggregate import SYNTHETIC, Results
from bench.report.render.table import terminal
from bench.report.tables.main_table import block
from bench.report.words.conclusions import not_significant
from bench.report.words.notes import partial, spread


def show(results: Results, stream: TextIO | None = None) -> None:
    """Print as many test sets side by side as fit into the terminal, or all of them into a file."""
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
    """Return the number of test sets that fit side by side."""
    for number in range(len(results.info.ood), 1, -1):
        lines = terminal(block(results, backbone, results.info.ood[:number]), styled=console.is_terminal, short=True)
        if not console.is_terminal or max(map(len, lines)) <= console.width:
            return number
    return 1


def _sentences(results: Results, styled: bool) -> list[str]:
    info, names = results.info, {}
    for backbone, name in results.places:
        column = results.column(backbone, name, info.gap)
        none = "none" if any(row.compared for row in column) else "not compared"
        names[results.named(name, backbone)] = ", ".join(not_significant(column)) or none
    same = len(set(names.values())) == 1
    rest = next(iter(names.values())) if same else "; ".join(f"{where}: {rows}" for where, rows in names.items())
    marks = "" if styled else " * best, + second of a column."
    compared = any(row.compared for row in results.rows)
    tested = f" No significant difference from Baseline on {info.title(info.gap)} (paired, Holm): {rest}."
    return [f"{spread(results)}{marks}{tested if compared else ''}", *partial(results)]
