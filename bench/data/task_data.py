"""The data of a task: its sets of images, its folds, and the external set of each fold."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import registry, taskfile
from bench.api import Backbone, Input, Task
from bench.data import split_manifest
from bench.data.cache import ImageCache, image_cache, open_cache
from bench.data.checksums import checksums
from bench.data.content_notes import note_contents
from bench.data.decoding import few_levels
from bench.data.external import HOLDOUT, external_set, held_out
from bench.data.finding_columns import combined, of_finding
from bench.data.folds import cut
from bench.data.group_pair import Pair, of_pair
from bench.data.pixels import Pixels
from bench.data.sample_table import fingerprint
from bench.data.sources import Source as Source
from bench.data.sources import require_depth
from bench.data.sources import source_of as source_of
from bench.data.task_tables import read_tables
from bench.data.unreadable import Unreadable, lines, list_file, listed, without
from bench.data.user_checkpoint import UserCheckpoint
from bench.data.vectors import Vectors, fitting, of_vectors, open_vectors, vectors_of
from bench.errors import DataError, EmptyGroup
from bench.settings import Settings
from bench.spec import name_of


@dataclass(frozen=True)
class TaskData:
    """All tables of a task.

    Args:
        tables: "source" (with a column `fold`) and each test set.
        pair: for an attribute of several groups, the two groups of the external set, which a baseline chooses. There is
            no external set before.
        selecting: whether settings are being selected. Then the holdout of a fold replaces the test sets, and `val` and
            `external` come from the rest of the validation part.
        unreadable: the images of each set that its table lacks because they cannot be read.
        user_checkpoint: the user's own baseline; without it each fold trains one.
        backbone: the spec of the network that images are for; empty: the first of the task.
        plugins: the files that it may come from.
        contents: for each set, the path of every image and the checksum of its file (`bench.data.checksums`).
        whole: of a task of several findings, the tables with the images of all (`bench.data.finding_columns`).
        combinations: of `joint`, the labels (C, K) of each number in `y`; NaN is not known.
    """

    task: Task
    sources: Mapping[str, Source]
    tables: Mapping[str, pd.DataFrame]
    pair: Pair | None = None
    selecting: bool = False
    unreadable: Mapping[str, tuple[Unreadable, ...]] = field(default_factory=dict)
    user_checkpoint: UserCheckpoint | None = None
    backbone: str = ""
    plugins: tuple[Path, ...] = ()
    contents: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: defaultdict(dict))
    whole: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    combinations: np.ndarray | None = None
    _splits: dict[tuple[str, int], pd.DataFrame] = field(default_factory=dict, init=False, repr=False)
    _fingerprints: dict[tuple[str, int, bool], dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    @property
    def synthetic(self) -> bool:
        """True where every image is generated."""
        return self.sources["source"].synthetic

    @property
    def every(self) -> Mapping[str, pd.DataFrame]:
        """The tables with all images: those of every finding, which share image caches."""
        return self.whole or self.tables

    @cached_property
    def joint(self) -> TaskData:
        """What baselines are trained on: with several findings the images of all, `y` a number of `combinations`."""
        if not self.whole:
            return self
        swapped = self.task.polarity == "clinical"
        source, values = combined(self.whole["source"], self.task.labels, swapped=swapped)
        task = replace(self.task, polarity="paper")
        return replace(self, task=task, tables={"source": source}, whole={}, combinations=values)

    def for_finding(self, task: Task) -> TaskData:
        """Return the data of one finding of a task of several; `task` names it."""
        return replace(
            self, task=task, tables={name: of_finding(one, task.finding) for name, one in self.whole.items()}
        )

    @cached_property
    def vectors(self) -> dict[str, Vectors]:
        """The vectors of each set; empty where the sources hold images."""
        return vectors_of(self.sources)

    @property
    def unpaired(self) -> bool:
        """True where the external set must wait until a baseline has chosen its pair of groups."""
        return self.task.attribute.grouped and self.pair is None

    def split(self, name: str, fold: int) -> pd.DataFrame:
        """Return the rows of a part of a fold (`FOLD_SPLITS`) or of an out-of-distribution set.

        Raises:
            EmptyGroup: the external set of the fold cannot be balanced, or its pair of groups is not chosen yet.
            DataInvalid: too few patients for a holdout.
        """
        if (name, fold) not in self._splits:
            tested = name in self.tables and name != "source"
            part = self.tables[name] if tested else self._part(name, fold)
            # Labels are inverted last, so that both polarities have the same images in every split.
            self._splits[name, fold] = part if self.task.polarity == "paper" else part.assign(y=1 - part["y"])
        return self._splits[name, fold]

    def _part(self, name: str, fold: int) -> pd.DataFrame:
        if name.endswith("_inner"):
            train = self._part("train", fold)
            inner = cut(train, 10, self.task) == 0
            return train[inner if name == "val_inner" else ~inner].reset_index(drop=True)
        source = self.tables["source"]
        others = ~source["fold"].isin((fold, split_manifest.NO_PART))
        part = source[others if name == "train" else source["fold"] == fold].reset_index(drop=True)
        if self.selecting and name != "train":
            held = held_out(part, (0, name_of(self.task.name), fold), task=self.task)
            part = part[held == (name == HOLDOUT)].reset_index(drop=True)
        if name != "external":
            return part
        # A manifest is for the whole validation part; without the holdout, the external set is always drawn.
        if not self.selecting and (manifest := split_manifest.external_of(part)) is not None:
            return manifest
        if self.task.attribute.grouped:
            if self.pair is None:
                raise EmptyGroup(f"task {self.task.name}, fold {fold}: the pair of groups is not chosen yet")
            part = of_pair(part, self.pair)
        return external_set(part, (0, name_of(self.task.name), fold, self.task.attribute.column), task=self.task)

    def fingerprint(self, name: str, fold: int, *, groups: bool = True) -> dict[str, Any]:
        """Return the number of images of a split, and a hash of its images, labels and, unless set false, `groups`."""
        fold = 0 if name in self.tables and name != "source" else fold  # a test set is the same in all folds
        if (name, fold, groups) not in self._fingerprints:
            table, contents = self.split(name, fold), self.contents.get(name, self.contents["source"])
            table = table if groups else table.drop(columns="a")
            self._fingerprints[name, fold, groups] = fingerprint(table, contents)
        return self._fingerprints[name, fold, groups]

    def cut(self) -> pd.DataFrame:
        """Return the cut as in a split manifest: uid, fold and external of every source image, sorted by uid."""
        by_rule = split_manifest.BY_RULE
        table = self.tables["source"][["uid", "fold"]].assign(external=by_rule)
        for fold in range(self.task.folds):
            try:
                times = self.split("external", fold)["uid"].value_counts()
            except EmptyGroup:  # it cannot be balanced, or its groups are not chosen yet
                continue
            of_fold = table["fold"] == fold
            table.loc[of_fold, "external"] = table.loc[of_fold, "uid"].map(times).fillna(0).astype(np.int64)
        uids = [image.uid for image in self.unreadable.get("source", ())]
        lacking = pd.DataFrame({"uid": uids, "fold": split_manifest.NO_PART, "external": by_rule})
        lacking = lacking.astype({"uid": table["uid"].dtype})
        return pd.concat([table, lacking]).sort_values("uid", kind="stable", ignore_index=True)

    def repeats(self, fold: int) -> int:
        """Return how many images of the external set of a fold are repeats, drawn because others are lacking."""
        return sum(self.split("external", fold).attrs["shortfall"].values())

    def with_contents(
        self, cache_dir: Path, *, progress: Callable[[str, int, int], None] | None = None, **how: bool
    ) -> TaskData:
        """Return the tables with the checksums of their files; `how`: see `checksums`; raises as `note_contents`."""
        found: dict[str, pd.Series] = {}
        for name, table in self.every.items():
            told = partial(progress, name) if progress else None
            root, given = self.sources[name].root, self.vectors.get(name)
            if given:
                found[name] = of_vectors(given, table)
            else:
                found[name] = checksums(root, list(table["path"]), cache_dir, progress=told, **how)
        note_contents(self.tables, found)
        return replace(self, contents={name: shas.to_dict() for name, shas in found.items()})  # `dict` asks one by one

    def check_unchanged(self, cache_dir: Path, caches: Mapping[str, ImageCache]) -> None:
        """Raise DataError, and remove the cache, where files changed since their checksums: while they were decoded."""
        for name, now in self.with_contents(cache_dir).contents.items():
            if changed := [path for path, sha in now.items() if sha != self.contents[name][path]]:
                shutil.rmtree(caches[name].folder, ignore_errors=True)  # vectors have none
                raise DataError(
                    f"{len(changed)} files of {name} changed while they were decoded, first {changed[0]}: nothing is "
                    "computed from them; run the same command again"
                )

    def readable(self, cache_dir: Path) -> TaskData:
        """Return the tables without the images that could not be read when the caches were built; decode nothing.

        The folds of all other images stay as they are. The rows are counted in `attrs["left_out"]` as FILE_CORRUPT.

        Raises:
            DataError: the user's split manifest has one of these images.
        """
        found = self.found_unreadable(cache_dir)
        split_manifest.check_readable(self.tables["source"], found["source"])
        tables, whole = (
            {name: without(one, found[name]) if found.get(name) else one for name, one in every.items()}
            for every in (self.tables, self.whole)
        )
        return replace(self, tables=tables, whole=whole, unreadable=found)

    def found_unreadable(self, cache_dir: Path) -> dict[str, tuple[Unreadable, ...]]:
        """Return, for each set, the images that could not be read and whose files have not changed since."""
        return {name: listed(self._place(name, cache_dir), source.root) for name, source in self.sources.items()}

    def left_out(self, cache_dir: Path) -> list[str]:
        """Return a text for each set with unreadable images: which they are, why, and what to do."""
        return [
            f"{len(images)} of {len(images) + len(self.tables[name])} images of {name} cannot be read; all cells are "
            f"computed without them. {self.tables[name].attrs['file']}, column 'path':"
            + "".join(f"\n  {line}" for line in lines(images))
            + f"\n  Replace the files or delete their rows; listed in {list_file(self._place(name, cache_dir))}"
            for name, images in self.unreadable.items()
            if images
        ]

    def few_levels(self, cache_dir: Path) -> list[str]:
        """Return, for each set whose cache exists, a warning where files use few of the grey levels they could."""
        caches = {name: self.cached(name, cache_dir) for name in self.tables}
        indexes = {name: pd.read_parquet(cache.folder / "index.parquet") for name, cache in caches.items() if cache}
        told = {name: few_levels(index, self.sources[name].dataset) for name, index in indexes.items()}
        return [f"{name}: {text}" for name, (text, few) in told.items() if len(few)]

    def caches(
        self, cache_dir: Path, *, jobs: int = 1, progress: Callable[[str, int, int], None] | None = None
    ) -> dict[str, ImageCache]:
        """Return the image cache of "source" and of each out-of-distribution set; build the missing ones."""
        if self.vectors:
            place = cache_dir / "vectors"
            return {name: open_vectors(found, self.every[name], place) for name, found in self.vectors.items()}
        return {
            name: image_cache(
                self.pixels(name, cache_dir),
                self._images(name),
                jobs=jobs,
                progress=partial(progress, name) if progress else None,
            )
            for name in self.sources
        }

    def cached(self, name: str, cache_dir: Path) -> ImageCache | None:
        """Return the image cache of a set, or None where it does not exist; build nothing."""
        folder = self.pixels(name, cache_dir).complete(self.every[name])
        return open_cache(folder) if folder else None

    @property
    def network(self) -> Backbone:
        """The network that images are for, see `network_of`."""
        return self.network_of(self.backbone or self.task.backbones[0])

    def network_of(self, spec: str) -> Backbone:
        """Return a backbone with the initial weights of the task.

        Raises:
            UnknownName, UsageError: there is no such backbone, or it does not know these weights.
            DataMissing: a package that it needs is not installed.
        """
        return fitting(registry.backbone(spec, self.task.weights, self.plugins), spec, self.vectors)

    @property
    def input(self) -> Input:
        """What the network is given, at the image size of the task."""
        given = replace(self.network.input, size=self.task.image_size)
        return self.task.baseline.of(given) if self.user_checkpoint else given

    def pixels(self, name: str, cache_dir: Path) -> Pixels:
        """Return how the images of a set become pixels."""
        source, task, given = self.sources[name], self.task, self.input
        backbone = self.backbone or task.backbones[0]
        require_depth(source, given.bits, backbone)
        how = (given.size, min(task.channels, given.channels), task.crop, cache_dir / "images", self.contents[name])
        preparing = (backbone, self.network) if self.network.prepares else None
        return Pixels(source.dataset, source.spec, source.root, *how, given.interpolation, given.bits, preparing)

    def _images(self, name: str) -> pd.DataFrame:
        """Return uid and path of all images of a set, readable or not."""
        columns, unreadable = ["uid", "path"], map(asdict, self.unreadable.get(name, ()))
        return pd.concat([self.every[name][columns], pd.DataFrame(unreadable, columns=columns, dtype=str)])

    def _place(self, name: str, cache_dir: Path) -> Path:
        return self.pixels(name, cache_dir).place(self._images(name))[0]


def task_data(
    task: Task,
    data_dir: Path | None,
    plugins: Sequence[Path] = (),
    *,
    selecting: bool = False,
    manifest: Path | None = None,
    baseline: Path | None = None,
) -> TaskData:
    """Read the tables of a task and cut its folds, or take them from a `manifest` of splits. No image is read.

    `baseline` is the user's own checkpoint, see `bench.data.user_checkpoint`.

    With `selecting`, the result has no test set. Test sets of another dataset than the source's are not opened. Those
    of the same dataset are read only for their patients, none of whom may be trained on.

    Raises:
        DataMissing, DataInvalid: a dataset lacks something; the message says where to get it.
        DataError: generated and real images are mixed in one task, or the manifest does not fit.
    """
    sources, tables = read_tables(task, data_dir, plugins, selecting=selecting, manifest=manifest)
    own = UserCheckpoint(baseline) if baseline else None
    if selecting:
        task = replace(task, ood={HOLDOUT: task.source})
        sources, tables = {"source": sources["source"]}, {"source": tables["source"]}
    data = TaskData(task, sources, tables, selecting=selecting, user_checkpoint=own)
    return replace(data, whole=tables).for_finding(task) if task.labels else data


def open_data(settings: Settings, *, unreadable: bool = False, **how: Any) -> TaskData:
    """Read the tables of the task that the settings name, and the checksums of their files; `how`: see `checksums`.

    Unreadable images are left out unless `unreadable` is set.

    Raises:
        UnknownName, UsageError: the task does not exist, or one of its values is not allowed.
        DataError: as for `task_data`.
    """
    task = taskfile.resolve(settings.task)
    data = task_data(
        task,
        settings.data,
        settings.plugins,
        selecting=settings.selecting,
        manifest=settings.splits,
        baseline=settings.baseline,
    )
    data = replace(data, backbone=settings.backbone or "", plugins=settings.plugins)
    data = data.with_contents(settings.cache, **how)
    return data if unreadable else data.readable(settings.cache)
