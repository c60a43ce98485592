"""The examination of a source or a task: what is read, in which order, and what each error means."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bench import registry
from bench.api import Dataset, Rows, Task
from bench.data.cache import cache_place, image_cache
from bench.data.phantom_tree import is_phantom
from bench.data.task_data import TaskData, task_data
from bench.doctor import check_images
from bench.doctor.check_folds import fold_findings, smallest_cells
from bench.doctor.check_table import Counts, counts_of, table_findings
from bench.doctor.findings import LEVELS, Finding
from bench.errors import DataError
from bench.run.plan import Settings

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
    found = Examination(spec)
    dataset = registry.build("dataset", spec, settings.plugins)
    assert isinstance(dataset, Dataset)
    name = spec.partition(":")[0]
    table = _source(found, name, dataset, _root(name, dataset, settings))
    if table is not None and full:
        used = table[table["drop"].fillna("") == ""]
        with tempfile.TemporaryDirectory() as folder:
            index = _decoded(found, name, dataset, spec, _root(name, dataset, settings), used, Path(folder), progress)
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
    seen: set[str] = set()
    for rows in (task.source, *task.ood.values()):
        name = rows.dataset.partition(":")[0]
        if rows.dataset in seen:
            continue
        seen.add(rows.dataset)
        dataset = registry.build("dataset", rows.dataset, settings.plugins)
        assert isinstance(dataset, Dataset)
        _source(found, _shown(rows, task), dataset, _root(name, dataset, settings))
    if any(finding.level == "error" and finding.code < "D020" for finding in found.findings):
        return found
    try:
        data = task_data(
            task, settings.data, settings.plugins, manifest=settings.splits, baseline=settings.baseline
        ).readable(settings.cache)
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


def _shown(rows: Rows, task: Task) -> str:
    return (
        rows.dataset
        if len(rows.dataset) < 40
        else next((name for name, one in {"source": task.source, **task.ood}.items() if one is rows), rows.dataset)
    )


def _root(name: str, dataset: Dataset, settings: Settings) -> Path:
    folder = settings.data or Path(os.environ.get("BENCH_DATA", "."))
    return folder if name == "manifest" or dataset.synthetic else folder / name


def _source(found: Examination, name: str, dataset: Dataset, root: Path) -> pd.DataFrame | None:
    """Read the table of a source and look at it; None where it cannot be read."""
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
    if dataset.synthetic or is_phantom(root):
        found.findings.append(Finding("D070", "note", name, "SYNTHETIC DATA: results say nothing about patients"))
    try:
        table = dataset.table(root)
    except DataError as error:
        found.findings.append(Finding(error.code or "D099", "error", name, str(error)))
        return None
    except Exception as error:  # a plugin may raise anything on files that it does not expect
        found.findings.append(Finding("D099", "error", name, f"{type(error).__name__}: {error}"))
        return None
    if table["uid"].duplicated().any():
        first = str(table.loc[table["uid"].duplicated(), "uid"].iloc[0])
        n = int(table["uid"].duplicated().sum())
        found.findings.append(Finding("D013", "error", name, f"{n} rows repeat the name of an image", (first,)))
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
    task = data.task
    for name, source in data.sources.items():
        table = data.tables[name]
        how = {"size": task.image_size, "channels": task.channels, "crop": task.crop}
        cache_dir = settings.cache / "images"
        index: pd.DataFrame | None
        if full:
            index = _decoded(found, name, source.dataset, source.spec, source.root, table, cache_dir, progress, how)
        else:
            place, _ = cache_place(source.dataset, source.spec, source.root, table, **how, cache_dir=cache_dir)
            index = pd.read_parquet(place / "index.parquet") if (place / "cache.json").is_file() else None
        if index is not None:
            columns = [column for column in ("uid", "patient", "y", "fold") if column in table]
            indexes[name] = index.merge(table[columns], on="uid", how="inner")
    return indexes


def _decoded(
    found: Examination,
    name: str,
    dataset: Dataset,
    spec: str,
    root: Path,
    table: pd.DataFrame,
    cache_dir: Path,
    progress: Progress | None,
    how: Mapping[str, Any] | None = None,
) -> pd.DataFrame | None:
    """Decode the images of a set into a cache and return its index; D022 for what cannot be read."""
    how = how or {"size": PREVIEW, "channels": 3, "crop": "none"}
    told = (lambda done, total: progress(name, done, total)) if progress else None
    try:
        cache = image_cache(
            dataset,
            spec,
            root,
            table[["uid", "path"]],
            **how,
            cache_dir=cache_dir,
            jobs=os.cpu_count() or 1,
            progress=told,
        )
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
    task, needed = data.task, 0
    for name, source in data.sources.items():
        how = {"size": task.image_size, "channels": task.channels, "crop": task.crop}
        place, _ = cache_place(
            source.dataset, source.spec, source.root, data.tables[name], **how, cache_dir=settings.cache / "images"
        )
        if not (place / "cache.json").is_file():
            needed += len(data.tables[name]) * task.image_size**2 * task.channels
    at = next(folder for folder in (settings.cache, *settings.cache.parents) if folder.is_dir())
    free = shutil.disk_usage(at).free
    found.disk = {"needed": needed, "free": free}
    if needed > free:
        text = f"the image caches need {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free"
        found.findings.append(Finding("D081", "error", task.name, text))


def finite(value: float) -> float | None:
    """Return a number for JSON, None for NaN."""
    return None if math.isnan(value) else value
