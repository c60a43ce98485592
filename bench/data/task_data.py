"""The images of a task: its sets, its folds, and the external set of each fold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import registry
from bench.api import Dataset, Rows, Task
from bench.data.cache import ImageCache, image_cache
from bench.data.external import external_set
from bench.data.folds import folds, image_folds
from bench.data.holdout import HOLDOUT, held_out
from bench.data.pair import Pair, of_pair
from bench.data.table import fingerprint, keep_apart, sample_table
from bench.errors import DataError, DataMissing, EmptyGroup
from bench.seeds import family

FOLD_SPLITS = ("train", "val", "external", "train_inner", "val_inner")
"""Parts of a fold. The last two are what pre-training with `pretrain_checkpoint=best_inner` makes of `train`."""


@dataclass(frozen=True)
class Source:
    """One dataset of a task: the plugin, its canonical name and parameters, and its folder."""

    dataset: Dataset
    spec: str
    root: Path


@dataclass(frozen=True)
class TaskData:
    """All tables of a task. `tables` holds "source" (with a column `fold`) and each out-of-distribution set.

    Where the groups of the attribute are without an order, `pair` are the two that make the external set, which a
    baseline chooses; there is no such set without it.

    While settings are selected (`selecting`), the holdout of a fold takes the place of the test sets, and `val` and
    `external` are made of what is left of the validation part.
    """

    task: Task
    sources: Mapping[str, Source]
    tables: Mapping[str, pd.DataFrame]
    pair: Pair | None = None
    selecting: bool = False

    @cached_property
    def _splits(self) -> dict[tuple[str, int], pd.DataFrame]:
        return {}

    @property
    def synthetic(self) -> bool:
        """True where every image is generated."""
        return self.sources["source"].dataset.synthetic

    @property
    def unpaired(self) -> bool:
        """True where there is no external set until a baseline has chosen its pair of groups."""
        return self.task.attribute.grouped and self.pair is None

    def split(self, name: str, fold: int) -> pd.DataFrame:
        """Return the rows of a part of a fold (`FOLD_SPLITS`) or of an out-of-distribution set.

        Raises:
            EmptyGroup: where the external set of that fold cannot be balanced, or its pair of groups is not chosen.
            DataInvalid: where too few groups are left to hold some out.
        """
        if (name, fold) not in self._splits:
            tested = name in self.tables and name != "source"
            part = self.tables[name] if tested else self._part(name, fold)
            # Last, so that both polarities have the same images in every split.
            self._splits[name, fold] = part if self.task.polarity == "paper" else part.assign(y=1 - part["y"])
        return self._splits[name, fold]

    def _part(self, name: str, fold: int) -> pd.DataFrame:
        if name.endswith("_inner"):
            train = self._part("train", fold)
            inner = cut(train, 10, self.task) == 0
            return train[inner if name == "val_inner" else ~inner].reset_index(drop=True)
        source = self.tables["source"]
        part = source[(source["fold"] == fold) == (name != "train")].reset_index(drop=True)
        if self.selecting and name != "train":
            held = held_out(part, (0, family(self.task.name), fold), task=self.task)
            part = part[held == (name == HOLDOUT)].reset_index(drop=True)
        if name != "external":
            return part
        if self.task.attribute.grouped:
            part = self._of_pair(part, fold)
        return external_set(part, (0, family(self.task.name), fold, self.task.attribute.column), task=self.task)

    def _of_pair(self, validation: pd.DataFrame, fold: int) -> pd.DataFrame:
        if self.pair is None:
            raise EmptyGroup(f"task {self.task.name}, fold {fold}: no pair of groups is chosen for the external set")
        return of_pair(validation, self.pair)

    def fingerprint(self, name: str, fold: int) -> dict[str, Any]:
        """Return number and hash of the images, labels and groups of a split."""
        return fingerprint(self.split(name, fold))

    def repeats(self, fold: int) -> int:
        """Return how many images of a fold's external set are repeats, for want of others in their cell."""
        return sum(self.split("external", fold).attrs["shortfall"].values())

    def caches(
        self, cache_dir: Path, *, jobs: int = 1, progress: Callable[[str, int, int], None] | None = None
    ) -> dict[str, ImageCache]:
        """Return the image cache of "source" and of each out-of-distribution set, built where it is missing."""
        return {
            name: image_cache(
                source.dataset,
                source.spec,
                source.root,
                self.tables[name],
                size=self.task.image_size,
                channels=self.task.channels,
                crop=self.task.crop,
                cache_dir=cache_dir / "images",
                jobs=jobs,
                progress=partial(progress, name) if progress else None,
            )
            for name, source in self.sources.items()
        }


def task_data(task: Task, data_dir: Path | None, plugins: Sequence[Path] = (), *, selecting: bool = False) -> TaskData:
    """Read the tables of a task and cut its folds; images are not read.

    With `selecting` the result has no test set. Test sets of other datasets than the source's are not opened; of
    those of the same dataset only the groups are used, because no group of theirs may be trained on.

    Raises:
        DataMissing, DataInvalid: what a dataset lacks, and where it is had.
        DataError: where generated and real images would be mixed in one task.
    """
    rows = {"source": task.source, **task.ood}
    if selecting:
        rows = {name: row for name, row in rows.items() if _dataset(row) == _dataset(task.source)}
    sources = {name: _source(row, data_dir, plugins) for name, row in rows.items()}
    kinds = {name: source.dataset.synthetic for name, source in sources.items()}
    if len(set(kinds.values())) > 1:
        fake = [name for name, synthetic in kinds.items() if synthetic]
        raise DataError(f"task {task.name} mixes generated images ({', '.join(fake)}) with real ones")
    tables = {
        name: sample_table(source.dataset, source.root, rows[name].where, task.label, task.attribute, name)
        for name, source in sources.items()
    }
    source = keep_apart(tables["source"], [tables[name] for name in rows if name != "source"])
    source["fold"] = cut(source, task.folds, task)
    if selecting:
        alone = replace(task, ood={HOLDOUT: task.source})
        return TaskData(alone, {"source": sources["source"]}, {"source": source}, selecting=True)
    return TaskData(task, sources, {**tables, "source": source})


def _dataset(rows: Rows) -> str:
    return rows.dataset.partition(":")[0]


def cut(table: pd.DataFrame, n: int, task: Task) -> np.ndarray:
    """Return the fold (N,) of every row under the protocol of the task."""
    return folds(table, n, task=task) if task.protocol == "clean" else image_folds(table, n, task=task)


def _source(rows: Rows, data_dir: Path | None, plugins: Sequence[Path]) -> Source:
    name = _dataset(rows)
    dataset = registry.build("dataset", rows.dataset, plugins)
    assert isinstance(dataset, Dataset)
    folder = data_dir or Path(os.environ.get("BENCH_DATA", "."))
    # The user's own table is looked up from the data folder itself; every other source has its own folder in it.
    root = folder if name == "manifest" else folder / name
    if not dataset.synthetic and not root.is_dir():
        raise DataMissing(
            f"folder {root.absolute()} of dataset {name}",
            get_it=f"{dataset.access} Then pass --data DIR or set BENCH_DATA to the folder that holds {name}/.",
        )
    return Source(dataset, registry.describe(name, dataset), root)
