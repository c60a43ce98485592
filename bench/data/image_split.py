"""The images of one split, read from the image cache and returned in batches."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import torch

from bench.api import Batch, Input
from bench.data.augment import AUGMENTATIONS, IMAGES, normalise, white
from bench.data.reading import Resident, ahead, announced, room, will_need
from bench.data.to_device import to_device
from bench.errors import UsageError

Indices = tuple[torch.Tensor, torch.Tensor]
"""Images (B,) of a split and their augmentations (B,)."""
Values = Sequence[int] | np.ndarray | torch.Tensor


class _Read(NamedTuple):
    """Pixels (n, S, S, C) on the host of the rows (n,) of a cache, and the images of the device to be added to."""

    rows: np.ndarray
    pixels: torch.Tensor
    into: Resident | None


class ImageSplit:
    """The images `rows` (N,) of a cache with labels `y` and groups `a`; implements `bench.api.Split`.

    Args:
        name: `train`, `val`, `external` or the name of a test set.
        cache_array: uint8, uint16 or float32 (M, S, S, C), C = 1 or 3; usually a memory map, read image by image. Or
            vectors, float32 (M, D).
        rows: the row of `cache_array` of each image; repeats are allowed.
        y: labels in {0, 1}.
        a: groups, 0 to G-1 for an attribute of G groups.
        uids: names of the images, for predictions.
        device: the device of x, y and a; indices and random numbers stay on the CPU.
        augmentation: the recipe's `augment`.
        given: how the network is given the images.
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
        given: Input = IMAGES,
    ) -> None:
        self.name = name
        self._array = cache_array  # all images of the source, those of other splits too
        self.rows = np.asarray(rows, dtype=np.int64)
        self.uids = np.asarray(uids, dtype=object)
        self.device = torch.device(device)
        self.augmentation, self.given = augmentation, given
        self.y = _copy(y).to(self.device, torch.float32)
        self.a = _copy(a).to(self.device, torch.int64)
        self._on_host: dict[str, tuple[torch.Tensor, int, np.ndarray]] = {}
        self._resident: Resident | None = None
        self._next: tuple[torch.Tensor, Future[_Read]] | None = None
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
        """Return the images at `index` (B,) as x (B, C, S, S) float32, each under its `augmentation` (B,).

        Vectors are returned as they are, (B, D).
        """
        x = self.pixels(index)
        if self._array.ndim == 2:
            return x
        x = x if augmentation is None else AUGMENTATIONS[self.augmentation].apply(x, augmentation)
        return normalise(x, self.given, white(self._array.dtype))

    def pixels(self, index: torch.Tensor) -> torch.Tensor:
        """Return the images at `index` (B,) as they are cached, (B, C, S, S) uint8 or float32; vectors as (B, D)."""
        kept, self._next = self._next, None
        same = kept is not None and kept[0] is index
        read = kept[1].result() if kept is not None and same else self._read(index, self._on_device())
        if read.into is not None and read.into.released:
            read = self._read(index, None)
        # Bytes are sent to the device, not floats; augmentation and scaling give the same numbers on both sides.
        if read.into is None:
            pixels = to_device(read.pixels, self.device)
        else:
            read.into.add(read.rows, read.pixels)
            pixels = read.into.take(self.rows[index.numpy()])
        return pixels if pixels.ndim == 2 else pixels.permute(0, 3, 1, 2)

    def read_ahead(self, batches: Iterable[Indices]) -> Iterator[Indices]:
        """Yield pairs of index and augmentation as they are, while the pixels of the next one are read.

        On a GPU a thread reads them, and `images` finds them if it is given the same `index`. On a CPU the system is
        asked to: a thread would take the time of the computation.
        """
        if self.device.type == "cpu":
            yield from announced(batches, lambda batch: will_need(self._array, self.rows[batch[0].numpy()]))
            return
        into = self._on_device()
        for batch, read in ahead(lambda batch: self._read(batch[0], into), batches):
            self._next = batch[0], read
            yield batch

    def _read(self, index: torch.Tensor, into: Resident | None) -> _Read:
        """Read the images at `index` (B,) from the cache, but for those that are on the device."""
        into = None if into is None or into.released else into
        rows = self.rows[index.cpu().numpy()]
        rows = rows if into is None else into.missing(rows)
        pixels = np.asarray(self._array).take(rows, axis=0)  # half the time of [rows]
        if pixels.dtype != np.uint8:
            pixels = pixels.astype(np.float32, copy=False)  # exact; torch can do little with uint16
        found = torch.from_numpy(pixels)
        return _Read(rows, found.pin_memory() if self.device.type == "cuda" else found, into)

    def _on_device(self) -> Resident | None:
        """Return the images of the split that lie on the device, None where there is no room for them all."""
        if self._resident is None and self._array.dtype == np.uint8 and self.device.type != "cpu":
            shape = self._array.shape[1:]
            if len(np.unique(self.rows)) * math.prod(shape) <= room(self.device):
                self._resident = Resident(self.rows, shape, self.device)
        return self._resident if self._resident is not None and not self._resident.released else None

    def labels(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels y (B,) and groups a (B,) at `index` (B,), on the device."""
        at = to_device(index, self.device)
        return self.y[at], self.a[at]

    def known(self, index: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and groups at `index` (B,) as arrays of the host; they are read from the device once."""
        at = index.numpy()
        return self._host("y", self.y)[at], self._host("a", self.a)[at]

    def _host(self, name: str, values: torch.Tensor) -> np.ndarray:
        kept = self._on_host.get(name)
        if kept is None or kept[0] is not values or kept[1] != values._version:  # replaced, or changed in place
            kept = self._on_host[name] = values, values._version, values.cpu().numpy()
        return kept[2]

    def batches(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield every image once, in order or shuffled, unchanged or under a random augmentation.

        Raises:
            UsageError: `size` below 1, or `shuffle` or `augment` without `rng`.
        """
        batches = self.read_ahead(self.index_batches(size, shuffle, augment, rng))
        return (Batch(self.images(index, augmentation), *self.labels(index)) for index, augmentation in batches)

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
        part._on_host, part._next = {}, None
        return part


def _copy(values: Values) -> torch.Tensor:
    # Columns of a table are read-only arrays, which torch must not share.
    return values if isinstance(values, torch.Tensor) else torch.tensor(np.asarray(values))
