"""Jobs of a SLURM cluster, submitted in seconds; the same command submits what is missing later.

The files of the results are the truth, SLURM is a way of starting processes. submitit writes the sbatch text from the
profile's keys and knows which there are. What it would do besides is left out, because it loses work: it pickles the
call and renames the pickle after sbatch has answered, so that a head that dies in between kills a whole array; it
asks `sacct` for every job; it submits one array however long. Here a job is
`python -m bench.run.launchers.slurm.worker FILE`, and FILE holds names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.api import option
from bench.errors import UsageError
from bench.run.attempt import Event
from bench.run.launchers import Launcher, Queued, Submitted, Work
from bench.run.launchers.slurm import commands, log, profile, queue, submit
from bench.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Slurm(Launcher):
    """Arrays of SLURM jobs, those of baselines first."""

    queues = True
    profile: str = option("plain", "A profile of `slurm/`, or a .toml file: what jobs ask for.")
    group_by: Literal["cell", "fold"] = option("cell", "A job per cell, or one per fold: baseline and all methods.")

    def accept(self, asked: Settings) -> Settings:
        """Refuse a profile that is not valid, and cells that share a GPU where each cell is a job."""
        if asked.per_gpu and self.group_by != "fold":
            raise UsageError(
                f"--per-gpu {asked.per_gpu} on SLURM needs --group-by fold: a job per cell has its GPU for one cell"
            )
        profile.profile(self.profile)
        return asked

    def submit(self, work: Work, hear: Callable[[Event], None]) -> Submitted:
        """Submit arrays of jobs.

        Raises:
            NotAnswered: a controller that does not answer; what is submitted goes on.
        """
        return submit.submit(work, self.profile, self.group_by)

    def preview(self, work: Work) -> list[str]:
        """Return the arrays, their GPU hours where known, and the script of the first one of each part."""
        return submit.preview(work, self.profile, self.group_by)

    def queued(self, results: Path, task: str) -> Mapping[str, Queued]:
        """Return the jobs of cells: what `results/slurm` holds, what squeue says, and sacct of those that vanished."""
        return queue.queued(results, task)

    def cancel(self, results: Path, task: str | None) -> str:
        """Take the jobs out of the queue, whether they wait or run."""
        jobs = queue.jobs_of(results, task)
        commands.cancel(jobs)
        return f"{len(jobs)} jobs cancelled"

    def leftovers(self, results: Path, task: str, moving: set[str]) -> list[Path]:
        """Return the folders of submissions of which no cell waits or runs."""
        found = log.submissions(results, task)
        return [one.folder for one in found if not moving & {cell for cells in one.tasks for cell in cells}]
