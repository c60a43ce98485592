"""Submit the missing cells of a run as arrays of SLURM jobs, baselines first."""

from __future__ import annotations

import shlex
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from bench.cells.identity import BASELINE, slurm_folder
from bench.errors import UsageError, number_of
from bench.running import cell_states, environment, history
from bench.running.history import as_record
from bench.running.launchers import Queued, Submitted, Work
from bench.running.launchers.slurm import commands, queue
from bench.running.launchers.slurm.profile import PARTS, Part, Profile, asked_by, profile, script
from bench.running.plan import PlannedCell
from bench.running.status import typical_seconds
from bench.settings import Settings

GroupBy = Literal["cell", "fold"]


@dataclass(frozen=True)
class Array:
    """An array to submit: cells by task of SLURM, all of one task of ours; the cell that must be done first, or ""."""

    part: Part
    tasks: tuple[tuple[PlannedCell, ...], ...]
    after: str
    minutes: int


def arrays(
    todo: Sequence[PlannedCell],
    chosen: Profile,
    *,
    results: Path,
    group_by: GroupBy,
    largest: int,
    in_queue: Mapping[str, Queued],
) -> list[Array]:
    """Return the arrays for the cells to compute, those of baselines first.

    Args:
        todo: cells that are neither done nor in the queue.
        chosen: the profile; a cell that ran out of time before is given more.
        results: the folder that holds earlier failures.
        group_by: "cell": one task per cell; the methods of a fold wait for its baseline, and a baseline for another one
            that trains the same weights. A job of several GPUs gets a cell for each. "fold": one task per fold.
        largest: the most tasks that an array may have.
        in_queue: jobs by the path of a cell. A baseline may already be queued; a job may have run out of time.
    """
    first: dict[str, str] = {}
    for planned in todo:
        if planned.cell.spec == BASELINE:
            first.setdefault(planned.origin, str(planned.cell))
    baselines = {p.fold for p in todo if p.cell.spec == BASELINE}

    def after(planned: PlannedCell) -> str:
        if group_by == "fold" and planned.fold in baselines:
            return ""  # the cells of a job follow each other; of two jobs that need the same weights, one waits
        if planned.cell.spec == BASELINE:
            trains = first[planned.origin]
            return "" if trains == str(planned.cell) else trains
        baseline = str(replace(planned.cell, spec=BASELINE, choice=""))
        waits = baseline in in_queue and in_queue[baseline].state != "gone"
        return baseline if waits or planned.fold in baselines else ""

    tasks: list[tuple[PlannedCell, ...]] = [(p,) for p in todo]
    if group_by == "fold":
        order = sorted(todo, key=lambda p: (p.fold, p.cell.spec != BASELINE))
        tasks = [tuple(cells) for _, cells in groupby(order, key=lambda p: p.fold)]
    # A job of a fold may have cells of several runs; all of an array are of one task.
    found: dict[tuple[Settings, Part, str, int], list[tuple[PlannedCell, ...]]] = defaultdict(list)
    for cells in tasks:
        part: Part = "baseline" if cells[0].cell.spec == BASELINE else "method"
        minutes = max(chosen.minutes_after(part, _times_over(p, results, in_queue)) for p in cells)
        found[cells[0].settings, part, after(cells[0]), minutes].append(cells)
    if group_by == "cell":
        # Cells of an array do not wait for each other.
        for (_, part, *_), some in found.items():
            each = max(1, chosen.gpus(part))
            some[:] = [tuple(p for (p,) in some[at : at + each]) for at in range(0, len(some), each)]
    result = [
        Array(part, tuple(some[at : at + largest]), before, minutes)
        for (_, part, before, minutes), some in found.items()
        for at in range(0, len(some), largest)
    ]
    return sorted(result, key=lambda array: (array.part != "baseline", array.after != ""))


def submit(work: Work, profile_name: str, group_by: GroupBy) -> Submitted:
    """Submit arrays for the cells of a run, and report each on stderr.

    Raises:
        UsageError: the cluster refuses a script.
        NotAnswered: the controller does not answer; arrays that were submitted continue.
    """
    chosen, jobs, why = profile(profile_name), list[Array](), "their baselines were not accepted"
    where = {cell: job.job for cell, job in work.queued.items() if job.state != "gone"}
    numbers = {job.partition("_")[0] for job in where.values()}
    for array in _planned(work, chosen, group_by):
        if array.after and array.after not in where:
            continue  # its baseline was not accepted
        folder = queue.new_folder(work.settings.results)
        text = _script(array, chosen, folder, where[array.after] if array.after else "")
        queue.write_intent(folder, intent(array), text)
        try:
            job = commands.sbatch(folder / "script.sh")
        except commands.LimitReached as error:
            why = f"{error}; run the same command again when some jobs have finished"
            break
        except UsageError as error:
            raise UsageError(f"{error}{asked_by(chosen, array.part, str(error))}") from None
        if job in numbers:
            # An array that waits for a job of its own number waits for itself.
            commands.cancel([job])
            raise commands.NotAnswered(
                f"SLURM gave the number {job} twice, so its controller has forgotten the first job: run the same "
                "command again, which submits what is not in the queue"
            )
        numbers.add(job)
        queue.acknowledge(folder, job)
        jobs.append(array)
        where.update({str(p.cell): f"{job}_{i}" for i, cells in enumerate(array.tasks) for p in cells})
        print(f"job {job}: {_words(array)}", file=sys.stderr)
    return Submitted(sum(len(cells) for array in jobs for cells in array.tasks), number_of(len(jobs), "array"), why)


