"""One task of a SLURM array: `python -m bench.running.launchers.slurm.worker results/slurm/NAME/intent.json`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from signal import Signals
from types import FrameType

from bench.cells import store
from bench.cells.identity import BASELINE, Cell
from bench.cells.record import Error
from bench.errors import BenchError, NotWritten
from bench.running import environment
from bench.running.attempt import Event, FailureKind, attempt, save_failure, write_log
from bench.running.history import from_record, plugins
from bench.running.launchers.local import visible
from bench.running.plan import PlannedCell
from bench.settings import Settings

ASK_AGAIN = 5.0
"""Seconds between two attempts at a cell that another process computes."""
NEAR = {signal.SIGUSR2: 0.5, signal.SIGTERM: 0.9}
"""Share of the time limit after which a signal means that time is up: USR2 comes before the limit, TERM at it."""
ATTEMPTS: dict[FailureKind, int] = {"node": 3, "preempted": 3, "timeout": 3}
"""Attempts at a cell within one run; one for every other kind of failure.

A lost node or a preempted job says nothing about the cell, and a job that ran out of time resumes from its last
checkpoint. Failures of memory, data, NaN or code would repeat: a batch is already split while the cell runs
(`learn.chunks`), and a cell that shared its GPU is tried alone before it fails (`launchers.local`). When the user
runs `bench run` again, all of them are tried again.
"""


class _Ended(BaseException):
    """SLURM ends the process. This is no error of the cell, so `except Exception` must not catch it."""


def main(file: Path) -> int:
    """Compute the cells of this task, one after the other or several at a time; return 1 if one failed."""
    intent = json.loads(file.read_text(encoding="utf-8"))
    index, started = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")), time.monotonic()
    job = f"{os.environ.get('SLURM_ARRAY_JOB_ID', '')}_{index}"
    runs = [from_record(run, Path(run["results"])) for run in intent["runs"]]
    settings = runs[0]  # all share the folder of results and the options of execution
    changed = intent["code"] != environment.code(plugins(runs))
    if changed:
        os.environ["BENCH_SUBMITTED_CODE"] = json.dumps(intent["code"])
    for number in NEAR:
        signal.signal(number, _end)
    cells = [
        PlannedCell(
            Cell(**{name: entry[name] for name in Cell.__dataclass_fields__}),
            entry["hash"],
            runs[entry["run"]],
            entry["origin"],
        )
        for entry in intent["tasks"][index]
    ]
    running, ended = set[PlannedCell](), list[str]()

    def hear(event: Event) -> None:
        if event.kind == "started":
            running.add(event.planned)
            if changed:
                write_log(settings.results, event.planned.cell, "the code has changed since the submission")
        elif event.kind == "progress":
            print(event.text, flush=True)
        else:
            running.discard(event.planned)
            ended.append(event.kind)
            print(f"{event.planned.cell} {event.kind} {event.text}".rstrip(), flush=True)

    try:
        gpus = visible()[0]
        if len(cells) > 1 and max(settings.per_gpu or 1, len(gpus)) > 1:
            _together(cells, settings, gpus, job, hear)
        else:
            for planned in cells:
                hear(Event("started", planned))
                hear(_one(planned, job))
    except _Ended as end:
        spent = time.monotonic() - started
        resumes = "done" in ended or any(planned.cell.spec == BASELINE for planned in running)
        return _leave(running, settings, job, end.args[0], spent, intent["minutes"], resumes=resumes)
    return int(any(kind in ("failed", "blocked") for kind in ended))


def _together(
    cells: list[PlannedCell], settings: Settings, gpus: tuple[str, ...], job: str, hear: Callable[[Event], None]
) -> None:
    """Compute several cells at a time on all GPUs of the job, each in a separate process that sees one of them."""
    from bench import taskfile
    from bench.running.launchers.local.pool import run_pool
    from bench.running.run_cells import at_a_time

    settings = replace(settings, jobs=(settings.per_gpu or 1) * max(1, len(gpus)), gpus=gpus)
    jobs = at_a_time(settings, taskfile.resolve(settings.task).recipe.threads)
    try:
        run_pool(cells, jobs, hear, gpus=settings.gpus, job=job)
    finally:
        store.clear_temporaries(settings.results, cells[0].cell.task, settings.cache)


def _one(planned: PlannedCell, job: str) -> Event:
    while True:
        event = attempt(planned, lambda text: print(text, flush=True), job=job)
        if event.kind != "held":
            return event
        print(f"{planned.cell} is being computed by {event.text}; waiting", flush=True)
        time.sleep(ASK_AGAIN)


def _end(number: int, _: FrameType | None) -> None:
    # SLURM signals the step and then the job. The second signal must not interrupt the writing of the failure.
    for one in NEAR:
        signal.signal(one, signal.SIG_IGN)
    raise _Ended(Signals(number))


def _leave(
    cells: set[PlannedCell], settings: Settings, job: str, number: Signals, spent: float, minutes: int, *, resumes: bool
) -> int:
    """End on SLURM's signal: return to the queue if that is worthwhile, else leave a failure on disk.

    USR2 comes some time before the limit and before a preemption; TERM comes at the limit and from `scancel`. A job
    that ran out of time is worth another round of the same length only if it `resumes`: a method would start again
    from the beginning, and run out of time again.
    """
    near = spent > NEAR[number] * 60 * minutes

    def note(text: str) -> None:
        for planned in cells:
            write_log(settings.results, planned.cell, text)

    if number == signal.SIGTERM and not near:
        note("cancelled")
        return 128 + number
    kind: FailureKind = "timeout" if near else "preempted"
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    worth = number == signal.SIGUSR2 and (resumes or kind == "preempted")
    if worth and restarts + 1 < ATTEMPTS[kind]:
        note(f"{kind}: returned to the queue")
        try:
            from bench.running.launchers.slurm import commands

            commands.requeue(job)
            return 0
        except BenchError as error:
            note(f"not returned to the queue: {error}")
    said = f"the job ended after {spent / 60:.0f} of {minutes} minutes; the next run gives it more time"
    for planned in cells:
        save_failure(planned, Error(name="JobEnded", kind=kind, message=said), job=job)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except NotWritten as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
