"""The examination of a source or a task: what is read, in which order, and which finding an error becomes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bench import registry, taskfile
from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.data.set_lines import finding_lines, set_lines
from bench.data.task_data import Source, TaskData, open_data, source_of
from bench.doctor import check_images
from bench.doctor.check_folds import fold_findings, part_sizes, smallest_cells
from bench.doctor.check_table import Counts, counts_of, table_findings
from bench.doctor.findings import LEVELS, Finding, Level
from bench.doctor.ties import planted_ties, ties
from bench.errors import DataError
from bench.settings import Settings
from bench.spec import name_of

PREVIEW = 64
"""Side in pixels to which images are decoded when a source is examined without a task."""
Progress = Callable[[str, int, int], None]


@dataclass
class Examination:
    """All findings, and the counts of each source."""

    name: str
    settings: Settings
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    sets: list[str] = field(default_factory=list)
    """Lines that describe the sets of a task (`bench.data.set_lines`)."""
    cells: list[dict] = field(default_factory=list)
    parts: list[dict] = field(default_factory=list)
    """Images of the sets of a fold, beside those of the paper (`part_sizes`)."""
    disk: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """True where the data must not be used."""
        return any(finding.level == "error" for finding in self.findings)

    def add(self, code: str, level: Level, where: str, text: str, ids: tuple[str, ...] = ()) -> None:
        """Add a finding."""
        self.findings.append(Finding(code, level, where, text, ids))

    def refused(self, where: str, error: Exception) -> None:
        """Add the finding for an error. An error other than a DataError is attributed to the plugin."""
        if isinstance(error, DataError):
            self.add(error.code or "D099", "error", where, str(error))
        else:
            self.add("D099", "error", where, f"{type(error).__name__}: {error}")

    def sorted_findings(self) -> list[Finding]:
        """Return the findings, errors first."""
        return sorted(self.findings, key=lambda finding: (LEVELS.index(finding.level), finding.code, finding.where))


def examine_dataset(spec: str, settings: Settings, *, full: bool, progress: Progress) -> Examination:
    """Examine one source without a task."""
    found, source = Examination(spec, settings), source_of(spec, settings.data, settings.plugins)
    name, dataset = name_of(spec), source.dataset
    table = _read(found, name, source)
    if table is not None and full:
        used = table[table["drop"].fillna("") == ""]
        label = next(iter(dataset.labels), "")
        known = used[["uid", "path", "patient"]].assign(y=used.get(label, 0))
        with tempfile.TemporaryDirectory() as folder:
            how = Pixels(dataset, source.spec, source.root, PREVIEW, 3, "none", Path(folder))
            index = _decoded(found, name, how, known, progress)
        _check_images(found, {name: index} if index is not None else {}, {name: source})
    return found


def examine_task(every: Sequence[Settings], *, full: bool, progress: Progress) -> Examination:
    """Examine all sources of a task, then its folds and the overlaps of its sets.

    `every` are the settings of each of its findings, which share images and folds; of a task of one label, its own.

    Raises:
        UnknownName, UsageError: a backbone does not exist, or does not know the weights of the task.
    """
    settings, tasks = every[0], [taskfile.resolve(one.task) for one in every]
    task = tasks[0]
    found = Examination(task.name if len(tasks) == 1 else name_of(task.name), settings)
    for spec in task.backbones:
        registry.backbone(spec, task.weights, settings.plugins)
    sources: dict[str, str] = {}
    for name, rows in {"source": task.source, **task.ood}.items():
        # A source with a long spec is named after the first set that uses it.
        sources.setdefault(rows.dataset, rows.dataset if len(rows.dataset) < 40 else name)
    for spec, name in sources.items():
        _read(found, name, source_of(spec, settings.data, settings.plugins))
    if any(finding.level == "error" and finding.code < "D020" for finding in found.findings):
        return found
    try:
        data = open_data(settings, verify=full)
    except DataError as error:
        found.refused(task.name, error)
        return found
    found.sets = set_lines(data)
    found.parts = part_sizes(data)
    for one in [data] if len(tasks) == 1 else map(data.for_finding, tasks):
        found.sets += finding_lines(one)
        cells = smallest_cells(one)
        found.cells += cells
        found.findings += fold_findings(one, cells)
    _disk(found, data)
    indexes = {}
    for name, table in data.every.items():
        how = data.pixels(name, settings.cache)
        if full:
            index = _decoded(found, name, how, table, progress)
        else:
            folder = how.complete(table)
            index = _index(folder, table) if folder else None
        if index is not None:
            indexes[name] = index
    _check_images(found, indexes, data.sources)
    if "source" in indexes:
        found.findings += check_images.overlaps(indexes)
    return found


def _read(found: Examination, name: str, source: Source) -> pd.DataFrame | None:
    """Read and check the table of a source; return None where it cannot be read."""
    dataset, root = source.dataset, source.root
    found.sources[name] = source
    if not dataset.synthetic:
        if not root.is_dir():
            found.findings.append(_no_folder(name, root))
            return None
        if not os.access(root, os.R_OK | os.X_OK):
            found.add("D001", "error", name, f"{root} cannot be read")
            return None
        if dataset.credentialed and root.stat().st_mode & 0o007:
            text = "every user of this machine can read the folder, which the agreement of the data does not allow"
            found.add("D080", "warning", name, text)
    if source.synthetic:
        found.add("D070", "note", name, "SYNTHETIC DATA: results say nothing about patients")
    try:
        table = dataset.table(root)
    except Exception as error:  # a plugin may raise anything on files that it does not expect
        found.refused(name, error)
        return None
    repeated = table.loc[table["uid"].duplicated(), "uid"]
    if len(repeated):
        text = f"{len(repeated)} rows repeat the name of an image"
        found.add("D013", "error", name, text, (str(repeated.iloc[0]),))
        return None
    counts = found.counts[name] = counts_of(dataset, table)
    if planted := planted_ties(dataset, root):
        counts.ties = ties(dataset, table[table["drop"].fillna("") == ""], planted)
    found.findings += table_findings(name, dataset, table, counts, root)
    return table


def _no_folder(name: str, root: Path) -> Finding:
    folder = root.parent
    if folder.name == name:
        return Finding("D003", "error", name, f"{folder} is the folder of {name} itself: pass {folder.parent}")
    below = sorted(path.parent for path in folder.glob(f"*/{name}") if path.is_dir())
    if below:
        return Finding("D003", "error", name, f"{folder} is one level too high: pass {below[0]}")
    return Finding("D001", "error", name, f"no such folder: {root}")


def _decoded(
    found: Examination, name: str, how: Pixels, table: pd.DataFrame, progress: Progress
) -> pd.DataFrame | None:
    """Decode the images of a set into a cache and return its index; add D022 for those that cannot be read."""
    try:
        cache = image_cache(how, table[["uid", "path"]], jobs=os.cpu_count() or 1, progress=partial(progress, name))
    except DataError as error:
        found.add("D022", "error", name, str(error))
        return None
    index = _index(cache.folder, table)
    lost = table.loc[~table["uid"].isin(index["uid"]), "uid"]
    if len(lost):
        level = "error" if len(lost) > 0.001 * len(table) else "warning"
        text = f"{len(lost)} of {len(table)} images cannot be read"
        found.add("D022", level, name, text, tuple(map(str, lost.head(3))))
    return index


def _index(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return the index of an image cache with patient, label and fold of each image."""
    columns = [column for column in ("uid", "patient", "y", "fold") if column in table]
    return pd.read_parquet(folder / "index.parquet").merge(table[columns], on="uid", how="inner")


def _check_images(found: Examination, indexes: dict[str, pd.DataFrame], sources: Mapping[str, Source]) -> None:
    for name, index in indexes.items():
        found.findings += check_images.unusual(name, index, sources[name].dataset)
        found.findings += check_images.duplicates(name, index)


def _disk(found: Examination, data: TaskData) -> None:
    """Compare the room for image caches that do not exist yet with the free disk space; D081 where it is too little."""
    task, cache = data.task, found.settings.cache
    pixels = {name: data.pixels(name, cache) for name in data.tables}
    missing = {name: len(table) for name, table in data.every.items() if not pixels[name].complete(table)}
    needed = sum(n * pixels[name].image_bytes for name, n in missing.items())
    at = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free = shutil.disk_usage(at).free
    found.disk = {"needed": needed, "free": free}
    if needed > free:
        text = f"the image caches need {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free"
        found.add("D081", "error", task.name, text)
