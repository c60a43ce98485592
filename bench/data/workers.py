"""Decoding of many images, in this process or, where it takes long, in several."""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.machinery import PathFinder
from itertools import islice
from multiprocessing.connection import wait

import numpy as np

from bench.data.facts import Facts, facts
from bench.data.pixels import Pixels
from bench.decode import fit
from bench.errors import BenchError

ALONE = 1.0
"""Seconds that this process decodes alone; a job that ends soon after is not worth starting others for."""


@dataclass(frozen=True)
class Decoded:
    """One image as uint8 (S, S, C), and what is noted of it."""

    row: np.ndarray
    facts: Facts


def decoded_rows(how: Pixels, paths: list[str], jobs: int) -> Iterator[Decoded | str]:
    """Yield, in the order of `paths`, each image with its facts, or why it cannot be read."""
    decode = functools.partial(_decode, how)
    if not _importable(type(how.dataset)):
        jobs = 1
    start, done = time.monotonic(), 0
    for path in paths:
        spent = time.monotonic() - start
        # A pool of fresh interpreters takes about a second to start.
        if jobs > 1 and done and spent > ALONE and (len(paths) - done) * spent / done > 3 * ALONE:
            break
        yield decode(path)
        done += 1
    try:
        for row in _pooled(decode, paths[done:], jobs):
            yield row
            done += 1
    except BrokenProcessPool:
        # Most likely a worker was killed for want of memory; one process needs less.
        yield from map(decode, paths[done:])


def _pooled(decode: functools.partial, paths: list[str], jobs: int) -> Iterator[Decoded | str]:
    if not paths:
        return
    # Spawned, not forked: the parent may have started threads (torch), whose locks a fork would copy shut.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_end_with_parent)
    try:
        # Bounded: what is decoded and not yet taken stays below 16 images a worker.
        waiting = iter(paths)
        futures = deque(pool.submit(decode, path) for path in islice(waiting, 16 * jobs))
        while futures:
            row = futures.popleft().result()
            futures.extend(pool.submit(decode, path) for path in islice(waiting, 1))
            yield row
    finally:
        pool.shutdown(cancel_futures=True)


def _importable(kind: type) -> bool:
    """Tell whether a fresh interpreter finds the class: not where it comes from a file given by path."""
    package = kind.__module__.rpartition(".")[0]
    places = sys.modules[package].__path__ if package else None
    return PathFinder.find_spec(kind.__module__, places) is not None and "<locals>" not in kind.__qualname__


def _decode(how: Pixels, path: str) -> Decoded | str:
    try:
        pixels = how.dataset.image(how.root, path)
        row = fit(pixels, size=how.size, channels=how.channels, crop=how.crop)
        return Decoded(row, facts(row, pixels, how.root / path))
    except MemoryError:
        raise  # says nothing about the file
    except Exception as error:  # decoders raise anything on damaged files; all of them are to be listed
        return str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"


def _end_with_parent() -> None:
    """Leave when the parent is killed: workers of a killed pool would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
