"""Which cells have a job: read from the submissions on disk, one squeue, and sacct for the tasks that vanished."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.cells.identity import cells_folder
from bench.run.attempt import FailureKind
from bench.run.launchers import Queued
from bench.run.launchers.slurm import commands
from bench.run.launchers.slurm.log import Submission, acknowledge, submissions

WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "SUSPENDED")
ENDED = ("COMPLETED", "COMPLETING", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY")
_KINDS: dict[str, FailureKind] = {
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "NODE_FAIL": "node",
    "BOOT_FAIL": "node",
    "PREEMPTED": "preempted",
    "OUT_OF_MEMORY": "oom",
    "CANCELLED": "cancelled",
    "FAILED": "bug",
}


def queued(results: Path, task: str) -> dict[str, Queued]:
    """Return, by the path of a cell, the jobs that compute cells of a task, and how those ended that are gone.

    Without SLURM, or where its controller does not answer, the files have to do: said on stderr, and nothing raised.
    """
    known = submissions(results, task)
    if not known or not commands.available():
        return {}
    try:
        entries = commands.queue([one.name for one in known])
    except commands.NotAnswered as error:
        print(f"{error}; what is waiting in the queue is not known", file=sys.stderr)
        return {}
    return _by_cell(results, known, entries)


def _by_cell(results: Path, known: list[Submission], entries: list[commands.Entry]) -> dict[str, Queued]:
    # By name, never by number: numbers are used again, and one may have been lost with sbatch's answer.
    there: dict[str, dict[int | None, commands.Entry]] = {}
    for entry in entries:
        there.setdefault(entry.name, {})[entry.index] = entry
    found: dict[str, Queued] = {}
    vanished: list[tuple[Submission, int]] = []
    for one in known:
        tasks = there.get(one.name, {})
        if tasks and not one.job:
            acknowledge(one.folder, next(iter(tasks.values())).job)
        for index, cells in enumerate(one.tasks):
            entry = tasks.get(index)
            if entry is None or entry.state.startswith(ENDED):
                vanished.append((one, index))
                continue
            state = "waiting" if entry.state.startswith(WAITING) else "running"
            found.update({cell: Queued(f"{entry.job}_{index}", state) for cell in cells})
    unfinished = [(one, i) for one, i in vanished if not all(_ended(results, cell) for cell in one.tasks[i])]
    return {**_ends(unfinished), **found}


def _ended(results: Path, cell: str) -> bool:
    place = cells_folder(results) / cell
    return any(place.with_name(place.name + ending).is_file() for ending in (".json", ".failed.json"))


def _ends(tasks: list[tuple[Submission, int]]) -> dict[str, Queued]:
    if not tasks:
        return {}
    names = list(dict.fromkeys(one.name for one, _ in tasks))
    told = commands.accounts(names, min(one.submitted for one, _ in tasks))
    states = {(entry.name, entry.index): entry.state for entry in told}
    found = {}
    for one, index in tasks:
        state = states.get((one.name, index))
        kind = kind_of_state(state) if state else None
        if kind is not None:
            job = f"{one.job}_{index}"
            found.update({cell: Queued(job, "gone", kind) for cell in one.tasks[index]})
    return found


def kind_of_state(state: str) -> FailureKind | None:
    """Return why a job failed by its state, such as `CANCELLED by 1000`; None where the state is no failure."""
    # `sacct` shortens what is wider than its column: OUT_OF_ME+.
    word = state.split()[0].rstrip("+") if state else ""
    return next((kind for name, kind in _KINDS.items() if word and name.startswith(word)), None)


def jobs_of(results: Path, task: str | None) -> list[str]:
    """Return the jobs of a task, or of all, that wait or run, for scancel."""
    names = [one.name for one in submissions(results, task)]
    entries = commands.queue(names) if commands.available() else []
    return [f"{entry.job}_{entry.index}" for entry in entries if not entry.state.startswith(ENDED)]
