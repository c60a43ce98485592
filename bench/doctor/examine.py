"""The examination of a source or a task: what is read, in which order, and what each error means."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bench.api import Task
from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.data.task_data import Source, TaskData, open_data, source_of
from bench.doctor import check_images
from bench.doctor.check_folds import fold_findings, smallest_cells
from bench.doctor.check_table import Counts, counts_of, table_findings
from bench.doctor.findings import LEVELS, Finding
from bench.errors import DataError
from bench.settings import Settings
from bench.spec import name_of

PREVIEW = 64
"""Pixels of the side to which images are decoded for a source that is looked at without a task."""
Progress = Callable[[str, int, int], None]


@dataclass
class Examination:
    """All that was found, and the counts of each source."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    terms: dict[str, dict[str, str]] = field(default_factory=dict)
    cells: list[dict] = field(default_factory=list)
    disk: dict[str, Any] = field(default_factory=dict)
    credentialed: bool = False

    @property
    def failed(self) -> bool:
        """True where something must not be run on."""
        return any(finding.level == "error" for finding in self.findings)

    def sorted_findings(self) -> list[Finding]:
        """Return findings, the gravest first."""
        return sorted(self.findings, key=lambda finding: (LEVELS.index(finding.level), finding.code, finding.where))


def examine_dataset(spec: str, settings: Settings, *, full: bool, progress: Progress | None = None) -> Examination:
    """Examine one source by itself."""
    found, source = Examination(spec), source_of(spec, settings.data, settings.plugins)
    name, dataset = name_of(spec), source.dataset
    table = _read(found, name, source)
    if table is not None and full:
        used = table[table["drop"].fillna("") == ""]
        with tempfile.TemporaryDirectory() as folder:
            how = Pixels(dataset, source.spec, source.root, PREVIEW, 3, "none", Path(folder))
            index = _decoded(found, name, how, used, progress)
        if index is not None:
            found.findings += check_images.kinds(name, index)
            label = next(iter(dataset.labels), "")
            y = used[label] if label in used else pd.Series(0, index=used.index)
            told = used[["uid", "patient"]].assign(y=y)
            found.findings += check_images.duplicates(name, index.merge(told, on="uid", how="inner"))
    return found


def examine_task(task: Task, settings: Settings, *, full: bool, progress: Progress | None = None) -> Examination:
    """Examine all sources of a task, then its folds and what the sets have in common."""
    found = Examination(task.name)
    sources: dict[str, str] = {}
    for name, rows in {"source": task.source, **task.ood}.items():
        # A long spec is called by the first set that is made of it.
        sources.setdefault(rows.dataset, rows.dataset if len(rows.dataset) < 40 else name)
    for spec, name in sources.items():
        _read(found, name, source_of(spec, settings.data, settings.plugins))
    if any(finding.level == "error" and finding.code < "D020" for finding in found.findings):
        return found
    try:
        data = open_data(settings)
    except DataError as error:
        found.findings.append(Finding(error.code or "D099", "error", task.name, str(error)))
        return found
    found.findings += fold_findings(data)
    found.cells = smallest_cells(data)
    _disk(found, data, settings)
    indexes = _indexes(found, data, settings, full, progress)
    for name, index in indexes.items():
        found.findings += check_images.kinds(name, index)
        found.findings += check_images.duplicates(name, index)
    if "source" in indexes:
        found.findings += check_images.overlaps(indexes)
    return found


