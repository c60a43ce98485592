"""Jobs of a SLURM cluster. Submitting takes seconds; running the same command later submits the missing cells.

The files in the results folder are authoritative; SLURM only starts processes. submitit translates the keys of the
profile into an sbatch script and defines which keys exist. The rest of submitit is not used, because it can lose
work: it pickles the call and renames the pickle after `sbatch` has answered, so if the submitting process dies in
between, a whole array is lost; it calls `sacct` for every job; and it submits one array of any length. Here a job is
`python -m bench.running.launchers.slurm.worker FILE`, and FILE holds names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.api import option
from bench.errors import UsageError, number_of
from bench.running.attempt import Event
from bench.running.launchers import Launcher, Queued, Submitted, Work
from bench.running.launchers.slurm import commands, profile, queue, submit
from bench.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Slurm(Launcher):
    """Arrays of SLURM jobs, baselines first."""

    queues = True
    profile: str = option("plain", "The resources that jobs request: a profile in `slurm/`, or a .toml file.")
    group_by: Literal["cell", "fold"] = option("cell", "A job per cell, or one per fold: baseline and all methods.")

    def accept(self, asked: Settings) -> Settings:
        """Refuse an invalid profile, and cells that share a GPU if each cell is a separate job."""
        if asked.per_gpu and self.group_by != "fold":
            raise UsageError(
                f"--per-gpu {asked.per_gpu} on SLURM needs --group-by fold: "
                "with one job per cell, each GPU serves a single cell"
            )
        profile.profile(self.profile)
        return asked

    def submit(self, work: Work, hear: Callable[[Event], None]) -> Submitted:
        """Submit arrays of jobs.

        Raises:
            NotAnswered: the controller does not answer; arrays that were submitted continue.
        """
        return submit.submit(work, self.profile, self.group_by)

    def preview(self, work: Work) -> list[str]:
        """Return the arrays, their GPU hours if known, and the script of the first array of each part."""
        return submit.preview(work, self.profile, self.group_by)

    def queued(self, results: Path, task: str) -> Mapping[str, Queued]:
        """Return the jobs of cells, from `results/slurm`, `squeue`, and `sacct` for jobs that vanished."""
        return queue.queued(results, task)

    def cancel(self, results: Path, task: str | None) -> str:
        """Cancel waiting and running jobs."""
        jobs = queue.jobs_of(results, task)
        commands.cancel(jobs)
        return f"{number_of(len(jobs), 'job')} cancelled"

    def leftovers(self, results: Path, task: str, moving: set[str]) -> list[Path]:
        """Return the folders of submissions that have no waiting or running cell.

        Raises:
            BenchError: the queue cannot be asked, so that jobs may still wait.
        """
        found = queue.submissions(results, task)
        waiting = queue.still_queued(found)
        idle = [one for one in found if not moving & {cell for cells in one.tasks for cell in cells}]
        return [one.folder for one in idle if one.folder.name not in waiting]
