"""What a SLURM job runs: `python -m bench.run.worker results/slurm/NAME/intent.json`, one task of an array."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from bench.errors import BenchError, NotWritten
from bench.run import environment, failure
from bench.run.attempt import attempt, log_file, save_failure, write_log
from bench.run.plan import BASELINE, Cell, PlannedCell, Settings
from bench.run.runs import settings_of

ASK_AGAIN = 5.0
"""Seconds after which a cell that another process computes is asked for again."""
NEAR = {signal.SIGUSR2: 0.5, signal.SIGTERM: 0.9}
"""Share of the time limit after which a signal means that it is reached: USR2 comes some time before, TERM at it."""


class _Ended(BaseException):
    """SLURM wants the process to end; not an error of the cell, so no `except Exception` may keep it."""


def main(file: Path) -> int:
    """Compute the cells of this task one after the other; return 1 where one failed or its baseline did."""
    intent = json.loads(file.read_text(encoding="utf-8"))
    index, started = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")), time.monotonic()
    job = f"{os.environ.get('SLURM_ARRAY_JOB_ID', '')}_{index}"
    settings = settings_of(intent["settings"], Path(intent["settings"]["results"]))
    changed = intent["code"] != environment.code(settings.plugins)
    if changed:
        os.environ["BENCH_SUBMITTED_CODE"] = json.dumps(intent["code"])
    for number in NEAR:
        signal.signal(number, _end)
    ended: list[str] = []
    for entry in intent["tasks"][index]:
        cell = {name: entry[name] for name in Cell.__dataclass_fields__}
        planned = PlannedCell(Cell(**cell), entry["hash"])
        if changed:
            write_log(log_file(settings.results, planned.cell), "the code is not that of the submission")
        try:
            ended.append(_one(planned, settings, job, intent["force"]))
        except _Ended as end:
            spent, resumes = time.monotonic() - started, planned.cell.method == BASELINE or "done" in ended
            return _leave(planned, settings, job, end.args[0], spent, intent["minutes"], resumes=resumes)
        print(f"{planned.cell} {ended[-1]}", flush=True)
    return int(any(kind in ("failed", "blocked") for kind in ended))


def _one(planned: PlannedCell, settings: Settings, job: str, force: bool) -> str:
    while True:
        event = attempt(planned, settings, lambda text: print(text, flush=True), job=job, force=force)
        if event.kind != "held":
            return event.kind
        print(f"{planned.cell} is computed by {event.text}, waiting", flush=True)
        time.sleep(ASK_AGAIN)


def _end(number: int, _: FrameType | None) -> None:
    # SLURM tells the step and then the job: a second signal must not disturb the writing of why it ended.
    for one in NEAR:
        signal.signal(one, signal.SIG_IGN)
    raise _Ended(signal.Signals(number))


def _leave(
    planned: PlannedCell, settings: Settings, job: str, number: signal.Signals, spent: float, minutes: int, *,
    resumes: bool,
) -> int:  # fmt: skip
    """End because SLURM says so: back into the queue where that is worth it, else with a failure on disk.

    USR2 comes some time before the limit, and before a preemption; TERM at the limit, and with scancel. Over its time
    a job is worth another round of the same length only if it `resumes`: a method begins again, and would not end.
    """
    log, near = log_file(settings.results, planned.cell), spent > NEAR[number] * 60 * minutes
    if number == signal.SIGTERM and not near:
        write_log(log, "cancelled")
        return 128 + number
    kind: failure.Kind = "timeout" if near else "preempted"
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    worth = number == signal.SIGUSR2 and (resumes or kind == "preempted")
    if worth and restarts + 1 < failure.ATTEMPTS[kind]:
        write_log(log, f"{kind}: back into the queue")
        try:
            from bench.run.slurm import commands

            commands.requeue(job)
            return 0
        except BenchError as error:
            write_log(log, f"not taken back into the queue: {error}")
    said = f"the job ended after {spent / 60:.0f} of {minutes} minutes; the next run gives it more time"
    save_failure(planned, settings, {"class": "JobEnded", "kind": kind, "message": said, "traceback": ""}, job=job)
    return 1


def _main() -> Any:
    try:
        return main(Path(sys.argv[1]))
    except NotWritten as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_main())
