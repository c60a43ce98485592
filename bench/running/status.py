"""`bench status`: the state of every run in a results folder. It computes and starts nothing."""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from bench.cells.identity import Cell, cell_file, cells_folder
from bench.cells.record import Record, read
from bench.errors import DataInvalid, UnknownName, number_of
from bench.registry import METHODS
from bench.running import history
from bench.running.cell_states import STATES, CellStatus, cell_statuses, failure, last_line
from bench.running.launchers import queued
from bench.running.plan import PlannedCell
from bench.running.progress import clock
from bench.running.run_task import plan_run
from bench.settings import Settings, command
from bench.spec import canonical, name_of, split_specs

SAMPLE = 5
"""Finished cells per method that the estimate of the remaining time reads."""
SHOWN = 20
"""Failures that are printed; `--json` lists all."""
EVERY = 5.0
"""Seconds between two refreshes of `--watch`."""
REMAINING = ("running", "submitted", "pending", "stale")


@dataclass(frozen=True)
class TaskStatus:
    """The cells of all runs of one task."""

    task: str
    results: Path
    plugins: tuple[Path, ...]
    """Plugin files, from `--plugin`."""
    planned: tuple[PlannedCell, ...]
    cells: Mapping[Cell, CellStatus]
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Methods of plugins that are not given: how many results of each are stored. These cells are not checked."""
    not_given: tuple[Path, ...] = ()
    """The files of these plugins."""

    @property
    def counts(self) -> dict[str, int]:
        """The number of cells by state, without states that no cell is in."""
        found = Counter(status.state for status in self.cells.values())
        return {state: found[state] for state in STATES if found[state]}

    @property
    def seconds_left(self) -> float | None:
        """The estimated time left, from the finished cells of each method; None before any is done.

        As many cells as run now are assumed to run at a time.
        """
        done = {cell.spec: cell for cell, status in self.cells.items() if status.state == "done"}
        times = {method: typical_seconds(self.results, cell) for method, cell in done.items()}
        known = [seconds for seconds in times.values() if seconds is not None]
        if not known:
            return None
        usual = statistics.median(known)
        left = [cell for cell, status in self.cells.items() if status.state in REMAINING]
        return sum(times.get(cell.spec) or usual for cell in left) / max(1, self.counts.get("running", 0))


def status_of(
    results: Path, task: str | None = None, plugins: Sequence[Path] = (), *, verify: bool = False, partly: bool = False
) -> list[TaskStatus]:
    """Return the status of the runs of one task, or of all, in a results folder; `plugins` are those of `--plugin`.

    With `partly`, methods of plugins that are not given are only counted.

    Raises:
        UnknownName: that task was never run.
        UsageError: a run used a plugin that is not given; with `partly`, for other than its methods.
        DataError: data that a task needs to be planned.
    """
    found = []
    for name, named in history.remembered(results, task).items():
        lacking = history.not_given(named, plugins) if partly else []
        runs = history.without_unknown(named, plugins) if lacking else history.trusted(named, plugins)
        try:
            planned = tuple({p.cell: p for settings in runs for p in plan_run(settings)[1]}.values())
        except UnknownName:  # a dataset or a network of such a plugin
            history.trusted(named, plugins)
            raise
        cells = cell_statuses(planned, results, queued(results, name, plugins), verify=verify)
        unknown = _unknown(named, results, name, plugins) if lacking else {}
        found.append(TaskStatus(name, results, tuple(plugins), planned, cells, unknown, tuple(lacking)))
    return found


def _unknown(runs: Sequence[Settings], results: Path, task: str, plugins: Sequence[Path]) -> dict[str, int]:
    """Return the methods of runs and of stored cells that no plugin has, and how many results of each are stored.

    Those are counted by the names of folders and files, which hold the method, whatever its parameters; none is read.
    """
    asked = [canonical(name_of(spec)) for run in runs for spec in split_specs(run.methods) if spec != "all"]
    stored = Counter(
        place[1] for file in cells_folder(results, task).glob("*/*/f*.json") if (place := _PLACE.search(str(file)))
    )
    known = METHODS.catalogue(plugins)
    return {name: stored[name] for name in dict.fromkeys([*asked, *stored]) if name not in known}


_PLACE = re.compile(r"([a-z0-9_]+)[^/\\]*[/\\]f\d+-s\d+\.json$")


def print_status(
    results: Path, task: str | None, plugins: Sequence[Path] = (), *, as_json: bool, watch: bool, verify: bool = False
) -> int:
    """Print the state of the runs; with `watch`, repeat until nothing runs or waits in a queue."""
    while True:
        found = status_of(results, task, plugins, verify=verify, partly=True)
        if as_json:
            print(json.dumps([as_record(status) for status in found], indent=1))
        else:
            text = "\n".join(line for status in found for line in lines(status))
            print(("\x1b[H\x1b[J" if watch else "") + (text or f"{results}: no runs yet"), flush=True)
        moving = any(status.counts.get(state) for status in found for state in ("running", "submitted"))
        if not (watch and moving):
            return 0
        time.sleep(EVERY)


def lines(status: TaskStatus) -> list[str]:
    """Return the table of a task, one row per method, then its failures and the commands that help."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, now in status.cells.items():
        rows[cell.spec][now.state] += 1
    states = list(status.counts)
    width = max(map(len, (*rows, status.task)))
    text = [f"{status.task:<{width}}  " + "  ".join(f"{state:>9}" for state in states)]
    for method, row in [*rows.items(), ("all", status.counts)]:
        text.append(f"{method:<{width}}  " + "  ".join(f"{row.get(state, ''):>9}" for state in states))
    if any(status.counts.get(state) for state in REMAINING):
        left = status.seconds_left
        text += [f"ETA {clock(left)}, from the times of finished cells" if left is not None else "ETA unknown"]
    running = [(cell, now) for cell, now in status.cells.items() if now.state == "running"]
    text += [f"running   {cell}  {now.note}  {last_line(status.results, cell)}" for cell, now in running[:SHOWN]]
    stale = Counter(now.note for now in status.cells.values() if now.state == "stale")
    text += [f"stale     {number_of(number, 'cell')}: {note}" for note, number in stale.items()]
    held = Counter(why for now in status.cells.values() if now.state == "submitted" and (why := _hint(now)))
    text += [f"held      {number_of(number, 'cell')}: {why}" for why, number in held.items()]
    failed = [(cell, now) for cell, now in status.cells.items() if now.state == "failed"]
    text += [f"failed    {cell}  {now.note}" for cell, now in failed[:SHOWN]]
    if len(failed) > SHOWN:
        text += [f"          and {len(failed) - SHOWN} more"]
    if failed:
        asked = Settings(status.task, status.results, plugins=status.plugins)
        logs, retry = command("logs", asked, str(failed[0][0])), command("retry", asked, "--failed")
        text += [f"`{logs}` shows the first; `{retry}` runs the failed cells again"]
    if status.not_given:
        files = ", ".join(file.name for file in status.not_given)
        stored = ", ".join(f"{method} ({n} stored)" for method, n in status.unknown.items()) or "no cell"
        text += [
            f"unknown   {stored}: not checked, because {files} is not given. {history.how_to_give(status.not_given)}"
        ]
    return [*text, ""]


def _hint(now: CellStatus) -> str:
    """Return why the job of a cell does not start, which follows its number."""
    return now.note.partition(", ")[2]


def as_record(status: TaskStatus) -> dict[str, Any]:
    """Return the status as `--json` prints it."""
    cells = {}
    for cell, now in status.cells.items():
        cells[str(cell)] = {"state": now.state, "note": now.note}
        if now.state == "failed":
            found = failure(status.results, cell)
            cells[str(cell)]["error"] = {**to_builtins(found.error), "attempt": found.attempt} if found else {}
            cells[str(cell)]["last_line"] = last_line(status.results, cell)
    record = {"task": status.task, "counts": status.counts, "seconds_left": status.seconds_left, "cells": cells}
    return {**record, "unknown": status.unknown} if status.not_given else record


def typical_seconds(results: Path, cell: Cell) -> float | None:
    """Return the median time of the finished cells of a method on the task and backbone of a cell, or None."""
    files = [file for file in cell_file(results, cell).parent.glob("f*.json") if file.name.count(".") == 1]
    times = []
    for file in sorted(files)[:SAMPLE]:
        with contextlib.suppress(DataInvalid):
            times.append(read(file, Record).cost.seconds)
    return statistics.median(times) if times else None
