"""The submissions that a results folder records, and what the cluster says became of their jobs.

Each array has a folder in `results/slurm/`. The intent is written before `sbatch` is called, the job id afterwards:

NAME/intent.json   what the tasks of the array compute; NAME is also the unique name of the job
NAME/script.sh     the script given to `sbatch`
NAME/job           the id of the job; a submission without this file may still have been accepted
NAME/*.out, *.err  the output of the tasks
"""

from __future__ import annotations

import contextlib
import re
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cells.identity import cells_folder, slurm_folder
from bench.errors import BenchError
from bench.files import read_json, write_file, write_json
from bench.running.attempt import FailureKind
from bench.running.launchers import Queued
from bench.running.launchers.slurm import commands

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


@dataclass(frozen=True)
class Submission:
    """An array: `tasks` holds the paths of the cells of each task; `job` is "" until `sbatch` has answered."""

    folder: Path
    tasks: tuple[tuple[str, ...], ...]
    submitted: float
    job: str


def new_folder(results: Path) -> Path:
    """Return the folder of a new submission: a random name that says nothing about the data."""
    return slurm_folder(results) / f"bench-{secrets.token_hex(5)}"


def write_intent(folder: Path, intent: dict[str, Any], script: str) -> None:
    """Record a submission before it is made."""
    write_file(folder / "script.sh", script)
    write_json(folder / "intent.json", {**intent, "submitted": time.time()})


def acknowledge(folder: Path, job: str) -> None:
    """Record the job that a submission became."""
    write_file(folder / "job", job + "\n")


def submissions(results: Path, task: str | None = None) -> list[Submission]:
    """Return the submissions of one task or of all, oldest first. Damaged ones are left out."""
    found = []
    for file in slurm_folder(results).glob("*/intent.json"):
        intent, job = read_json(file), file.parent / "job"
        with contextlib.suppress(KeyError, TypeError, ValueError):
            tasks = tuple(tuple(str(cell["path"]) for cell in cells) for cells in intent["tasks"])
            number = job.read_text(encoding="utf-8").strip() if job.is_file() else ""
            if task in (None, intent["task"]):
                found.append(Submission(file.parent, tasks, float(intent["submitted"]), number))
    return sorted(found, key=lambda one: (one.submitted, one.folder.name))


def queued(results: Path, task: str) -> dict[str, Queued]:
    """Return the jobs that compute cells of a task, by the path of the cell, and how vanished jobs ended.

    It reads the submissions on disk, calls `squeue` once, and asks `sacct` about tasks that vanished. Without SLURM,
    or if its controller does not answer, only the files count; the second case is reported on stderr.
    """
    known = submissions(results, task)
    if not known or not commands.available():
        return {}
    try:
        entries = commands.queue([one.folder.name for one in known])
    except commands.NotAnswered as error:
        print(f"{error}; the state of waiting jobs is unknown", file=sys.stderr)
        return {}
    # By name, never by number: SLURM reuses numbers, and one may have been lost with the answer of sbatch.
    there: dict[str, dict[str, commands.Entry]] = defaultdict(dict)
    for entry in entries:
        there[entry.name][entry.index] = entry
    found: dict[str, Queued] = {}
    vanished: list[tuple[Submission, int]] = []
    for one in known:
        tasks = there[one.folder.name]
        if tasks and not one.job:
            acknowledge(one.folder, next(iter(tasks.values())).job)
        for index, cells in enumerate(one.tasks):
            entry = tasks.get(str(index))
            if entry is not None and not entry.state.startswith(ENDED):
                state = "waiting" if entry.state.startswith(WAITING) else "running"
                held = _held(entry, one.folder) if state == "waiting" else ""
                found.update({cell: Queued(f"{entry.job}_{index}", state, held) for cell in cells})
            elif not all(_ended(results, cell) for cell in cells):
                vanished.append((one, index))
    return {**_ends(vanished), **found}


def _held(entry: commands.Entry, folder: Path) -> str:
    """Return why a waiting job does not start by itself, and what to do; "" if it only waits for its turn."""
    if entry.reason.startswith("Dependency") and _waits_for(folder) == entry.job:
        return (
            f"it waits for itself, because SLURM gave the number {entry.job} twice: `bench cancel`, then run the same "
            "command again"
        )
    if re.search("held", entry.reason, re.IGNORECASE):
        return f"SLURM holds it ({entry.reason}): `scontrol release {entry.job}` lets it start"
    if re.search("never|invalid|badconstraints|(time|node)limit$|accountnot|qosnot", entry.reason, re.IGNORECASE):
        return f"it cannot start ({entry.reason}): `bench cancel`, then run again with another profile"
    return ""


def _waits_for(folder: Path) -> str:
    """Return the job that a submission waits for, as its script says; "" if there is none."""
    try:
        script = (folder / "script.sh").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = re.search(r"--dependency=after\w+:(\d+)", script)
    return found[1] if found else ""


def still_queued(known: Sequence[Submission]) -> set[str]:
    """Return the names of the submissions that have a waiting or running job.

    Raises:
        BenchError: the queue cannot be asked: what is not known is not empty.
    """
    if known and not commands.available():
        raise BenchError(
            f"{len(known)} submissions are recorded, and squeue is not on the PATH: their jobs may still wait. "
            "Nothing is removed; run the command again where SLURM's commands are"
        )
    entries = commands.queue([one.folder.name for one in known])
    return {entry.name for entry in entries if not entry.state.startswith(ENDED)}


def _ended(results: Path, cell: str) -> bool:
    """Return whether a cell has a result or a failure on disk."""
    place = cells_folder(results) / cell
    return any(place.with_name(place.name + ending).is_file() for ending in (".json", ".failed.json"))


def _ends(tasks: list[tuple[Submission, int]]) -> dict[str, Queued]:
    """Return how tasks that left the queue without a result ended, as far as the accounting knows."""
    if not tasks:
        return {}
    names = list(dict.fromkeys(one.folder.name for one, _ in tasks))
    ended = commands.accounts(names, min(one.submitted for one, _ in tasks))
    kinds = {(entry.name, entry.index): kind_of_state(entry.state) for entry in ended}
    found = {}
    for one, index in tasks:
        if kind := kinds.get((one.folder.name, str(index))):
            found.update({cell: Queued(f"{one.job}_{index}", "gone", kind) for cell in one.tasks[index]})
    return found


def kind_of_state(state: str) -> FailureKind | None:
    """Return why a job failed, from a state such as `CANCELLED by 1000`; None if the state is no failure."""
    # `sacct` shortens states that are wider than its column: OUT_OF_ME+.
    word = state.split()[0].rstrip("+") if state else ""
    return next((kind for name, kind in _KINDS.items() if word and name.startswith(word)), None)


def jobs_of(results: Path, task: str | None) -> list[str]:
    """Return the waiting and running jobs of one task or of all, as `scancel` takes them."""
    names = [one.folder.name for one in submissions(results, task)]
    entries = commands.queue(names) if commands.available() else []
    return [f"{entry.job}_{entry.index}" for entry in entries if not entry.state.startswith(ENDED)]
