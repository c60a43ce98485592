"""Cells to what people read: tables, notes and figures of one task, the same bytes for the same cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.files import not_written, replacing
from bench.report import artefacts, page
from bench.report.artefacts import ABLATION, Artefact
from bench.report.numbers.ablations import untuned
from bench.report.numbers.aggregate import collect
from bench.report.numbers.task_info import TaskInfo
from bench.report.render.document import named
from bench.report.tables.published_tables import NAME as PUBLISHED
from bench.report.task_results import TaskResults

__all__ = ["TaskInfo", "TaskResults", "collect", "put", "untuned", "write"]


def write(material: TaskResults, folder: Path, chosen: Sequence[Artefact] | None = None) -> list[Path]:
    """Write the files of `chosen` artefacts into `folder` and return their paths; of all of the task if None.

    Those whose cells are missing are passed over. Without `chosen`, they are shown on the page too, and files of
    artefacts that were written before and are no more are removed. Each file is replaced at once, and only after all
    of them could be made.

    Raises:
        BenchError: on cells that must not stand in one table (see `collect`).
        NotWritten: a folder that cannot be written, or a full disk.
    """
    every = artefacts.artefacts(material) if chosen is None else chosen
    lacking = {item.name: not item.possible(material) for item in every}
    making = [item for item in every if item.partial or not lacking[item.name]]
    if chosen is None:
        making = [item for item in making if not item.named_only]
    made = {item.name: item.files(material) for item in making}
    contents = {name: data for stem, files in made.items() for name, data in named(stem, files).items()}
    if chosen is not None:
        return put(folder, contents)
    told = [item for item in every if item.name in made or lacking[item.name]]
    shown = [page.Shown(item.name, item.says, made.get(item.name, {}), item.lines(material)) for item in told]
    contents[page.NAME] = page.page(material, shown)
    return put(folder, contents, *(f"{name}.*" for name in (f"{ABLATION}*", "table-?", PUBLISHED, *lacking)))


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
        for name, data in contents.items():
            with replacing(folder / name) as temporary:
                temporary.write_bytes(data)
    except OSError as error:
        raise not_written(folder, error.errno) from error
    return [folder / name for name in contents]
