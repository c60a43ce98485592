"""Cells to what people read: tables, notes and figures of one task, the same bytes for the same cells."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.report import artefacts
from bench.report.aggregate import collect
from bench.report.artefacts import ABLATION, Artefact
from bench.report.checks import TaskInfo
from bench.report.material import Material
from bench.report.published_tables import NAME as PUBLISHED
from bench.report.tuned import untuned
from bench.run.store import not_written

__all__ = ["Material", "TaskInfo", "collect", "put", "untuned", "write"]


def write(material: Material, folder: Path, chosen: Sequence[Artefact] | None = None) -> list[Path]:
    """Write the files of `chosen` artefacts into `folder` and return their paths; of all of the task if None.

    Those whose cells are missing are passed over. Without `chosen`, files of artefacts that were written before and
    are no more are removed. Each file is replaced at once, and only after all of them could be made.

    Raises:
        BenchError: on cells that must not stand in one table (see `collect`).
        NotWritten: a folder that cannot be written, or a full disk.
    """
    every = artefacts.artefacts(material) if chosen is None else chosen
    made = [item for item in every if item.partial or not item.missing(material)]
    contents = {f"{item.name}.{kind}": data for item in made for kind, data in item.make(material).items()}
    stale = [f"{name}.*" for name in (f"{ABLATION}*", "table-?", PUBLISHED, *(item.name for item in every))]
    return put(folder, contents, *(stale if chosen is None else ()))


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


def _replace(path: Path, data: bytes) -> Path:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
