"""From stored cells to what people read: the tables, notes and figures of one task, reproducible byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.files import not_written, write_file
from bench.report import artefacts, page
from bench.report.artefacts import ABLATION, Artefact
from bench.report.numbers.ablations import untuned
from bench.report.numbers.aggregate import collect
from bench.report.numbers.task_info import TaskInfo
from bench.report.render.document import named
from bench.report.render.text import unset
from bench.report.tables.published_tables import NAME as PUBLISHED
from bench.report.task_results import TaskResults

__all__ = ["TaskInfo", "TaskResults", "collect", "put", "untuned", "write"]


def write(results: TaskResults, folder: Path, chosen: Sequence[Artefact] | None = None) -> list[Path]:
    """Write the files of some artefacts, by default of all, into `folder` and return their paths.

    Artefacts whose cells are missing are skipped. Without `chosen`, the page is written too, and files of artefacts
    that no longer exist are removed. No file is written before all of them are made; each is replaced atomically.

    Raises:
        BenchError: for cells that must not be in one table (see `collect`).
        NotWritten: if the folder cannot be written or the disk is full.
    """
    every = artefacts.artefacts(results) if chosen is None else chosen
    lacking = {item.name: not item.possible(results) for item in every}
    made = {
        item.name: item.make(results)
        for item in every
        if (item.partial or not lacking[item.name]) and not (chosen is None and item.named_only)
    }
    contents = {name: data for stem, files in made.items() for name, data in named(stem, files).items()}
    if chosen is not None:
        return put(folder, contents)
    listed = [item for item in every if item.name in made or lacking[item.name]]
    shown = [page.Shown(item.name, item.says, made.get(item.name, {}), item.lines(results)) for item in listed]
    contents[page.NAME] = page.page(results, shown)
    return put(folder, contents, *(f"{name}.*" for name in (f"{ABLATION}*", "table-?", PUBLISHED, *lacking)))


def put(folder: Path, contents: Mapping[str, bytes], *stale: str) -> list[Path]:
    """Write files into `folder`, each atomically, and return their paths.

    Other files there that match a pattern of `stale` are removed.

    Raises:
        NotWritten: if the folder cannot be written or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (file for pattern in stale for file in folder.glob(pattern)):
            if old.name not in contents:
                old.unlink()
        for name, data in contents.items():
            write_file(folder / name, data)
            if name.endswith(".tex") and (signs := unset(data.decode())):
                print(f"warning: {name}: pdflatex does not set {signs}: use xelatex or lualatex", file=sys.stderr)
    except OSError as error:
        raise not_written(folder, error.errno) from error
    return [folder / name for name in contents]
