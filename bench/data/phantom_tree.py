"""`bench phantom`: generated images in the layout of an official release, and the mark by which they are known."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench import registry
from bench.api import Dataset
from bench.errors import NotWritten, UsageError
from bench.spec import describe, name_of

Progress = Callable[[str, int, int], None]
MARKER = "PHANTOM.json"
"""The file in the root of every tree of generated images: what drew them, and what is planted."""
NOTICE = "SYNTHETIC PHANTOM: generated images, nobody's data, no evidence about medicine."


def is_phantom(root: Path) -> bool:
    """Return whether the folder of a dataset holds generated images."""
    return (root / MARKER).is_file()


def offers(cls: type) -> bool:
    """Return whether a plugin writes phantom trees."""
    return issubclass(cls, Dataset) and cls.phantom is not Dataset.phantom


def write_trees(
    names: Sequence[str], out: Path, *, images: int, seed: int, progress: Progress, plugins: Sequence[Path] = ()
) -> list[Path]:
    """Write one tree for each dataset, `out/NAME`, whole or not at all; return the folders.

    `progress` is told (name, pictures drawn, of how many).

    Raises:
        UnknownName: a dataset that is not there.
        UsageError: a dataset without phantom trees, a name twice, or a folder that holds something; nothing is written.
        NotWritten: a folder that cannot be written, or a full disk.
    """
    datasets: dict[str, Dataset] = {}
    for given in names:
        dataset = registry.DATASETS.build(given, plugins)
        name = describe(name_of(given), dataset)
        if not offers(type(dataset)):
            able = [
                known
                for known in registry.DATASETS.catalogue(plugins)
                if offers(registry.DATASETS.load(known, plugins))
            ]
            raise UsageError(f"dataset {name} has no phantom tree; those that do: {', '.join(able)}")
        if name != name_of(name) or name in datasets:
            why = "it is named twice" if name in datasets else "its parameters are not read here"
            raise UsageError(f"dataset {name}: {why}; give each name once, alone")
        datasets[name] = dataset
    taken = [out / name for name in datasets if _holds_something(out / name)]
    if taken:
        raise UsageError(f"{', '.join(map(str, taken))} is not empty and is left as it is; choose another --out")
    for name, dataset in datasets.items():
        _write(name, dataset, out / name, images=images, seed=seed, progress=progress)
    return [out / name for name in datasets]


def _holds_something(folder: Path) -> bool:
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


def _write(name: str, dataset: Dataset, folder: Path, *, images: int, seed: int, progress: Progress) -> None:
    part = folder.with_name(f".{name}.part-{os.getpid()}")
    try:
        part.mkdir(parents=True)
        facts = dataset.phantom(part, images=images, seed=seed, progress=partial(progress, name))
        record = {"notice": NOTICE, "dataset": name, "images": images, "seed": seed, **facts}
        (part / MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        part.replace(folder)  # an empty folder gives way
    except OSError as error:
        raise NotWritten(f"phantom tree {folder} cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
