"""In which state each cell of a run is: told by the files first, then by the queues of launchers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from bench.cells import store
from bench.cells.identity import BASELINE, Cell, cell_place, cells_folder, failure_file
from bench.cells.record import Error, Failure, read
from bench.errors import DataInvalid
from bench.lease import Holder, holder
from bench.run.attempt import log_file
from bench.run.launchers import Queued
from bench.run.plan import PlannedCell

State = Literal["done", "running", "submitted", "pending", "stale", "failed", "blocked"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class CellStatus:
    """The state of a cell, and a word on it: who computes it, its job, or why it failed."""

    state: State
    note: str = ""


def cell_statuses(
    cells: Sequence[PlannedCell], results: Path, queued: Mapping[str, Queued] | None = None
) -> dict[Cell, CellStatus]:
    """Return the state of every cell.

    done       its record has the hash of today
    running    a process holds its lease, or its job runs
    submitted  its job waits
    stale      a record of other images, settings or code; or its process is gone and left neither result nor failure
    failed     its failure is on disk
    blocked    the baseline of its fold failed, or cannot be made
    pending    none of these

    Args:
        cells: as planned.
        results: the folder of results.
        queued: what the queue says, by the path of a cell.
    """
    queued = queued or {}
    names = cache(lambda folder: _names(cells_folder(results) / folder))
    found: dict[Cell, CellStatus] = {}
    for planned in cells:
        cell = planned.cell
        found[cell] = _status(planned, results, names(cell.path.parent), queued.get(str(cell)))
    broken = {
        (cell.task, cell.backbone, cell.fold, cell.seed)
        for cell, status in found.items()
        if cell.spec == BASELINE and status.state == "failed"
    }
    for cell, status in found.items():
        behind = (cell.task, cell.backbone, cell.fold, cell.seed) in broken
        if behind and cell.spec != BASELINE and status.state in ("pending", "stale", "submitted"):
            found[cell] = CellStatus("blocked", "its baseline failed")
    return found


def _status(planned: PlannedCell, results: Path, names: frozenset[str], queued: Queued | None) -> CellStatus:
    cell, stem = planned.cell, planned.cell.path.name
    if planned.error is not None:
        return CellStatus("failed", str(planned.error).partition("\n")[0])
    kept, why = store.state_and_reason(results, cell, planned.hash) if f"{stem}.json" in names else ("pending", "")
    if kept == "done":
        return CellStatus("done")
    leased = any(name.startswith(f".{stem}.lease.") for name in names)
    by = holder(cell_place(results, cell)) if leased else None
    if by is not None:
        return CellStatus("running", str(by))
    if queued is not None and queued.state != "gone":
        return CellStatus("running" if queued.state == "running" else "submitted", f"job {queued.job}")
    if f"{stem}.failed.json" in names:
        return CellStatus("failed", failure_line(results, cell))
    if queued is not None:
        return CellStatus("stale", f"job {queued.job} ended: {queued.kind}")
    if leased:
        return CellStatus("stale", "its process is gone")
    return CellStatus("stale", why) if kept == "stale" else CellStatus("pending")


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in os.scandir(folder))  # `iterdir` would make paths
    except OSError:
        return frozenset()


def failure(results: Path, cell: Cell) -> Failure | None:
    """Return the stored failure of a cell, None where there is no whole one."""
    with contextlib.suppress(DataInvalid):
        return read(failure_file(results, cell), Failure)


def failure_line(results: Path, cell: Cell) -> str:
    """Return one line on why a cell failed."""
    found = failure(results, cell)
    error = found.error if found else Error(name="unknown", kind="bug")
    return f"{error.kind}: {error.name}: {error.message.partition(chr(10))[0]}"


def last_line(results: Path, cell: Cell) -> str:
    """Return the last line of a cell's log, without its time, or ""."""
    try:
        with log_file(results, cell).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def holders(cells: Sequence[PlannedCell], results: Path) -> dict[Cell, Holder]:
    """Return who computes which of the cells."""
    found = {p.cell: holder(cell_place(results, p.cell)) for p in cells}
    return {cell: by for cell, by in found.items() if by is not None}
