"""Cells to what people read: tables, notes and figures of one task, the same bytes for the same cells."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.report.aggregate import Results, collect
from bench.report.checks import TaskInfo
from bench.report.tuned import PART, collect_tuned, untuned

__all__ = ["TaskInfo", "collect", "untuned", "write"]


def write(
    cells: Sequence[dict[str, Any]], failures: Iterable[dict[str, Any]], task_info: TaskInfo, folder: Path
) -> list[Path]:
    """Write main.tex, main.md, main.csv, trade-off.pdf and trade-off.png into `folder` and return their paths.

    Where there are tuned cells, tuned.tex, tuned.md and tuned.csv too: they are in no other table.

    Each file is replaced at once, and only after all of them could be made.

    Raises:
        BenchError: if there are no cells, or some that must not stand in one table (see `collect`).
    """
    # Matplotlib takes a second to import; the command line should not wait for it to print a table.
    from bench.report import figures

    results = collect(untuned(cells), untuned(failures), task_info)
    contents = {
        **_tables(results, "main"),
        **{f"trade-off.{kind}": data for kind, data in figures.trade_off(results).items()},
    }
    if tuned := collect_tuned(cells, failures, task_info):
        contents |= _tables(tuned, PART)
    folder.mkdir(parents=True, exist_ok=True)
    return [_replace(folder / name, data) for name, data in contents.items()]


def _tables(results: Results, name: str) -> dict[str, bytes]:
    from bench.report import tables

    made = {"tex": tables.latex(results), "md": tables.markdown(results), "csv": tables.csv(results)}
    return {f"{name}.{ending}": text.encode() for ending, text in made.items()}


def _replace(path: Path, data: bytes) -> Path:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
