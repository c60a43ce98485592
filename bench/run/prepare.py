"""`bench prepare`: decode the images of a task and download its weights, before any cell needs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.api import Task
from bench.data.cache import verify
from bench.data.task_data import open_data
from bench.errors import DataInvalid, DataMissing
from bench.run.progress import counting
from bench.settings import Settings


def prepare_task(settings: Settings, *, check: bool = False) -> int:
    """Build the missing image caches on all cores and print what there is. Return the exit code.

    With `check`, every cached image is compared with its checksum.

    Raises:
        DataMissing: missing images, tables or weights.
        DataInvalid: a cached image that differs from the decoded one.
    """
    with counting("checksums", "files") as progress:
        data = open_data(settings, unreadable=True, progress=progress)
    with counting("images") as progress:
        caches = data.caches(settings.cache, jobs=settings.jobs or os.cpu_count() or 1, progress=progress)
    data.check_unchanged(settings.cache, caches)
    for name, cache in caches.items():
        print(f"{name}: {len(cache.uids)} images, {cache.array.nbytes / 1e9:.3f} GB in {cache.folder}")
    readable = data.readable(settings.cache)
    left_out = readable.left_out(settings.cache)
    for text in left_out:
        print(f"left out: {text}", file=sys.stderr)
    for text in readable.few_levels(settings.cache):
        print(f"warning: {text}", file=sys.stderr)
    for name, cache in caches.items() if check else ():
        if wrong := verify(cache):
            raise DataInvalid(
                f"{cache.folder}: {len(wrong)} of {len(cache.uids)} images of {name} do not match their checksum, "
                f"first {wrong[0]}: delete the folder, and it will be built again"
            )
        print(f"{name}: all checksums match")
    _weights(data.task)
    return 1 if left_out else 0


def _weights(task: Task) -> None:
    """Download the ImageNet weights of the task's backbones, or say how to get them."""
    lacking: list[tuple[str, Path]] = []
    for backbone in task.backbones if task.weights != "none" else ():
        from bench.learn.network import imagenet_weights

        if backbone == "small":
            continue  # it has no ImageNet weights
        url, file = imagenet_weights(backbone, task.weights)
        if file.is_file() or _downloaded(url, file):
            print(f"{backbone}: weights in {file}")
        else:
            lacking.append((url, file))
    if lacking:
        urls = ", ".join(url for url, _ in lacking)
        raise DataMissing(
            f"ImageNet weights {', '.join(str(file) for _, file in lacking)}",
            get_it=f"They cannot be downloaded from this machine. On a machine with network access, download {urls} "
            'and copy them into that folder (or set TORCH_HOME), or use "TASK:weights=none". All images are prepared.',
        )


def _downloaded(url: str, file: Path) -> bool:
    import torch

    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            url, str(file), hash_prefix=file.stem.rpartition("-")[2], progress=sys.stderr.isatty()
        )
    except Exception as error:  # network, hash or disk: each library below raises its own errors
        print(f"{url}: {error}", file=sys.stderr)
        return False
    return True
