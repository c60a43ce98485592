"""`bench status`: how every run in a folder of results stands. It computes and starts nothing."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from bench.cells.identity import Cell, cell_file
from bench.cells.record import Record, read
from bench.errors import DataInvalid
from bench.run import history
from bench.run.cell_states import STATES, CellStatus, cell_statuses, failure, last_line
from bench.run.launchers import queued
from bench.run.plan import PlannedCell
from bench.run.progress import clock
from bench.run.run_task import plan_run
from bench.settings import Settings, command

SAMPLE = 5
"""Done cells of a method whose time is looked at for the ETA."""
SHOWN = 20
"""Failures that are printed; `--json` has all."""
EVERY = 5.0
"""Seconds between two looks of `--watch`."""


@dataclass(frozen=True)
class TaskStatus:
    """The cells of all runs of one task."""

    task: str
    results: Path
    plugins: tuple[Path, ...]
    """Files given by `--plugin` to its runs."""
    planned: tuple[PlannedCell, ...]
    cells: Mapping[Cell, CellStatus]

    @property
    def counts(self) -> dict[str, int]:
        """Cells by state; a state without cells is left out."""
        found = Counter(status.state for status in self.cells.values())
        return {state: found[state] for state in STATES if found[state]}

    @property
    def seconds_left(self) -> float | None:
        """What is left by the times of done cells of each method, over as many as run; None before any is done."""
        times = {method: typical_seconds(self.results, cells[0]) for method, cells in self._by_method("done").items()}
        known = [value for value in times.values() if value is not None]
        if not known:
            return None
        usual = statistics.median(known)
        left = self._by_method("running", "submitted", "pending", "stale")
        total = sum((times.get(method) or usual) * len(cells) for method, cells in left.items())
        return total / max(1, self.counts.get("running", 0))

    def _by_method(self, *states: str) -> dict[str, list[Cell]]:
        found: dict[str, list[Cell]] = {}
        for cell, status in self.cells.items():
            if status.state in states:
                found.setdefault(cell.spec, []).append(cell)
        return found


def status_of(results: Path, task: str | None = None) -> list[TaskStatus]:
    """Return the status of the runs of a task, or of all, in a folder of results.

    Raises:
        UnknownName: no run of that task.
        DataError: data that a task needs to be planned.
    """
    found = []
    for name, asked in history.remembered(results, task).items():
        cells: dict[Cell, PlannedCell] = {}
        for settings in asked:
            _, planned = plan_run(settings)
            cells.update({p.cell: p for p in planned})
        planned = tuple(cells.values())
        plugins = history.plugins(asked)
        jobs = queued(results, name, plugins)
        found.append(TaskStatus(name, results, plugins, planned, cell_statuses(planned, results, jobs)))
    return found


def print_status(results: Path, task: str | None, *, as_json: bool, watch: bool) -> int:
    """Print how the runs stand; with `watch` again and again, until nothing runs or waits in a queue."""
    while True:
        found = status_of(results, task)
        if as_json:
            print(json.dumps([as_record(status) for status in found], indent=1))
        else:
            text = "\n".join(line for status in found for line in lines(status))
            print(("\x1b[H\x1b[J" if watch else "") + (text or f"{results}: no run here yet"), flush=True)
        moving = any(status.counts.get(state) for status in found for state in ("running", "submitted"))
        if not (watch and moving):
            return 0
        time.sleep(EVERY)


def lines(status: TaskStatus) -> list[str]:
    """Return the table of a task: a row per method, then failures and what to do about them."""
    rows: dict[str, Counter[str]] = {}
    for cell, now in status.cells.items():
        rows.setdefault(cell.spec, Counter())[now.state] += 1
    states = list(status.counts)
    width = max(map(len, (*rows, status.task)))
    text = [f"{status.task:<{width}}  " + "  ".join(f"{state:>9}" for state in states)]
    text += [f"{method:<{width}}  " + "  ".join(f"{row[s] or '':>9}" for s in states) for method, row in rows.items()]
    text += [f"{'all':<{width}}  " + "  ".join(f"{status.counts[state]:>9}" for state in states)]
    left = status.seconds_left
    if any(status.counts.get(state) for state in ("running", "submitted", "pending", "stale")):
        text += [f"ETA {clock(left)}, by the times of done cells" if left is not None else "ETA not known yet"]
    text += _running(status) + _stale(status) + _failures(status)
    return [*text, ""]


def _running(status: TaskStatus) -> list[str]:
    found = [(cell, now) for cell, now in status.cells.items() if now.state == "running"]
    return [f"running   {cell}  {now.note}  {last_line(status.results, cell)}" for cell, now in found[:SHOWN]]


def _stale(status: TaskStatus) -> list[str]:
    notes = Counter(now.note for now in status.cells.values() if now.state == "stale")
    return [f"stale     {count} cells: {note}" for note, count in notes.items()]


def _failures(status: TaskStatus) -> list[str]:
    failed = [cell for cell, now in status.cells.items() if now.state == "failed"]
    text = [f"failed    {c}  {status.cells[c].note}" for c in failed[:SHOWN]]
    if failed:
        text += [f"          and {len(failed) - SHOWN} more"] if len(failed) > SHOWN else []
        asked = Settings(status.task, status.results)
        logs, retry = command("logs", asked, str(failed[0])), command("retry", asked, "--failed")
        text += [f"`{logs}` shows one, `{retry}` runs them again"]
    return text


def as_record(status: TaskStatus) -> dict[str, Any]:
    """Return the status as it is printed by `--json`."""
    cells = {}
    for cell, now in status.cells.items():
        cells[str(cell)] = {"state": now.state, "note": now.note}
        if now.state == "failed":
            found = failure(status.results, cell)
            cells[str(cell)]["error"] = {**to_builtins(found.error), "attempt": found.attempt} if found else {}
            cells[str(cell)]["last_line"] = last_line(status.results, cell)
    return {"task": status.task, "counts": status.counts, "seconds_left": status.seconds_left, "cells": cells}


def typical_seconds(results: Path, cell: Cell) -> float | None:
    """Return the median time of the done cells of a method on the task and backbone of a cell, or None."""
    files = [file for file in cell_file(results, cell).parent.glob("f*.json") if file.name.count(".") == 1]
    times = []
    for file in sorted(files, key=lambda file: file.name)[:SAMPLE]:
        with contextlib.suppress(DataInvalid):
            times.append(read(file, Record).cost.seconds)
    return statistics.median(times) if times else None
