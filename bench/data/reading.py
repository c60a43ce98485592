"""Images are on the device before they are needed: they stay there where they fit, else the next are read ahead."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakSet

import numpy as np
import torch

from bench.data.to_device import to_device

SHARE = 0.25
"""Share of the free memory of a GPU that the images of one split may take."""
Item = TypeVar("Item")
Value = TypeVar("Value")


def ahead(work: Callable[[Item], Value], items: Iterable[Item]) -> Iterator[tuple[Item, Future[Value]]]:
    """Yield each item with the result of `work`, on which a thread works while the item before is made use of."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        waiting: deque[tuple[Item, Future[Value]]] = deque()
        for item in items:
            waiting.append((item, reader.submit(work, item)))
            if len(waiting) > 1:
                yield waiting.popleft()
        yield from waiting


def announced(items: Iterable[Item], tell: Callable[[Item], object]) -> Iterator[Item]:
    """Yield each item after `tell` was called with the one after it."""
    waiting: deque[Item] = deque()
    for item in items:
        tell(item)
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


def will_need(array: np.ndarray, rows: np.ndarray) -> None:
    """Ask the system to read rows of a memory map, which it does beside the computation; other arrays are there."""
    pages = array.base
    if not isinstance(array, np.memmap) or not isinstance(pages, mmap.mmap) or not hasattr(pages, "madvise"):
        return
    first, size = array.offset % mmap.ALLOCATIONGRANULARITY, array.strides[0]
    rows = np.unique(rows)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else ():
        start = (first + int(run[0]) * size) // mmap.PAGESIZE * mmap.PAGESIZE
        pages.madvise(mmap.MADV_WILLNEED, start, first + (int(run[-1]) + 1) * size - start)


def room(device: torch.device) -> int:
    """Return the bytes that the images of one split may take on a device; 0 on a CPU, whose memory map is as near."""
    return int(SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0


class Resident:
    """Images that lie on a device from the first time that they were read: `rows` (N,) of a uint8 cache."""

    def __init__(self, rows: np.ndarray, shape: tuple[int, ...], device: torch.device) -> None:
        self._rows, self._device, self._used = np.unique(rows), device, 0
        self._place = np.full(len(self._rows), -1)  # -1: not read yet
        self._values: torch.Tensor | None = torch.empty((len(self._rows), *shape), dtype=torch.uint8, device=device)
        _all.add(self)

    @property
    def released(self) -> bool:
        """Whether the memory was handed back, so that images are read from the cache again."""
        return self._values is None

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Return which of some rows were not read yet, each once."""
        rows = np.unique(rows)
        return rows[self._place[np.searchsorted(self._rows, rows)] < 0]

    def add(self, rows: np.ndarray, pixels: torch.Tensor) -> None:
        """Keep the pixels (n, S, S, C) of rows that were missing; some may have been added since."""
        at = np.searchsorted(self._rows, rows)
        new = np.flatnonzero(self._place[at] < 0)
        if not len(new) or self._values is None:
            return
        pixels = pixels if len(new) == len(rows) else pixels[torch.from_numpy(new)]
        self._values[self._used : self._used + len(new)] = to_device(pixels, self._device)
        self._place[at[new]] = np.arange(self._used, self._used + len(new))
        self._used += len(new)

    def take(self, rows: np.ndarray) -> torch.Tensor:
        """Return the pixels (B, S, S, C) of rows that are there."""
        assert self._values is not None
        places = self._place[np.searchsorted(self._rows, rows)]
        return self._values[to_device(torch.from_numpy(places), self._device)]

    def release(self) -> None:
        """Hand the memory back, for good."""
        self._values = None


_all: WeakSet[Resident] = WeakSet()


def release_images() -> bool:
    """Hand back the memory of all images on the device, where a batch lacks it; return whether there were any."""
    found = [one for one in _all if not one.released]
    for one in found:
        one.release()
    return bool(found)
