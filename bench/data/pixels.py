"""How the images of a dataset become pixels, and the folder of the cache of a list of images."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bench.api import Backbone, Dataset
from bench.decode import LEVELS

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
        interpolation, bits: see `bench.api.Input`.
        preparing: the spec and the backbone that prepares each image before it is fitted to its size, if one does.
    """

    dataset: Dataset
    spec: str
    root: Path
    size: int
    channels: int
    crop: str
    cache_dir: Path
    contents: Mapping[str, str] = field(default_factory=dict)
    interpolation: str = "lanczos"
    bits: int = 8
    preparing: tuple[str, Backbone] | None = None

    @property
    def dtype(self) -> np.dtype:
        """The type of a cached value."""
        return np.dtype(LEVELS[self.bits])

    @property
    def image_bytes(self) -> int:
        """The size of a cached image."""
        return self.size**2 * self.channels * self.dtype.itemsize

    def decoded(self, path: str) -> np.ndarray:
        """Return an image as the backbone prepares it, before it is fitted to its size."""
        read = self.dataset.image if self.bits == 8 else self.dataset.deep_image
        pixels = read(self.root, path)
        if pixels.dtype not in ((np.uint8,) if self.bits == 8 else (np.uint8, np.uint16)):
            raise ValueError(f"decoded as {pixels.dtype} {pixels.shape}: uint8 expected")
        return self.preparing[1].prepare(pixels) if self.preparing else pixels

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
            "filter": self.interpolation,
            "n": len(table),
            "images": self._digest(table),
        }
        if self.bits != 8:
            made_from["bits"] = self.bits
        if self.preparing:
            spec, backbone = self.preparing
            made_from["prepared"] = [spec, backbone.prepares]
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.spec).strip("-.")[:60] or "dataset"
        return self.cache_dir / name / f"{self.size}x{self.size}x{self.channels}-{self.crop}-{key[:12]}", made_from

    def _digest(self, table: pd.DataFrame) -> str:
        """Hash uid, path and content of every image: other images under the same names have another cache."""
        lines = (
            f"{uid}\t{path}\t{self.contents.get(path, '')}\n"
            for uid, path in zip(table["uid"].tolist(), table["path"].tolist(), strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def complete(self, table: pd.DataFrame) -> Path | None:
        """Return the folder of the cache of exactly the images in `table`, or None where it is not complete."""
        folder, _ = self.place(table)
        return folder if (folder / "cache.json").is_file() else None


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return uid and path of each image once, sorted by uid."""
    return table[["uid", "path"]].drop_duplicates().sort_values("uid", ignore_index=True)
