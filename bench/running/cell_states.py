"""The state of each cell of a run, from the files in its folder first, then from the queues of launchers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from bench.cells import store
from bench.cells.identity import BASELINE, Cell, cell_place, cells_folder, failure_file, log_file
from bench.cells.record import Error, Failure, read
from bench.errors import DataInvalid
from bench.lease import holder
from bench.running.launchers import Queued
from bench.running.plan import PlannedCell

State = Literal["done", "running", "submitted", "pending", "stale", "failed", "blocked"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class CellStatus:
    """The state of a cell, and a note: which process computes it, its job, or why it failed."""

    state: State
    note: str = ""


def cell_statuses(
    cells: Sequence[PlannedCell],
    results: Path,
    queued: Mapping[str, Queued] | None = None,
    *,
    verify: bool = False,
) -> dict[Cell, CellStatus]:
    """Return the state of every cell.

    done       its record has the current hash
    running    a process holds its lease, or its job runs
    submitted  its job waits in a queue
    stale      its data, settings or code changed, its files are damaged, or its process died and left neither result
               nor failure
    failed     its failure is on disk
    blocked    the baseline of its fold failed, or cannot be computed
    pending    none of these

    Args:
        cells: as planned.
        results: the folder of results.
        queued: jobs in the queues, by the path of a cell.
        verify: whether the bytes of all files are compared with their checksums, not the sizes alone.
    """
    queued = queued or {}
    names = cache(lambda folder: _names(cells_folder(results) / folder))
    found = {p.cell: _status(p, results, names(p.cell.path.parent), queued.get(str(p.cell)), verify) for p in cells}
    for cell, status in found.items():
        baseline = found.get(replace(cell, spec=BASELINE, choice=""), status)
        if baseline.state == "failed" and status.state in ("pending", "stale", "submitted"):
            found[cell] = CellStatus("blocked", "its baseline failed")
    return found


def _status(
    planned: PlannedCell, results: Path, names: frozenset[str], queued: Queued | None, verify: bool
) -> CellStatus:
    cell, stem = planned.cell, planned.cell.path.name
    if planned.error is not None:
        return CellStatus("failed", str(planned.error).partition("\n")[0])
    kept, why = "pending", ""
    if f"{stem}.json" in names:
        kept, why = store.state_and_reason(results, cell, planned.hash, verify=verify)
    if kept == "done":
        return CellStatus("done")
    leased = any(name.startswith(f".{stem}.lease.") for name in names)
    by = holder(cell_place(results, cell)) if leased else None
    if by is not None:
        return CellStatus("running", str(by))
    if queued is not None and queued.state != "gone":
        note = f"job {queued.job}{', ' * bool(queued.kind)}{queued.kind}"
        return CellStatus("running" if queued.state == "running" else "submitted", note)
    if f"{stem}.failed.json" in names:
        found = failure(results, cell)
        error = found.error if found else Error(name="unknown", kind="bug")
        return CellStatus("failed", f"{error.kind}: {error.name}: {error.message.partition(chr(10))[0]}")
    if queued is not None:
        return CellStatus("stale", f"job {queued.job} ended: {queued.kind}")
    if leased:
        return CellStatus("stale", "its process died")
    return CellStatus("stale", why) if kept == "stale" else CellStatus("pending")


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in os.scandir(folder))  # `iterdir` would create a path for each
    except OSError:
        return frozenset()


def failure(results: Path, cell: Cell) -> Failure | None:
    """Return the stored failure of a cell; None if there is no complete one."""
    with contextlib.suppress(DataInvalid):
        return read(failure_file(results, cell), Failure)


def last_line(results: Path, cell: Cell) -> str:
    """Return the last line of a cell's log, or ""."""
    try:
        with log_file(results, cell).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
