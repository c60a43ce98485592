"""The missing cells of a run as arrays of SLURM jobs, baselines first."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from bench.cells.identity import BASELINE, slurm_folder
from bench.run import cell_states, environment
from bench.run.history import as_record
from bench.run.launchers import Queued, Submitted, Work
from bench.run.launchers.slurm import commands, log
from bench.run.launchers.slurm.profile import PARTS, Part, Profile, profile, script
from bench.run.plan import PlannedCell
from bench.run.status import typical_seconds

GroupBy = Literal["cell", "fold"]


@dataclass(frozen=True)
class Array:
    """An array to submit: the cells of each task, and the cell whose job must have ended well before (or "")."""

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
        todo: neither done nor in the queue.
        chosen: the profile; a cell that was over its time limit has a longer one.
        results: where failures of before are.
        group_by: "cell": a task per cell, the methods of a fold depend on its baseline. "fold": a task per fold.
        largest: tasks that an array may have.
        in_queue: jobs by the path of a cell: a baseline may be in the queue already, a job over its time be gone.
    """
    first = {_fold(p): str(p.cell) for p in todo if p.cell.spec == BASELINE}

    def after(planned: PlannedCell) -> str:
        if planned.cell.spec == BASELINE or (group_by == "fold" and _fold(planned) in first):
            return ""
        baseline = str(replace(planned.cell, spec=BASELINE, choice=""))
        waits = baseline in in_queue and in_queue[baseline].state != "gone"
        return baseline if waits or _fold(planned) in first else ""

    tasks: list[tuple[PlannedCell, ...]] = [(p,) for p in todo]
    if group_by == "fold":
        order = sorted(todo, key=lambda p: (_fold(p), p.cell.spec != BASELINE))
        tasks = [tuple(cells) for _, cells in groupby(order, key=_fold)]
    found: dict[tuple[Part, str, int], list[tuple[PlannedCell, ...]]] = {}
    for cells in tasks:
        part: Part = "baseline" if cells[0].cell.spec == BASELINE else "method"
        minutes = max(chosen.minutes_after(part, _times_over(p, results, in_queue)) for p in cells)
        found.setdefault((part, after(cells[0]), minutes), []).append(cells)
    result = [
        Array(part, tuple(some[at : at + largest]), before, minutes)
        for (part, before, minutes), some in found.items()
        for at in range(0, len(some), largest)
    ]
    return sorted(result, key=lambda array: array.part != "baseline")


def submit(work: Work, profile_name: str, group_by: GroupBy) -> Submitted:
    """Submit arrays for the cells of a run, and say of each on stderr what it holds.

    Raises:
        UsageError: a script that is not allowed.
        NotAnswered: a controller that does not answer; what is submitted goes on.
    """
    chosen, jobs, why = profile(profile_name), list[Array](), "their baselines were not taken"
    where = {cell: job.job for cell, job in work.queued.items() if job.state != "gone"}
    for array in _planned(work, chosen, group_by):
        if array.after and array.after not in where:
            continue  # its baseline was not taken: neither would it be
        name = log.new_name()
        folder = slurm_folder(work.settings.results) / name
        dependency = f"afterok:{where[array.after]}" if array.after else ""
        text = _text(array, chosen, name, folder, dependency)
        log.write_intent(work.settings.results, name, intent(array, work), text)
        try:
            job = commands.sbatch(folder / "script.sh")
        except commands.LimitReached as error:
            why = f"{error}; the same command submits them when some are done"
            break
        log.acknowledge(folder, job)
        jobs.append(array)
        where.update({str(p.cell): f"{job}_{i}" for i, cells in enumerate(array.tasks) for p in cells})
        print(f"job {job}: {_words(array)}", file=sys.stderr)
    return Submitted(sum(len(cells) for array in jobs for cells in array.tasks), f"{len(jobs)} arrays", why)


