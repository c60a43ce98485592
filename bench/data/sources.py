"""The datasets that a task names, built from their specs, and their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import registry
from bench.api import Dataset
from bench.data.phantom_tree import is_phantom
from bench.errors import DataError, DataInvalid, DataMissing
from bench.spec import describe, name_of

OWN_FILES = ("manifest", "embeddings")
"""Datasets that are files of the user's."""


@dataclass(frozen=True)
class Source:
    """A dataset of a task: the plugin, its canonical spec, and its folder."""

    dataset: Dataset
    spec: str
    root: Path

    @property
    def synthetic(self) -> bool:
        """True for generated images: drawn by the plugin, in a folder of `bench phantom`, or features of them."""
        return self.dataset.synthetic or is_phantom(self.root) or bool(getattr(self.dataset, "generated", False))


def require_depth(source: Source, bits: int, backbone: str) -> None:
    """Raise DataInvalid where a backbone wants more grey levels than a source of real images decodes."""
    if bits != 8 and source.dataset.shallow and not source.dataset.synthetic:
        raise DataInvalid(
            f"{backbone} wants images of {bits} bits, and {type(source.dataset).__name__} decodes them with 8: give "
            "its class a `deep_image` beside `image`, or choose another backbone"
        )


def require_folders(sources: Iterable[Source]) -> None:
    """Raise DataMissing for a source of images that are not generated and whose folder does not exist."""
    for source in sources:
        if not source.dataset.synthetic and not source.root.is_dir():
            name = name_of(source.spec)
            then = f"Then pass --data DIR or set BENCH_DATA to the folder that contains {name}/."
            missing = f"folder {source.root.absolute()} of dataset {name}"
            raise DataMissing(missing, get_it=f"{source.dataset.access} {then}", code="D001")


def require_one_kind(sources: Mapping[str, Source], task: str) -> None:
    """Raise DataError where some sets of a task are generated and others are real."""
    fake = [name for name, source in sources.items() if source.synthetic]
    if 0 < len(fake) < len(sources):
        raise DataError(f"task {task} mixes generated images ({', '.join(fake)}) with real ones", code="D071")


def source_of(spec: str, data_dir: Path | None, plugins: Sequence[Path]) -> Source:
    """Return the dataset of a spec and its folder, which need not exist."""
    name = name_of(spec)
    dataset = registry.DATASETS.build(spec, plugins)
    folder = data_dir or Path(os.environ.get("BENCH_DATA", "."))
    # Paths of the user's own files start at the data folder; every other source has its own folder in it.
    root = folder if name in OWN_FILES else folder / name
    return Source(dataset, describe(name, dataset), root)
