"""SLURM's commands, called as rarely as possible, and the meaning of their errors."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, UsageError

TRIES = 6
FIRST_WAIT = 1.0
"""Seconds before the second try; doubled for each further one, with jitter."""
PATIENCE = 60
"""Seconds after which a command counts as unanswered."""
SILENT = re.compile(
    "unable to contact slurm controller|socket timed out|connection refused|connection timed out|connect failure|"
    "communication connection failure|zero bytes were transmitted or received|send/recv|"
    "slurm backup controller in standby|in maintenance",
    re.IGNORECASE,
)
"""Messages that mean that the controller does not answer."""
UNCONFIGURED = re.compile("configuration source|fetch_config|dns srv|slurm_conf|configuration file", re.IGNORECASE)
"""Messages of commands that are installed where there is no cluster."""
LIMITED = re.compile(
    "submitlimit|submit limit|maxsubmitjob|job violates accounting/qos policy|temporarily unable to accept|"
    "job count limit|maxjobcount|qosmax|assocmax|assocgrp",
    re.IGNORECASE,
)
"""Messages of `sbatch` that mean that the user may submit no more jobs for now."""


class NotAnswered(BenchError):
    """The controller does not answer; a submission may still have been accepted."""


class NotConfigured(NotAnswered):
    """SLURM's commands are installed, but know no cluster."""


class LimitReached(BenchError):
    """The cluster accepts no more jobs for now."""


@dataclass(frozen=True)
class Entry:
    """A task of an array, in the queue or in the accounting."""

    name: str
    job: str
    index: str
    """The index of the task; "" or "N/A" outside arrays."""
    state: str
    reason: str = ""
    """Why it waits, in a word of SLURM."""


def available() -> bool:
    """Return whether SLURM's commands are on the PATH."""
    return shutil.which("squeue") is not None


def sbatch(file: Path, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """Submit a script whose job has a unique name, that of its folder, and return the id of the job.

    If the controller does not answer, the call is repeated, but only after `squeue` shows that the job is not there.

    Raises:
        NotAnswered: after all tries.
        LimitReached: the user may submit no more jobs.
        UsageError: the cluster refuses the script.
    """
    name, last = file.parent.name, ""
    for turn in range(TRIES):
        if turn:
            sleep(FIRST_WAIT * 2 ** (turn - 1) * random.uniform(0.75, 1.25))
            try:
                accepted = {entry.job for entry in queue([name])}
            except NotAnswered:
                continue
            if accepted:
                return accepted.pop()
        try:
            return _run("sbatch", "--parsable", str(file)).strip().partition(";")[0]
        except NotConfigured:
            raise
        except NotAnswered as error:
            last = str(error)
    raise NotAnswered(
        f"{last} (tried {TRIES} times). Submitted jobs continue; run the same command again to submit the rest."
    )


def queue(names: Sequence[str]) -> list[Entry]:
    """Return the queued tasks of the jobs with these names, by one call of `squeue`.

    Raises:
        NotAnswered: the controller does not answer.
    """
    if not names:
        return []
    out = _run("squeue", "--noheader", "--array", "--format=%j|%F|%K|%T|%r", f"--name={','.join(names)}")
    return [Entry(*line.split("|", 4)) for line in out.splitlines() if line.count("|") >= 3]


def accounts(names: Sequence[str], since: float) -> list[Entry]:
    """Return what the accounting knows about the jobs with these names; nothing if the cluster keeps no accounts."""
    if not names or shutil.which("sacct") is None:
        return []
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since - 60))
    try:
        which = ("--allocations", f"--starttime={start}", f"--name={','.join(names)}")
        out = _run("sacct", "--noheader", "--parsable2", "--format=JobName,JobID,State", *which)
    except BenchError:
        return []
    found = []
    for name, job, state in (line.split("|") for line in out.splitlines() if line.count("|") == 2):
        number, _, index = job.partition("_")
        found.append(Entry(name, number, index, state))
    return found


def cancel(jobs: Sequence[str]) -> None:
    """Cancel waiting or running jobs."""
    if jobs:
        _run("scancel", *jobs)


def requeue(job: str) -> None:
    """Return the job that this process belongs to to the queue."""
    _run("scontrol", "requeue", job)


def max_array_size() -> int:
    """Return how many tasks an array may have: MaxArraySize; the last index is one less."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _run("scontrol", "show", "config"))
    return min(int(found[1]) if found else 1001, 1001)


def environment() -> dict[str, str]:
    """Return the environment of a command: a submission from inside a job must not inherit that job's variables."""
    foreign = re.compile(r"^(SLURM|SLURMD|SRUN)_")
    return {name: value for name, value in os.environ.items() if name == "SLURM_CONF" or not foreign.match(name)}


def _run(*words: str) -> str:
    ended = None
    try:
        ended = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False, env=environment()
        )
        output = ended.stderr or ended.stdout
    except FileNotFoundError:
        raise UsageError(
            f"{words[0]} is not on the PATH: log in to a node of the cluster, or run with --on local"
        ) from None
    except subprocess.TimeoutExpired as error:
        output = error.stderr or b""
    if ended is not None and ended.returncode == 0:
        return ended.stdout.decode(errors="replace")
    said = " ".join(output.decode(errors="replace").split())
    if ended is not None and UNCONFIGURED.search(said):
        raise NotConfigured(
            f"{words[0]} finds no configuration of SLURM here: log in to a node of the cluster, or set SLURM_CONF"
        )
    if ended is not None and SILENT.search(said):
        raise NotAnswered(f"{words[0]}: {said}")
    # At MaxJobCount, sbatch says so and keeps trying by itself for minutes.
    if words[0] == "sbatch" and LIMITED.search(said):
        raise LimitReached(f"the cluster accepts no more jobs for now ({said})")
    if ended is None:
        raise NotAnswered(f"{words[0]} did not answer within {PATIENCE} s")
    raise UsageError(f"{' '.join(words[:2])}: {said}")
