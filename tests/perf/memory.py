"""The memory of a process that is its own: pages of an image cache belong to the disk and can be dropped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 0.005
"""Seconds between two looks."""


def anonymous() -> float:
    """Return the MB of anonymous memory that this process has now (Linux alone)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


@contextmanager
def peak() -> Iterator[list[float]]:
    """Give a list whose one entry is the most MB that this process has had inside the block so far."""
    most, ended = [anonymous()], threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            most[0] = max(most[0], anonymous())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()
        most[0] = max(most[0], anonymous())
