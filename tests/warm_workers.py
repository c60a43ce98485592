"""Worker processes of the commands that `tests.warm` runs: forks of a server that has imported the libraries.

They have what spawned workers have: processes of their own, the folder, environment and streams of their command, and
the modules of `bench` as they import them. Python's own fork server makes them.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

_files: Sequence[str] = ()


def start(libraries: Sequence[str]) -> None:
    """Start the server of the workers, for this process and its forks."""
    multiprocessing.set_forkserver_preload([__name__, *libraries])
    forkserver.ensure_running()


def use(files: Sequence[str]) -> None:
    """In a fork with its standard output and error in `files`: what asks for spawned processes gets those of the server."""
    global _files
    _files = files
    # It would wait for the server, which is no child of a fork.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]
    ordinary = multiprocessing.get_context
    multiprocessing.get_context = lambda name=None: _Context() if name == "spawn" else ordinary(name)  # type: ignore


class _Worker(ForkServerProcess):
    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._place = dict(os.environ), _files

    def run(self) -> None:
        become(*self._place)
        super().run()


class _Context(ForkServerContext):
    Process = _Worker


def become(environment: Mapping[str, str], files: Sequence[str]) -> None:
    """Give this process the environment and streams of a command, and random numbers that no other process has.

    With the random numbers of the server, two commands that lack a seed would agree, and no test would see it.
    """
    import random

    import numpy as np
    import torch

    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, 1):  # at its end, as several processes write it
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    random.seed()
    np.random.seed()
    torch.seed()
