"""GPUs that cells are dealt over: which there are, and which cell has one to itself.

Cells that share a GPU share its memory. One that ends without memory beside others has not failed yet: it is put back,
nothing else is started on that GPU, and it runs again once it is alone there. What it needs alone is a failure.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.errors import UsageError
from bench.run.plan import PlannedCell


def visible() -> tuple[str, ...]:
    """Return the names of the GPUs of this machine: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists.

    Raises:
        UsageError: there are none.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        found = tuple(name.strip() for name in given.split(",") if name.strip() not in ("", "-1"))
        where = f"CUDA_VISIBLE_DEVICES is '{given}'"
    else:
        found, where = _listed(), "nvidia-smi lists none"
    if not found:
        raise UsageError(
            f"--per-gpu: no GPU is visible ({where}): name them by --gpus 0,1, or leave --per-gpu out; without a GPU, "
            "--jobs says how many cells run at a time"
        )
    return found


def _listed() -> tuple[str, ...]:
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(re.findall(r"^GPU (\d+):", told, re.MULTILINE))


class Seat(Protocol):
    """What a worker is here: the GPU that it sees ("": it was given none) and the cell that it computes."""

    gpu: str
    busy: PlannedCell | None
    used: bool
    """It computed a cell in its life: its process holds memory of the GPU, whether it is busy or not."""
    shared: bool
    """Another one did so beside the cell that it computes."""


@dataclass
class Sharing:
    """Who may start where."""

    alone: dict[PlannedCell, str] = field(default_factory=dict)
    """Cells that had no memory beside others -> the GPU that each is to have, or has, for itself."""

    def allowed(self, ready: Sequence[PlannedCell], seat: Seat, seats: Sequence[Seat]) -> list[PlannedCell]:
        """Return which of the ready cells may start on a free seat."""
        if not seat.gpu:
            return list(ready)
        running = [other.busy for other in _beside(seat, seats) if other.busy]
        if any(planned in self.alone for planned in running):
            return []
        first = [planned for planned in ready if self.alone.get(planned) == seat.gpu][:1]
        if first:
            return [] if running else first
        return [planned for planned in ready if planned not in self.alone]

    def start(self, planned: PlannedCell, seat: Seat, seats: Sequence[Seat]) -> None:
        """Note that a cell starts on a seat."""
        beside = _beside(seat, seats)
        seat.busy, seat.used, seat.shared = planned, True, any(other.used for other in beside)
        for other in beside:
            other.shared = True

    def put_back(self, planned: PlannedCell, kind: str, seat: Seat) -> bool:
        """Tell whether a cell that failed so is to be tried again alone; from then on its GPU waits for it."""
        again = kind == "oom" and bool(seat.gpu) and seat.shared and planned not in self.alone
        if again:
            self.alone[planned] = seat.gpu
        return again


def _beside(seat: Seat, seats: Sequence[Seat]) -> list[Seat]:
    return [other for other in seats if other is not seat and other.gpu == seat.gpu]
