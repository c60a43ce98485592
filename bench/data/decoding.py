"""Decoding of many images, in this process or, where it takes long, in several; and the facts noted of each image."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.machinery import PathFinder
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from bench.api import Dataset
from bench.data.pixels import Pixels
from bench.decode import WIDE, as_bytes, fit
from bench.errors import BenchError
from bench.processes import not_interrupted, without_main

ALONE = 1.0
"""Seconds for which this process decodes alone: a pool is not worth its start for a short job."""
SIDE = 32
"""Side in pixels to which an image is reduced before its perceptual hash is computed."""
QUARTER = 64
"""Grey levels (0 to 255) that the largest value of 14 bits reaches where it is scaled as 16 bits."""
SIXTEENTH = 16
"""The same of 12 bits."""
Decoded = tuple[np.ndarray, dict[str, Any]]
"""An image (S, S, C) as it is cached, and its `facts`."""


def decoded_rows(how: Pixels, paths: list[str], jobs: int) -> Iterator[Decoded | str]:
    """Yield, in the order of `paths`, each decoded image, or the reason why it cannot be read."""
    decode = functools.partial(_decode, how)
    if not all(_importable(type(one)) for one in (how.dataset, *(how.preparing or ())[1:])):
        jobs = 1
    start, done = time.monotonic(), 0
    for path in paths:
        spent = time.monotonic() - start
        # A pool of new interpreters takes about a second to start.
        if jobs > 1 and done and spent > ALONE and (len(paths) - done) * spent / done > 3 * ALONE:
            break
        yield decode(path)
        done += 1
    try:
        for row in _pooled(decode, paths[done:], jobs):
            yield row
            done += 1
    except BrokenProcessPool:
        # Most likely the system killed a worker for lack of memory; one process needs less.
        yield from map(decode, paths[done:])


def facts(row: np.ndarray, decoded: np.ndarray, file: Path) -> dict[str, Any]:
    """Return what the index of a cache holds of an image.

    Of the row (S, S, C): `sha256`, and as uint8 `mean`, `sd` and `phash` (see `perceptual_hash`). Of the file:
    `width`, `height` and `mode` (Pillow's name), taken from the `decoded` image where Pillow cannot open it. Of the
    `decoded` image, before it is fitted to its size: `darkest` and `brightest`, grey levels from 0 to 255.
    """
    # Pillow counts in one pass over the bytes; NumPy would first convert them to eight times their size.
    sha256, row, decoded = hashlib.sha256(row.data).hexdigest(), as_bytes(row), as_bytes(decoded)
    histogram = np.array(_picture(row).histogram()).reshape(-1, 256).sum(axis=0)
    levels, n = np.arange(256), row.size
    mean = float(histogram @ levels) / n
    sd = float(histogram @ (levels - mean) ** 2 / n) ** 0.5
    try:
        with Image.open(file) as opened:
            width, height, mode = opened.width, opened.height, opened.mode
    except (OSError, ValueError, SyntaxError):
        height, width, mode = decoded.shape[0], decoded.shape[1], "L" if decoded.ndim == 2 else "RGB"
    pixels = {"sha256": sha256, "mean": round(mean, 3), "sd": round(sd, 3)}
    span = {"darkest": int(decoded.min()), "brightest": int(decoded.max())}
    return {**pixels, "phash": perceptual_hash(row), "width": width, "height": height, "mode": mode, **span}


def few_levels(index: pd.DataFrame, dataset: Dataset) -> tuple[str, pd.Series]:
    """Return what to say of files of 16 bits that use few of the grey levels, and the uids of these files, if any.

    All files of 16 bits of a set are told of where they come out within a quarter of the grey levels: most such files
    hold 8 to 14 bits. Otherwise each file within a sixteenth is: 12 bits, scaled as 16, leave 17 of 256 grey levels.
    Nothing is said where the option `bits` of the dataset was set. `index` has the columns uid, mode, darkest and
    brightest of all images of the set.
    """
    wide = index[index["mode"].isin(WIDE)]
    if wide.empty or getattr(dataset, "bits", None):
        return "", wide["uid"][:0]
    low, high = int(wide["darkest"].min()), int(wide["brightest"].max())
    if high - low > QUARTER:
        few = wide.loc[wide["brightest"] - wide["darkest"] <= SIXTEENTH, "uid"]
        return (
            f"{len(few)} of {len(wide)} images of 16 bits come out with at most {SIXTEENTH + 1} of 256 grey levels, "
            f"first {''.join(few[:1])}: if they hold 12 bits or fewer, save them with 16 like the others; if they are "
            "dark or blank, write bits=16 into the spec of the dataset"
        ), few
    bits = 8 + max(high - 1, 0).bit_length()
    bits += bits % 2  # scanners store 8, 10, 12 or 14
    seem, bits = ("they seem to hold", bits) if high <= QUARTER else ("stretch them, unless they hold", 12)
    return (
        f"{len(wide)} images of 16 bits come out at grey levels {low} to {high} of 255: {seem} {bits} bits. Then write "
        f"bits={bits} into the spec of the dataset, as in manifest:csv=...,bits={bits}; bits=16 says that all is right"
    ), wide["uid"]


def perceptual_hash(row: np.ndarray) -> str:
    """Return 64 bits, as 16 hexadecimal digits, of which few change when an image uint8 (S, S, C) changes little.

    Each bit says whether one of the 64 lowest frequencies (DCT-II of the grey image at 32 x 32) is above their median.
    The bit of the constant term, the brightness, is always 0.
    """
    from scipy.fft import dctn  # takes a quarter of a second to import, and plans and reports need no hash

    grey = _picture(row).convert("L")
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    low = np.asarray(dctn(small, norm="ortho"))[:8, :8].reshape(-1)
    bits = low > np.median(low[1:])
    bits[0] = False
    return np.packbits(bits).tobytes().hex()


def _picture(row: np.ndarray) -> Image.Image:
    return Image.fromarray(row[:, :, 0] if row.shape[2] == 1 else row)


def _pooled(decode: functools.partial, paths: list[str], jobs: int) -> Iterator[Decoded | str]:
    if not paths:
        return
    # Spawned, not forked: the parent may have started threads (torch), whose locks a fork would copy shut.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_end_with_parent)
    try:
        # Bounded, so that fewer than 16 decoded images per worker wait to be taken.
        waiting = iter(paths)
        with without_main(), not_interrupted():  # `submit` starts the processes
            futures = deque(pool.submit(decode, path) for path in islice(waiting, 16 * jobs))
        while futures:
            row = futures.popleft().result()
            with not_interrupted():
                futures.extend(pool.submit(decode, path) for path in islice(waiting, 1))
            yield row
    finally:
        pool.shutdown(cancel_futures=True)


def _importable(kind: type) -> bool:
    """Tell whether a new interpreter can import the class, which it cannot when the class comes from a plugin file."""
    package = kind.__module__.rpartition(".")[0]
    places = sys.modules[package].__path__ if package else None
    return PathFinder.find_spec(kind.__module__, places) is not None and "<locals>" not in kind.__qualname__


def _decode(how: Pixels, path: str) -> Decoded | str:
    try:
        pixels, of_input = how.decoded(path), {"bits": how.bits, "interpolation": how.interpolation}
        row = fit(pixels, size=how.size, channels=how.channels, crop=how.crop, **of_input)
        return row, facts(row, pixels, how.root / path)
    except MemoryError:
        raise  # not the fault of the file
    except Exception as error:  # decoders raise anything on damaged files, and each such file is listed
        return _why(error)


def _why(error: Exception) -> str:
    """Return why an image cannot be read: without the class where the text of the error says it alone."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:  # the file is named beside it
        text = error.strerror
    return text if text and isinstance(error, BenchError | OSError | ValueError) else f"{type(error).__name__}: {text}"


def _end_with_parent() -> None:
    """End this process when its parent is killed; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
