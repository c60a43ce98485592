"""The images of one split, read from the image cache and returned in batches."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from bench.api import Batch
from bench.data.augment import AUGMENTATIONS, IMAGENET, Statistics, normalise
from bench.errors import UsageError

Values = Sequence[int] | np.ndarray | torch.Tensor


class ImageSplit:
    """The images `rows` (N,) of a cache with labels `y` and groups `a`; implements `bench.api.Split`.

    Args:
        name: `train`, `val`, `external` or the name of a test set.
        cache_array: uint8 (M, S, S, C), C = 1 or 3; usually a memory map, read image by image.
        rows: the row of `cache_array` of each image; repeats are allowed.
        y: labels in {0, 1}.
        a: groups, 0 to G-1 for an attribute of G groups.
        uids: names of the images, for predictions.
        device: the device of x, y and a; indices and random numbers stay on the CPU.
        augmentation: the recipe's `augment`.
        statistics: mean and standard deviation by which pixels are standardised.
    """

    def __init__(
        self,
        name: str,
        cache_array: np.ndarray,
        rows: Sequence[int] | np.ndarray,
        y: Values,
        a: Values,
        uids: Sequence[str] | np.ndarray,
        device: str | torch.device = "cpu",
        augmentation: str = "dihedral",
        statistics: Statistics = IMAGENET,
    ) -> None:
        self.name = name
        self.array = cache_array
        self.rows = np.asarray(rows, dtype=np.int64)
        self.uids = np.asarray(uids, dtype=object)
        self.device = torch.device(device)
        self.augmentation, self.statistics = augmentation, statistics
        self.y = _copy(y).to(self.device, torch.float32)
        self.a = _copy(a).to(self.device, torch.int64)
        if not len(self.rows) == len(self.y) == len(self.a) == len(self.uids):
            raise ValueError(f"rows, y, a, uids: {len(self.rows)}, {len(self.y)}, {len(self.a)}, {len(self.uids)} long")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def augmentations(self) -> int | None:
        """Number of augmentations to draw from; None where it is too large to store the features of each."""
        return AUGMENTATIONS[self.augmentation].number

    def __repr__(self) -> str:
        return f"ImageSplit({self.name!r}, {len(self)} images)"

    def index_batches(
        self, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the index (B,) int64 and the augmentation (B,) int64 of every image, batch by batch.

        Each image occurs once; the last batch may be smaller. All random numbers are drawn from `rng` before the first
        batch.

        Raises:
            UsageError: `size` below 1, or `shuffle` or `augment` without `rng`.
        """
        if size < 1:
            raise UsageError(f"batches of size {size}: at least 1 allowed")
        if (shuffle or augment) and rng is None:
            raise UsageError(
                "batches(shuffle=..., augment=...) need rng=run.rng(stage), without which they cannot be repeated"
            )
        n = len(self)
        order = torch.randperm(n, generator=rng) if shuffle else torch.arange(n)
        draw = AUGMENTATIONS[self.augmentation].draw
        augmentation = draw(n, rng) if augment else torch.zeros(n, dtype=torch.int64)
        return ((order[i : i + size], augmentation[i : i + size]) for i in range(0, n, size))

    def images(self, index: torch.Tensor, augmentation: torch.Tensor | None = None) -> torch.Tensor:
        """Return the images at `index` (B,) as x (B, 3, S, S) float32, each under its `augmentation` (B,)."""
        pixels = np.asarray(self.array)[self.rows[index.cpu().numpy()]]
        # Bytes are sent to the device, not floats; augmentation and scaling give the same numbers on both sides.
        x = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
        x = x if augmentation is None else AUGMENTATIONS[self.augmentation].apply(x, augmentation)
        return normalise(x, self.statistics)

    def batches(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield every image once, in order or shuffled, unchanged or under a random augmentation.

        Raises:
            UsageError: `size` below 1, or `shuffle` or `augment` without `rng`.
        """
        batches = self.index_batches(size, shuffle, augment, rng)
        return (
            Batch(self.images(index, augmentation), self.y[index], self.a[index]) for index, augmentation in batches
        )

    def where(self, keep: torch.Tensor) -> ImageSplit:
        """Return the images at which the boolean `keep` (N,) is true, in order.

        Raises:
            UsageError: `keep` is not boolean or not of length N.
        """
        keep = torch.as_tensor(keep)
        if keep.dtype != torch.bool or keep.shape != (len(self),):
            raise UsageError(f"where(keep): bool ({len(self)},) expected, {keep.dtype} {tuple(keep.shape)} given")
        at, mask, part = keep.cpu().numpy(), keep.to(self.device), copy.copy(self)
        part.rows, part.uids = self.rows[at], self.uids[at]
        part.y, part.a = self.y[mask], self.a[mask]
        return part


def _copy(values: Values) -> torch.Tensor:
    # Columns of a table are read-only arrays, which torch must not share.
    return values if isinstance(values, torch.Tensor) else torch.tensor(np.asarray(values))
