"""SLURM's commands, called as rarely as possible, and what their failures mean."""

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
"""Seconds after which a command is taken for unanswered."""
SILENT = (
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "connection timed out",
    "connect failure",
    "communication connection failure",
    "zero bytes were transmitted or received",
    "send/recv",
    "slurm backup controller in standby",
    "in maintenance",
)
LIMITED = (
    "submitlimit",
    "submit limit",
    "maxsubmitjob",
    "job violates accounting/qos policy",
    "temporarily unable to accept",
    "job count limit",
    "maxjobcount",
    "qosmax",
    "assocmax",
    "assocgrp",
)


class NotAnswered(BenchError):
    """The controller does not answer; a submission may have been accepted all the same."""


class LimitReached(BenchError):
    """The cluster takes no more jobs for now."""


@dataclass(frozen=True)
class Entry:
    """A task of an array in the queue or in the accounts."""

    name: str
    job: str
    index: int | None
    state: str


def available() -> bool:
    """Tell whether there is a SLURM on this machine's PATH."""
    return shutil.which("squeue") is not None


def sbatch(file: Path, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """Submit a script whose job has a name of its own, and return the id of the job.

    Where the controller does not answer it is asked again, but only after a look whether the job is there.

    Raises:
        NotAnswered: after all tries.
        LimitReached: the user may submit no more jobs.
        UsageError: a script that the cluster refuses.
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
        except NotAnswered as error:
            last = str(error)
    raise NotAnswered(f"{last} (tried {TRIES} times). What is submitted goes on; the same command submits the rest.")


def queue(names: Sequence[str]) -> list[Entry]:
    """Return what is queued of the jobs of these names: one call of squeue.

    Raises:
        NotAnswered: the controller is not there.
    """
    if not names:
        return []
    out = _run("squeue", "--noheader", "--array", "--format=%j|%F|%K|%T", f"--name={','.join(names)}")
    return [_entry(line) for line in out.splitlines() if line.count("|") == 3]


def accounts(names: Sequence[str], since: float) -> list[Entry]:
    """Return what the accounts know of the jobs of these names; nothing where the cluster keeps none."""
    if not names or shutil.which("sacct") is None:
        return []
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since - 60))
    try:
        which = ("--allocations", f"--starttime={start}", f"--name={','.join(names)}")
        out = _run("sacct", "--noheader", "--parsable2", "--format=JobName,JobID,State", *which)
    except BenchError:
        return []
    found = []
    for line in out.splitlines():
        name, _, rest = line.partition("|")
        job, _, state = rest.partition("|")
        number, _, index = job.partition("_")
        found.append(_entry(f"{name}|{number}|{index}|{state}"))
    return found


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs, whether they wait or run."""
    if jobs:
        _run("scancel", *jobs)


def requeue(job: str) -> None:
    """Put the job that this process is part of back into the queue."""
    _run("scontrol", "requeue", job)


def max_array_size() -> int:
    """Return how many tasks an array may have: MaxArraySize, whose last index is one less."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _run("scontrol", "show", "config"))
    return min(int(found[1]) if found else 1001, 1001)


def environment() -> dict[str, str]:
    """Return the environment for a submission: from inside a job, that job's own variables must not be inherited."""
    foreign = re.compile(r"^(SLURM|SLURMD|SRUN)_")
    return {name: value for name, value in os.environ.items() if name == "SLURM_CONF" or not foreign.match(name)}


def _entry(line: str) -> Entry:
    name, job, index, state = line.split("|")
    return Entry(name, job, int(index) if index.isdigit() else None, state)


def _run(*words: str) -> str:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=environment(),
        )
    except FileNotFoundError:
        raise UsageError(
            f"{words[0]} is not on the PATH: log in to a node of the cluster, or run with --on local"
        ) from None
    except subprocess.TimeoutExpired as error:
        # At MaxJobCount sbatch says so and tries again by itself, for minutes.
        said = " ".join((error.stderr or b"").decode(errors="replace").split())
        if _limited(words[0], said):
            raise LimitReached(f"the cluster takes no more jobs for now ({said})") from None
        raise NotAnswered(f"{words[0]} did not answer within {PATIENCE} s") from None
    if done.returncode == 0:
        return done.stdout
    said = " ".join((done.stderr or done.stdout).split())
    if any(text in said.lower() for text in SILENT):
        raise NotAnswered(f"{words[0]}: {said}")
    if _limited(words[0], said):
        raise LimitReached(f"the cluster takes no more jobs for now ({said})")
    raise UsageError(f"{' '.join(words[:2])}: {said}")


def _limited(command: str, said: str) -> bool:
    return command == "sbatch" and any(text in said.lower() for text in LIMITED)
