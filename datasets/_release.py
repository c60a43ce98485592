"""What the official releases share: tables and images somewhere below a folder, read alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from bench.api import Dataset

from ._files import Files, files_below
from ._tables import placed


@dataclass(frozen=True, kw_only=True)
class Release(Dataset):
    """An official release: a subclass names its table and says what the columns of the suite are made of."""

    tables: ClassVar[tuple[str, ...]]
    """File names of the table; the first that is there is read."""
    columns: ClassVar[tuple[str, ...]]
    """Columns of the table that are read."""
    other_names: ClassVar[Mapping[str, str]] = {}
    """What some copies of the table call a column -> its name in `columns`."""
    closed: ClassVar[str] = "(?!)"
    """Folders whose whole name matches are not searched, see `files_below`."""

    @property
    def name(self) -> str:
        """The name of the plugin, with which each uid begins."""
        return type(self).__module__.rpartition(".")[2]

    def table(self, root: Path) -> pd.DataFrame:
        """Return the columns of the contract and those that `values` names.

        Raises:
            DataMissing: no table or no images.
            DataInvalid: a value that the release does not have.
        """
        files = files_below(root, closed=self.closed)
        official = self.read(files)
        rows = self.rows(official)
        return placed(rows, self.images(files, rows, official), files, get_it=self.access)

    def read(self, files: Files) -> Any:
        """Return the official table, as text."""
        return files.table(self.tables, self.columns, get_it=self.access, other_names=self.other_names)

    def rows(self, official: Any) -> pd.DataFrame:
        """Turn what `read` returned into the suite's table, with a column `image` instead of `path`."""
        values = self.values(official)
        table = pd.DataFrame({"source": self.name, "drop": ""} | values)
        table["uid"] = f"{self.name}:" + table["uid"]
        table.attrs["file"] = official.attrs["file"]
        return table

    @abstractmethod
    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Return the columns of the suite: `image` (the file's name), `uid` less the dataset's name, and the others."""

    def images(self, files: Files, rows: pd.DataFrame, official: Any) -> Mapping[str, str]:
        """Map `image`, in lower case, to the path of its file."""
        return files.images()

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write a tree of generated images; `docs/phantoms.md` says what is planted in it."""
        from . import _chest_trees, _skin_trees  # late: whoever reads a release draws no image

        trees = _chest_trees if "pneumothorax" in self.labels else _skin_trees
        return getattr(trees, self.name)(root, images=images, seed=seed, progress=progress)
