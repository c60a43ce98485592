"""What was submitted: a folder per array in `results/slurm/`, with the intent written before sbatch and the job after.

NAME/intent.json   what the tasks of the array compute; NAME is also the name of the job, and of no other
NAME/script.sh     what sbatch was given
NAME/job           the id of the job; a submission without it may have been accepted all the same
NAME/*.out, *.err  what the tasks printed
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cells.identity import slurm_folder
from bench.files import read_json, replacing, write_json


@dataclass(frozen=True)
class Submission:
    """An array: `tasks` holds the paths of the cells of each of its tasks, `job` is "" until sbatch has answered."""

    name: str
    folder: Path
    task: str
    tasks: tuple[tuple[str, ...], ...]
    submitted: float
    job: str
    minutes: int

    def task_of(self, cell: str) -> int | None:
        """Return which task of the array computes a cell."""
        return next((index for index, cells in enumerate(self.tasks) if cell in cells), None)


def new_name() -> str:
    """Return a name for a job that no other has, and that says nothing of the data."""
    return f"bench-{secrets.token_hex(5)}"


def write_intent(results: Path, name: str, intent: dict[str, Any], text: str) -> Path:
    """Write down what is about to be submitted; return its folder."""
    folder = slurm_folder(results) / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.sh").write_text(text, encoding="utf-8")
    write_json(folder / "intent.json", {**intent, "submitted": time.time()})
    return folder


def acknowledge(folder: Path, job: str) -> None:
    """Write down the job that a submission became."""
    with replacing(folder / "job") as temporary:
        temporary.write_text(job + "\n", encoding="utf-8")


def submissions(results: Path, task: str | None = None) -> list[Submission]:
    """Return the submissions of a task, or of all, the oldest first; damaged ones are left out."""
    found = []
    for file in slurm_folder(results).glob("*/intent.json"):
        intent, job = read_json(file) or {}, file.parent / "job"
        if not {"task", "tasks", "submitted"} <= set(intent) or task not in (None, intent["task"]):
            continue
        tasks = tuple(tuple(cell["path"] for cell in cells) for cells in intent["tasks"])
        number = job.read_text(encoding="utf-8").strip() if job.is_file() else ""
        minutes = int(intent.get("minutes", 60))
        name, submitted = file.parent.name, float(intent["submitted"])
        found.append(Submission(name, file.parent, intent["task"], tasks, submitted, number, minutes))
    return sorted(found, key=lambda one: (one.submitted, one.name))
