"""Features of a frozen extractor, computed once for each image and augmentation that training needs."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bench.api import Run, Split
from bench.data.to_device import to_device
from bench.learn.chunks import in_chunks, run_in_chunks


class _Table:
    """The features of augmented images that were computed so far."""

    def __init__(self, images: int, augmentations: int) -> None:
        # On the host, and in NumPy, so that it is certain that no device is waited for. -1: not computed yet.
        self.row = np.full(images * augmentations, -1)
        self.values = torch.empty(0)
        self.used = 0


_last: dict[str, _Table] = {}
"""The table of the last extractor, which the next settings of an ablation with the same extractor use."""


class FrozenFeatures:
    """Features (D,) of the images of a split under each augmentation, computed when first asked for.

    They are exact, up to the rounding of kernels that depend on the batch size, because the extractor is in evaluation
    mode and does not change. They take at most N * augmentations * D * 4 bytes. If a split has too many augmentations
    to list, only features of upright images are available. With `run` and `stage`, a later cell with an equal extractor
    and the same draws uses the computed features; their passes count as if it had made them.
    """

    def __init__(self, features: nn.Module, split: Split, batch: int, run: Run | None = None, stage: str = "") -> None:
        self._features, self._split, self._batch, self._run = features, split, batch, run
        self._what, self._log = f"{stage or 'head'}, frozen features", None if run is None else run.log
        self._augmentations = split.augmentations or 1
        self._seen = np.zeros(len(split) * self._augmentations, dtype=bool)
        self._table = _Table(len(split), self._augmentations)
        if run is not None:
            key = _identity(features, split, batch, run.rng(stage).initial_seed())
            kept = _last.get(key, self._table)
            _last.clear()
            self._table = _last[key] = kept

    @torch.no_grad()
    def __call__(self, index: Tensor, augmentation: Tensor) -> Tensor:
        """Return the features (B, D) of images `index` (B,), each with its `augmentation` (B,)."""
        table = self._table
        asked = (index * self._augmentations + augmentation).numpy()
        new = np.unique(asked[~self._seen[asked]])
        self._seen[asked] = True
        wanted = new[table.row[new] < 0]
        if self._run is not None and len(new) > len(wanted):
            self._run.count(forward=len(new) - len(wanted))
        for start in range(0, len(wanted), self._batch):
            part = wanted[start : start + self._batch]
            images = self._split.images(*map(torch.from_numpy, np.divmod(part, self._augmentations)))
            work = partial(in_chunks, self._features, images)
            computed = run_in_chunks(self._features, len(part), work, what=self._what, log=self._log)
            if not table.used:
                # Space for every augmentation; the system provides memory only when it is written.
                table.values = computed.new_empty(self._augmentations * len(self._split), computed.shape[1])
            end = table.used + len(part)
            table.values[table.used : end] = computed
            table.row[part] = np.arange(table.used, end)
            table.used = end
        return table.values[to_device(torch.from_numpy(table.row[asked]), table.values.device)]

    def upright(self) -> Tensor:
        """Return the features (N, D) of all images without augmentation."""
        return self(torch.arange(len(self._split)), torch.zeros(len(self._split), dtype=torch.int64))


def _identity(features: nn.Module, split: Split, batch: int, seed: int) -> str:
    """Hash everything that a table depends on: extractor, images (names, labels, the first four), draws and device."""
    digest = hashlib.sha256(f"{features} {split.name} {len(split)} {batch} {seed}".encode())
    digest.update("\n".join(map(str, split.uids)).encode())
    first = torch.arange(min(4, len(split)))
    images = split.images(first, torch.zeros_like(first))
    digest.update(str(images.device).encode())
    for tensor in (split.y, split.a, images, *features.state_dict().values()):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
