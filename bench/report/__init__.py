"""Cells to what people read: tables, notes and figures of one task, the same bytes for the same cells."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.report.ablations import MAIN, Table
from bench.report.aggregate import Results, collect
from bench.report.checks import TaskInfo
from bench.report.comparison import Comparison
from bench.report.tuned import PART, collect_tuned, untuned
from bench.run.store import not_written

__all__ = ["TaskInfo", "collect", "put", "untuned", "write"]


def write(
    cells: Sequence[dict[str, Any]],
    failures: Iterable[dict[str, Any]],
    task_info: TaskInfo,
    folder: Path,
    ablations: Iterable[Table] = (),
    compared: Comparison | None = None,
) -> list[Path]:
    """Write main.tex, main.md, main.csv, trade-off.pdf and trade-off.png into `folder` and return their paths.

    `ablations` are further tables, in files of their names, and where there are tuned cells, `tuned` is one: they are
    in no other table. `compared` goes into `published`. Files of tables that were written before and are no more are
    removed. Each file is replaced at once, and only after all of them could be made.

    Raises:
        BenchError: if there are no cells, or some that must not stand in one table (see `collect`).
        NotWritten: a folder that cannot be written, or a full disk.
    """
    # Matplotlib takes a second to import; the command line should not wait for it to print a table.
    from bench.report import figures
    from bench.report.published_tables import FORMATS
    from bench.report.published_tables import NAME as PUBLISHED

    results = collect(untuned(cells), untuned(failures), task_info)
    contents = {
        **_files(MAIN, results),
        **{f"trade-off.{kind}": data for kind, data in figures.trade_off(results).items()},
    }
    for table in ablations:
        contents |= _files(table.name, collect(table.cells, table.failures, replace(task_info, part=table.part)))
    if tuned := collect_tuned(cells, failures, task_info):
        contents |= _files(PART, tuned)
    if compared:
        contents |= {f"{PUBLISHED}.{kind}": make(compared).encode() for kind, make in FORMATS.items()}
    return put(folder, contents, "ablation-*.*", f"{PART}.*", f"{PUBLISHED}.*")


def put(folder: Path, contents: Mapping[str, bytes], *stale: str) -> list[Path]:
    """Write files of these names into `folder`, each at once, and return their paths.

    Files there that match a pattern of `stale` and are not among them are removed.

    Raises:
        NotWritten: a folder that cannot be written, or a full disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (file for pattern in stale for file in folder.glob(pattern)):
            if old.name not in contents:
                old.unlink()
        return [_replace(folder / name, data) for name, data in contents.items()]
    except OSError as error:
        raise not_written(folder, error.errno) from error


def _files(name: str, results: Results) -> dict[str, bytes]:
    from bench.report import tables

    made = {"tex": tables.latex(results), "md": tables.markdown(results), "csv": tables.csv(results)}
    return {f"{name}.{kind}": text.encode() for kind, text in made.items()}


def _replace(path: Path, data: bytes) -> Path:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
