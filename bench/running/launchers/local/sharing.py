"""Cells that share a GPU: which may start beside others, and which get a GPU to themselves.

Cells that share a GPU share its memory. A cell that runs out of memory beside others has not failed yet: it is put
back, no other cell starts on that GPU, and it runs again once it is alone there. If it then runs out of memory again,
it has failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.running.plan import PlannedCell


@dataclass
class WorkerSlot:
    """A worker: the GPU that it sees ("": the system chooses) and the cell that it computes."""

    gpu: str = ""
    busy: PlannedCell | None = None
    used: bool = False
    """Whether its process has computed a cell; since then it holds memory of the GPU, even when idle."""
    shared: bool = False
    """Whether another process held memory of the GPU while this one computed the cell."""


@dataclass
class Sharing:
    """Decides which cells may start on which GPU."""

    alone: dict[PlannedCell, str] = field(default_factory=dict)
    """Cells that ran out of memory beside others -> the GPU that each waits for, or has, alone."""

    def allowed(self, ready: Sequence[PlannedCell], slot: WorkerSlot, slots: Sequence[WorkerSlot]) -> list[PlannedCell]:
        """Return the ready cells that may start on a free worker slot."""
        if not slot.gpu:
            return list(ready)
        running = [other.busy for other in _beside(slot, slots) if other.busy]
        if any(planned in self.alone for planned in running):
            return []
        first = [planned for planned in ready if self.alone.get(planned) == slot.gpu][:1]
        if first:
            return [] if running else first
        return [planned for planned in ready if planned not in self.alone]

    def start(self, planned: PlannedCell, slot: WorkerSlot, slots: Sequence[WorkerSlot]) -> None:
        """Record that a cell starts on a worker slot."""
        beside = _beside(slot, slots)
        slot.busy, slot.used, slot.shared = planned, True, any(other.used for other in beside)
        for other in beside:
            other.shared = True

    def put_back(self, planned: PlannedCell, kind: str, slot: WorkerSlot) -> bool:
        """Return whether a cell that failed with this kind is tried again alone; then its GPU is kept free for it."""
        again = kind == "oom" and bool(slot.gpu) and slot.shared and planned not in self.alone
        if again:
            self.alone[planned] = slot.gpu
        return again


def _beside(slot: WorkerSlot, slots: Sequence[WorkerSlot]) -> list[WorkerSlot]:
    return [other for other in slots if other is not slot and other.gpu == slot.gpu]
