"""How the images of a dataset become pixels, and the folder of the cache of a list of images."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bench.api import Dataset

SCHEMA = 4
"""Increased when the same files give other pixels or other facts."""


@dataclass(frozen=True)
class Pixels:
    """How the images of a dataset become pixels, and where the caches are.

    Args:
        dataset: decodes the files.
        spec: name and parameters of the dataset, as in `Rows.dataset`.
        root: the folder of the dataset.
        size: S, pixels of each side.
        channels: 1 or 3.
        crop: "centre" cuts images to their shorter side before the resize, "none" ignores the aspect ratio.
        cache_dir: the folder of all caches.
        contents: path -> SHA-256 of the file; generated images have none.
    """

    dataset: Dataset
    spec: str
    root: Path
    size: int
    channels: int
    crop: str
    cache_dir: Path
    contents: Mapping[str, str] = field(default_factory=dict)

    def place(self, table: pd.DataFrame) -> tuple[Path, dict[str, object]]:
        """Return the folder of the cache of exactly the images in `table`, and the description of the cache."""
        table = in_order(table)
        made_from: dict[str, object] = {
            "schema": SCHEMA,
            "dataset": self.spec,
            "version": self.dataset.version,
            "size": self.size,
            "channels": self.channels,
            "crop": self.crop,
            "filter": "lanczos",
            "n": len(table),
            "images": self._digest(table),
        }
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.spec).strip("-.")[:60] or "dataset"
        return self.cache_dir / name / f"{self.size}x{self.size}x{self.channels}-{self.crop}-{key[:12]}", made_from

    def _digest(self, table: pd.DataFrame) -> str:
        """Hash uid, path and content of every image: other images under the same names have another cache."""
        lines = (
            f"{uid}\t{path}\t{self.contents.get(path, '')}\n"
            for uid, path in zip(table["uid"], table["path"], strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def complete(self, table: pd.DataFrame) -> Path | None:
        """Return the folder of the cache of exactly the images in `table`, or None where it is not complete."""
        folder, _ = self.place(table)
        return folder if (folder / "cache.json").is_file() else None


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return uid and path of each image once, sorted by uid."""
    return table[["uid", "path"]].drop_duplicates().sort_values("uid", ignore_index=True)
