"""`bench phantom`: generated images in the layout of an official release, and the file that marks them."""

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
"""The file in the root of every tree of generated images: how they were drawn, and which bias is planted."""
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
    """Write one tree for each dataset to `out/NAME`, complete or not at all; return the folders.

    `progress` is called with the name, and the numbers of pictures drawn and in total.

    Raises:
        UnknownName: a dataset does not exist.
        UsageError: a dataset has no phantom tree, is named twice, or its folder is not empty. Nothing is written then.
        NotWritten: the folder cannot be written, or the disk is full.
    """
    datasets: dict[str, Dataset] = {}
    for given in names:
        dataset = registry.DATASETS.build(given, plugins)
        name = describe(name_of(given), dataset)
        if not offers(type(dataset)):
            known = registry.DATASETS.catalogue(plugins)
            able = [other for other in known if offers(registry.DATASETS.load(other, plugins))]
            raise UsageError(f"dataset {name} has no phantom tree; those that have one: {', '.join(able)}")
        if name != name_of(name) or name in datasets:
            why = "it is named twice" if name in datasets else "phantom trees have no parameters"
            raise UsageError(f"dataset {name}: {why}; give each name once, without parameters")
        datasets[name] = dataset
    folders = [out / name for name in datasets]
    taken = [str(folder) for folder in folders if folder.is_file() or (folder.is_dir() and any(folder.iterdir()))]
    if taken:
        raise UsageError(f"{', '.join(taken)} is not empty and is left as it is; choose another --out")
    for name, dataset in datasets.items():
        _write(name, dataset, out / name, images=images, seed=seed, progress=progress)
    return folders


def _write(name: str, dataset: Dataset, folder: Path, *, images: int, seed: int, progress: Progress) -> None:
    part = folder.with_name(f".{name}.part-{os.getpid()}")
    try:
        part.mkdir(parents=True)
        facts = dataset.phantom(part, images=images, seed=seed, progress=partial(progress, name))
        record = {"notice": NOTICE, "dataset": name, "images": images, "seed": seed, **facts}
        (part / MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        part.replace(folder)  # replaces an empty folder
    except OSError as error:
        raise NotWritten(f"phantom tree {folder} cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
