"""Cells that share a GPU: which may start beside others, and which has a GPU to itself.

Cells that share a GPU share its memory. One that ends without memory beside others has not failed yet: it is put back,
nothing else is started on that GPU, and it runs again once it is alone there. What it needs alone is a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.run.plan import PlannedCell


@dataclass
class WorkerSlot:
    """One worker: the GPU that it sees ("": the choice is left to the system) and the cell that it computes."""

    gpu: str = ""
    busy: PlannedCell | None = None
    used: bool = False
    """Whether its process has computed a cell: it holds memory of the GPU since then, even when idle."""
    shared: bool = False
    """Whether another process held memory of the GPU while this one computed its cell."""


@dataclass
class Sharing:
    """Who may start where."""

    alone: dict[PlannedCell, str] = field(default_factory=dict)
    """Cells that ran out of memory beside others -> the GPU that each waits for, or has, for itself."""

    def allowed(self, ready: Sequence[PlannedCell], slot: WorkerSlot, slots: Sequence[WorkerSlot]) -> list[PlannedCell]:
        """Return which of the ready cells may start on a free slot."""
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
        """Note that a cell starts in a slot."""
        beside = _beside(slot, slots)
        slot.busy, slot.used, slot.shared = planned, True, any(other.used for other in beside)
        for other in beside:
            other.shared = True

    def put_back(self, planned: PlannedCell, kind: str, slot: WorkerSlot) -> bool:
        """Tell whether a cell that failed so is to be tried again alone; from then on its GPU waits for it."""
        again = kind == "oom" and bool(slot.gpu) and slot.shared and planned not in self.alone
        if again:
            self.alone[planned] = slot.gpu
        return again


def _beside(slot: WorkerSlot, slots: Sequence[WorkerSlot]) -> list[WorkerSlot]:
    return [other for other in slots if other is not slot and other.gpu == slot.gpu]
