"""`bench prepare`: decode the images of a task and download its weights, before any cell needs them."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

from bench import registry
from bench.api import Task
from bench.data.cache import verify
from bench.data.task_data import open_data
from bench.errors import DataInvalid, DataMissing
from bench.running.progress import counting
from bench.settings import Settings
from bench.taskfile import each
from bench.weights import is_file


def prepare_task(settings: Settings, *, check: bool = False) -> int:
    """Build the missing image caches on all cores and print what there is. Return the exit code.

    With `check`, every cached image is compared with its checksum.

    Raises:
        DataMissing: missing images, tables or weights.
        DataInvalid: a cached image that differs from the decoded one.
    """
    settings = replace(settings, task=each(settings.task)[0])  # all findings of a task share its images
    with counting("checksums", "files") as progress:
        data = open_data(settings, unreadable=True, progress=progress)
    if data.vectors:
        for name, table in data.every.items():
            print(f"{name}: {len(table)} {data.input}, which need no preparation")
        return 0
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
    _weights(data.task, settings)
    return 1 if left_out else 0


def _weights(task: Task, settings: Settings) -> None:
    """Download the initial weights of the task's backbones, or say how to get them."""
    from bench.learn.network import initial_weights

    lacking: list[tuple[str, Path]] = []
    for spec in task.backbones:
        backbone = registry.backbone(spec, task.weights, settings.plugins)
        if backbone.weights in ("task", "none"):
            continue
        if is_file(backbone.weights):
            print(f"{spec}: weights in {initial_weights(backbone, backbone.weights)}")
            continue
        found = backbone.weight_file(backbone.weights)
        if found is None:
            print(f"{spec}: starts from random weights, it has none that are called {backbone.weights}")
        elif found[1].is_file() or _downloaded(*found):
            print(f"{spec}: weights in {found[1]}")
        else:
            lacking.append(found)
    if lacking:
        urls = ", ".join(url for url, _ in lacking)
        raise DataMissing(
            f"weights {', '.join(str(file) for _, file in lacking)}",
            get_it=f"They cannot be downloaded from this machine. On a machine with network access, download {urls} "
            'and copy them into that folder (or set TORCH_HOME), or use "TASK:weights=none". All images are prepared.',
        )


def _downloaded(url: str, file: Path) -> bool:
    import torch

    file.parent.mkdir(parents=True, exist_ok=True)
    # torchvision ends the name of a file with the first digits of its hash.
    digits = re.search(r"-([0-9a-f]{8,})$", file.stem)
    try:
        torch.hub.download_url_to_file(
            url, str(file), hash_prefix=digits[1] if digits else None, progress=sys.stderr.isatty()
        )
    except Exception as error:  # network, hash or disk: each library below raises its own errors
        print(f"{url}: {error}", file=sys.stderr)
        return False
    return True