def _planned(work: Work, chosen: Profile, group_by: GroupBy) -> list[Array]:
    largest = commands.max_array_size() if commands.available() else 1001
    how = {"results": work.settings.results, "group_by": group_by, "largest": largest, "in_queue": work.queued}
    return arrays(work.cells, chosen, **how)


def intent(array: Array, work: Work) -> dict[str, Any]:
    """Return what a job needs to know, as it is written beside its script: names, paths and numbers."""
    tasks = [[{"path": str(p.cell), "hash": p.hash, **asdict(p.cell)} for p in cells] for cells in array.tasks]
    return {
        "task": work.task,
        "minutes": array.minutes,
        "settings": {**as_record(work.settings), "results": str(work.settings.results)},
        "code": environment.code(work.settings.plugins),
        "tasks": tasks,
    }


def _text(array: Array, chosen: Profile, name: str, folder: Path, dependency: str) -> str:
    longer = replace(chosen, keys={**chosen.keys, array.part: {**chosen.keys[array.part], "time": array.minutes}})
    command = shlex.join([sys.executable, "-m", "bench.run.launchers.slurm.worker", str(folder / "intent.json")])
    return script(
        longer, array.part, command=command, name=name, folder=folder, tasks=len(array.tasks), dependency=dependency
    )


def preview(work: Work, profile_name: str, group_by: GroupBy) -> list[str]:
    """Return what `submit` would do: the arrays, their cost where it is known, and the first script of each part."""
    chosen, results = profile(profile_name), work.settings.results
    planned = _planned(work, chosen, group_by)
    hours = [_gpu_hours(array, chosen, results) for array in planned]
    lines = []
    for array, cost in zip(planned, hours, strict=True):
        after = f" after {array.after}" if array.after else ""
        said = "GPU hours not known yet" if cost is None else f"about {cost:.2f} GPU hours"
        lines.append(f"{_words(array)}{after}, {array.minutes} min each, {said}")
    total = f"about {sum(map(float, filter(None, hours))):.2f} GPU hours by the times of done cells"
    if None in hours:
        total = "GPU hours not known before cells of each method are done"
    lines.append(f"{sum(len(a.tasks) for a in planned)} jobs in {len(planned)} arrays, {total}")
    for part in PARTS:
        first = next((array for array in planned if array.part == part), None)
        if first is not None:
            dependency = "afterok:JOB_INDEX" if first.after else ""
            lines.append(f"\n# the script of the first array of [{part}] in profile {chosen.name}")
            lines.append(_text(first, chosen, "bench-NAME", slurm_folder(results) / "bench-NAME", dependency))
    return lines


def _words(array: Array) -> str:
    cells = sum(map(len, array.tasks))
    methods = list(dict.fromkeys(p.cell.spec for task in array.tasks for p in task))
    names = ", ".join(methods[:4]) + (f" and {len(methods) - 4} more" if len(methods) > 4 else "")
    folds = sorted({p.cell.fold for task in array.tasks for p in task})
    return f"{len(array.tasks)} tasks, {cells} cells ({names}; folds {', '.join(map(str, folds))})"


def _gpu_hours(array: Array, chosen: Profile, results: Path) -> float | None:
    cells = [p.cell for task in array.tasks for p in task]
    times = [typical_seconds(results, cell) for cell in cells]
    if any(time is None for time in times):
        return None
    return chosen.gpus(array.part) * sum(time or 0.0 for time in times) / 3600


def _times_over(planned: PlannedCell, results: Path, in_queue: Mapping[str, Queued]) -> int:
    failure, job = cell_states.failure(results, planned.cell), in_queue.get(str(planned.cell))
    if failure is not None and failure.error.kind == "timeout":
        return failure.attempt
    # Killed before it could write so: the accounts tell.
    return int(job is not None and job.state == "gone" and job.kind == "timeout")


def _fold(planned: PlannedCell) -> tuple[int, int]:
    return planned.cell.seed, planned.cell.fold
