"""`bench prepare`: decode the images of a task and fetch its weights, before any cell needs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench import taskfile
from bench.api import Task
from bench.data.cache import ImageCache, verify
from bench.data.task_data import open_data
from bench.errors import DataInvalid, DataMissing
from bench.run.progress import counting
from bench.settings import Settings


def prepare_task(settings: Settings, *, check: bool = False) -> int:
    """Build what is missing of the image caches, on all cores; say what there is. Return the exit code.

    With `check` every row is held against its checksum.

    Raises:
        DataMissing: images, tables or weights that are not there.
        DataInvalid: a row that is not what was decoded.
    """
    task = taskfile.resolve(settings.task)
    data = open_data(settings, unreadable=True)
    with counting("images") as progress:
        caches = data.caches(settings.cache, jobs=settings.jobs or os.cpu_count() or 1, progress=progress)
    for name, cache in caches.items():
        size = cache.array.nbytes
        print(f"{name}: {len(cache.uids)} images, {size / 1e9:.3f} GB in {cache.folder}")
    readable = data.readable(settings.cache)
    left_out = readable.left_out(settings.cache)
    for text in left_out:
        print(f"left out: {text}", file=sys.stderr)
    if check:
        _check(caches)
    _weights(task)
    return 1 if left_out else 0


def _check(caches: dict[str, ImageCache]) -> None:
    for name, cache in caches.items():
        wrong = verify(cache)
        if wrong:
            raise DataInvalid(
                f"{cache.folder}: {len(wrong)} of {len(cache.uids)} images of {name} are not what was decoded, first "
                f"{wrong[0]}: delete the folder, it is built again"
            )
        print(f"{name}: all checksums hold")


def _weights(task: Task) -> None:
    """Fetch the ImageNet weights of the task's backbones, or say how to get them."""
    wanted = [backbone for backbone in task.backbones if backbone != "small"] if task.weights == "imagenet" else []
    lacking: list[tuple[str, Path]] = []
    for backbone in wanted:
        from bench.learn.network import imagenet_weights

        url, file = imagenet_weights(backbone)
        if file.is_file() or _fetched(url, file):
            print(f"{backbone}: weights in {file}")
        else:
            lacking.append((url, file))
    if lacking:
        urls = ", ".join(url for url, _ in lacking)
        raise DataMissing(
            f"ImageNet weights {', '.join(str(file) for _, file in lacking)}",
            get_it=f"They could not be fetched from here. On a machine with network fetch {urls} and copy them into "
            'that folder (or set TORCH_HOME), or take "TASK:weights=none". All images are prepared.',
        )


def _fetched(url: str, file: Path) -> bool:
    import torch

    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            url, str(file), hash_prefix=file.stem.rpartition("-")[2], progress=sys.stderr.isatty()
        )
    except Exception as error:  # of the network, of the hash, of the disk: each library below has its own
        print(f"{url}: {error}", file=sys.stderr)
        return False
    return True