def _planned(work: Work, chosen: Profile, group_by: GroupBy) -> list[Array]:
    largest = 1001
    if commands.available():
        try:
            largest = commands.max_array_size()
        except commands.NotAnswered as error:
            if not work.settings.dry_run:
                raise
            print(f"{error}; arrays are taken to have at most {largest} tasks", file=sys.stderr)
    how = {"results": work.settings.results, "group_by": group_by, "largest": largest, "in_queue": work.queued}
    return arrays(work.cells, chosen, **how)


def intent(array: Array) -> dict[str, Any]:
    """Return all that a job is told, as it is written beside its script: names, paths and numbers."""
    runs = list(dict.fromkeys(p.settings for cells in array.tasks for p in cells))
    tasks = [
        [
            {"path": str(p.cell), "hash": p.hash, "origin": p.origin, "run": runs.index(p.settings), **asdict(p.cell)}
            for p in cells
        ]
        for cells in array.tasks
    ]
    return {
        "task": array.tasks[0][0].cell.task,
        "minutes": array.minutes,
        "runs": [{**as_record(settings), "results": str(settings.results)} for settings in runs],
        "code": environment.code(history.plugins(runs)),
        "tasks": tasks,
    }


def _script(array: Array, chosen: Profile, folder: Path, after: str) -> str:
    """Return the sbatch script of an array; `after` is the job that must succeed first."""
    longer = replace(chosen, keys={**chosen.keys, array.part: {**chosen.keys[array.part], "time": array.minutes}})
    command = shlex.join([sys.executable, "-m", "bench.running.launchers.slurm.worker", str(folder / "intent.json")])
    dependency = f"afterok:{after}" if after else ""
    return script(longer, array.part, command=command, folder=folder, tasks=len(array.tasks), dependency=dependency)


def preview(work: Work, profile_name: str, group_by: GroupBy) -> list[str]:
    """Return what `submit` would do: the arrays, their cost if known, and the first script of each part."""
    chosen, results = profile(profile_name), work.settings.results
    planned = _planned(work, chosen, group_by)
    hours = [_gpu_hours(array, chosen, results) for array in planned]
    lines = []
    for array, cost in zip(planned, hours, strict=True):
        after = f" after {array.after}" if array.after else ""
        said = "GPU hours unknown" if cost is None else f"about {cost:.2f} GPU hours"
        lines.append(f"{_words(array)}{after}, {array.minutes} min each, {said}")
    total = f"about {sum(map(float, filter(None, hours))):.2f} GPU hours, estimated from finished cells"
    if None in hours:
        total = "GPU hours unknown until a cell of each method has finished"
    lines.append(
        f"{number_of(sum(len(a.tasks) for a in planned), 'job')} in {number_of(len(planned), 'array')}, {total}"
    )
    for part in PARTS:
        first = next((array for array in planned if array.part == part), None)
        if first is not None:
            lines.append(f"\n# the script of the first array of [{part}] in profile {chosen.name}")
            folder = slurm_folder(results) / "bench-NAME"
            lines.append(_script(first, chosen, folder, "JOB_INDEX" if first.after else ""))
    return lines


def _words(array: Array) -> str:
    cells = [p.cell for task in array.tasks for p in task]
    methods = list(dict.fromkeys(cell.spec for cell in cells))
    names = ", ".join(methods[:4]) + (f" and {len(methods) - 4} more" if len(methods) > 4 else "")
    folds = ", ".join(map(str, sorted({cell.fold for cell in cells})))
    return f"{number_of(len(array.tasks), 'task')}, {number_of(len(cells), 'cell')} ({names}; folds {folds})"


def _gpu_hours(array: Array, chosen: Profile, results: Path) -> float | None:
    """Return the expected GPU hours; None before a cell of each method is done."""
    gpus, total = chosen.gpus(array.part), 0.0
    for task in array.tasks:
        times = [typical_seconds(results, p.cell) for p in task]
        known = [seconds for seconds in times if seconds is not None]
        if len(known) < len(times):
            return None
        total += gpus * max([*known, sum(known) / max(1, gpus)])  # the cells of a job share its GPUs
    return total / 3600


def _times_over(planned: PlannedCell, results: Path, in_queue: Mapping[str, Queued]) -> int:
    """Return how often a cell ran out of time."""
    failure, job = cell_states.failure(results, planned.cell), in_queue.get(str(planned.cell))
    if failure is not None and failure.error.kind == "timeout":
        return failure.attempt
    # A job that was killed before it could write its failure: the accounting knows.
    return int(job is not None and job.state == "gone" and job.kind == "timeout")
