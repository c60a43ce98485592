"""The base of the official releases: tables and images in any folder below a root."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from bench.api import Dataset
from bench.data.release_files import Files, files_below
from bench.errors import DataMissing


@dataclass(frozen=True, kw_only=True)
class Release(Dataset):
    """An official release: a subclass names its table and computes the columns of the suite from it."""

    tables: ClassVar[tuple[str, ...]]
    """File names of the table; the first that exists is read."""
    columns: ClassVar[tuple[str, ...]]
    """The columns of the table that are read."""
    other_names: ClassVar[Mapping[str, str]] = {}
    """The name of a column in some copies of the table -> its name in `columns`."""
    closed: ClassVar[str] = "(?!)"
    """A folder whose name matches is not searched, see `files_below`."""

    @property
    def name(self) -> str:
        """The name of the plugin, with which each uid starts."""
        return type(self).__module__.rpartition(".")[2]

    def table(self, root: Path) -> pd.DataFrame:
        """Return the columns of the contract and those of `values`.

        Raises:
            DataMissing: the table or all images are missing.
            DataInvalid: a value is not one of the release.
        """
        files = files_below(root, closed=self.closed)
        official = self.read(files)
        rows = self.rows(official)
        path = rows["image"].str.lower().map(self.images(files, rows, official))
        used = rows["drop"] == ""
        if used.any() and path[used].isna().all():
            missing = f"{int(used.sum())} images, first {rows['image'][used].iloc[0]}, in {root} or a folder in it"
            raise DataMissing(missing, get_it=self.access, code="D020")
        drop = rows["drop"].mask(used & path.isna(), "FILE_MISSING")
        return rows.assign(path=path.fillna(""), drop=drop).drop(columns="image")

    def read(self, files: Files) -> Any:
        """Return the official table, as text."""
        return files.table(self.tables, self.columns, get_it=self.access, other_names=self.other_names)

    def rows(self, official: Any) -> pd.DataFrame:
        """Turn the result of `read` into the suite's table, with a column `image` instead of `path`."""
        values = self.values(official)
        usual = {"source": self.name, "drop": "", "uid": "", "image": values["uid"], "patient": values["uid"]}
        table = pd.DataFrame(usual | values)
        table["uid"] = f"{self.name}:" + table["uid"]
        table.attrs["file"] = official.attrs["file"]
        return table

    @abstractmethod
    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Return the columns of the suite, `uid` without the name of the dataset, and `image`, the name of the file.

        By default image and patient are the uid, the source is the dataset, and no row is dropped.
        """

    def images(self, files: Files, rows: pd.DataFrame, official: Any) -> Mapping[str, str]:
        """Map `image`, in lower case, to the path of its file; a missing file becomes the reason FILE_MISSING."""
        return files.images()

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write a tree of generated images; `docs/phantoms.md` describes the planted bias and faults."""
        from . import _chest_trees, _skin_trees, _trees  # here, because reading a release draws no image

        tree = _trees.Tree(self.name, root, images, seed, progress)
        layouts = _chest_trees if tree.source.family == "chest" else _skin_trees
        for picture in tree.pictures():
            getattr(layouts, self.name)(tree, picture)
        tree.write_tables(layouts.TABLES[self.name])
        return tree.facts()