def _read(found: Examination, name: str, source: Source) -> pd.DataFrame | None:
    """Read the table of a source and look at it; None where it cannot be read."""
    dataset, root = source.dataset, source.root
    found.terms[name] = {"access": dataset.access, "licence": dataset.licence}
    found.credentialed |= dataset.credentialed
    if not dataset.synthetic:
        if not root.is_dir():
            found.findings.append(_no_folder(name, root))
            return None
        if not os.access(root, os.R_OK | os.X_OK):
            found.findings.append(Finding("D001", "error", name, f"{root} cannot be read"))
            return None
        if dataset.credentialed and root.stat().st_mode & 0o007:
            text = "the folder can be read by every user of this machine; its agreement does not allow that"
            found.findings.append(Finding("D080", "warning", name, text))
    if source.synthetic:
        found.findings.append(Finding("D070", "note", name, "SYNTHETIC DATA: results say nothing about patients"))
    try:
        table = dataset.table(root)
    except DataError as error:
        found.findings.append(Finding(error.code or "D099", "error", name, str(error)))
        return None
    except Exception as error:  # a plugin may raise anything on files that it does not expect
        found.findings.append(Finding("D099", "error", name, f"{type(error).__name__}: {error}"))
        return None
    repeated = table.loc[table["uid"].duplicated(), "uid"]
    if len(repeated):
        text = f"{len(repeated)} rows repeat the name of an image"
        found.findings.append(Finding("D013", "error", name, text, (str(repeated.iloc[0]),)))
        return None
    found.counts[name] = counts_of(dataset, table)
    found.findings += table_findings(name, dataset, table, root)
    return table


def _no_folder(name: str, root: Path) -> Finding:
    folder = root.parent
    if folder.name == name:
        return Finding("D003", "error", name, f"{folder} is the folder of {name} itself: pass {folder.parent}")
    below = sorted(path.parent for path in folder.glob(f"*/{name}") if path.is_dir()) if folder.is_dir() else []
    if below:
        return Finding("D003", "error", name, f"{folder} is one level too high: pass {below[0]}")
    return Finding("D001", "error", name, f"no such folder: {root}")


def _indexes(
    found: Examination, data: TaskData, settings: Settings, full: bool, progress: Progress | None
) -> dict[str, pd.DataFrame]:
    """What is known of the decoded images of each set: of caches that stand, or, if `full`, of all."""
    indexes = {}
    for name, table in data.tables.items():
        how = data.pixels(name, settings.cache)
        if full:
            index = _decoded(found, name, how, table, progress)
        else:
            folder = how.standing(table)
            index = pd.read_parquet(folder / "index.parquet") if folder else None
        if index is not None:
            columns = [column for column in ("uid", "patient", "y", "fold") if column in table]
            indexes[name] = index.merge(table[columns], on="uid", how="inner")
    return indexes


def _decoded(
    found: Examination, name: str, how: Pixels, table: pd.DataFrame, progress: Progress | None
) -> pd.DataFrame | None:
    """Decode the images of a set into a cache and return its index; D022 for what cannot be read."""
    told = partial(progress, name) if progress else None
    try:
        cache = image_cache(how, table[["uid", "path"]], jobs=os.cpu_count() or 1, progress=told)
    except DataError as error:
        found.findings.append(Finding("D022", "error", name, str(error)))
        return None
    index = pd.read_parquet(cache.folder / "index.parquet")
    lost = table[~table["uid"].isin(index["uid"])]
    if len(lost):
        level = "error" if len(lost) > 0.001 * len(table) else "warning"
        text = f"{len(lost)} of {len(table)} images cannot be read"
        found.findings.append(Finding("D022", level, name, text, tuple(map(str, lost["uid"].head(3)))))
    return index


def _disk(found: Examination, data: TaskData, settings: Settings) -> None:
    """Room that the image caches need and do not have yet, and what is free."""
    task = data.task
    images = sum(
        len(table) for name, table in data.tables.items() if not data.pixels(name, settings.cache).standing(table)
    )
    needed = images * task.image_size**2 * task.channels
    at = next(folder for folder in (settings.cache, *settings.cache.parents) if folder.is_dir())
    free = shutil.disk_usage(at).free
    found.disk = {"needed": needed, "free": free}
    if needed > free:
        text = f"the image caches need {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free"
        found.findings.append(Finding("D081", "error", task.name, text))
