"""Checkpoints of pre-training: all that the next step depends on, in one file that is replaced on a timer.

A process that resumes from one ends with the same bytes as one that was never stopped, on the same kind of processor.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

import bench
from bench.errors import NotWritten
from bench.files import write_file
from bench.learn.train import Stateful
from bench.run.context import packed

EVERY = float(os.environ.get("BENCH_CHECKPOINT_EVERY", "600"))
"""Seconds between two checkpoints, the most work that can be lost. Tests set a shorter time in the environment."""


class Checkpoint:
    """The checkpoint of one training; implements `bench.learn.train.Checkpoint`.

    A checkpoint that is damaged, or was written by other code (of bench or torch), is not resumed, because the weights
    would belong to neither version. Training then starts again, with a warning. A checkpoint that cannot be written
    causes a warning only: if the disk stays full, writing the result fails with an error.

    Args:
        file: named like the result, so that its name covers everything that defines the numbers.
        parts: objects whose state changes during training, besides those that the training loop passes.
        say: called with a one-line warning.
    """

    def __init__(self, file: Path, parts: Mapping[str, Stateful], say: Callable[[str], None]) -> None:
        self._file, self._parts, self._say, self._last = file, parts, say, time.monotonic()

    def resume(self, parts: Mapping[str, Stateful]) -> bool:
        """Restore the stored state of every part; return whether there was one."""
        if not self._file.is_file():
            return False
        kept = _read(self._file)
        if kept is None or kept.get("code") != _code():
            why = "is damaged" if kept is None else "was written by other code"
            self._say(f"warning: the checkpoint {self._file.name} {why}: pre-training starts anew")
            return False
        for name, part in {**self._parts, **parts}.items():
            part.load_state_dict(kept[name])
        return True

    def keep(self, parts: Mapping[str, Stateful]) -> None:
        """Write the state of every part if the last checkpoint is old enough."""
        if time.monotonic() - self._last < EVERY:
            return
        states = {name: part.state_dict() for name, part in {**self._parts, **parts}.items()}
        try:
            content = packed({**states, "code": _code()})
            write_file(self._file, hashlib.sha256(content).digest() + content)
        except NotWritten as error:
            self._say(f"warning: no checkpoint: {error}")
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file; called once the result is written."""
        self._file.unlink(missing_ok=True)


def _read(file: Path) -> dict[str, Any] | None:
    """Return the stored states; None if the file is damaged, which torch alone does not notice for a number."""
    written = file.read_bytes()
    content = written[hashlib.sha256().digest_size :]
    if not written.startswith(hashlib.sha256(content).digest()):
        return None
    return torch.load(io.BytesIO(content), weights_only=True)  # on the CPU; each part moves its tensors


@cache
def _code() -> str:
    """Return a digest of the code that computes: torch and every module of the package."""
    digest, root = hashlib.sha256(torch.__version__.encode()), Path(bench.__file__).parent
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
