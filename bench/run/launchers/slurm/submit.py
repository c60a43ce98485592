"""`bench run --on slurm`: the missing cells of a run as arrays of jobs, baselines first; submitted, and gone."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from bench.cells import store
from bench.cells.identity import BASELINE, slurm_folder
from bench.run import cell_states, environment
from bench.run.cell_states import Queued
from bench.run.history import remember, settings_texts
from bench.run.launchers.slurm import commands, log
from bench.run.launchers.slurm.profile import Part, Profile, profile, script
from bench.run.launchers.slurm.queue import queued
from bench.run.plan import PlannedCell, Settings
from bench.run.run_task import Wanted, heading, pending, plan_run, prepare, store_splits
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
        baseline = str(replace(planned.cell, method=BASELINE, choice=""))
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


def print_submission(
    wanted: Wanted, settings: Settings, *, name: str, group_by: GroupBy, per_gpu: int = 1, dry_run: bool
) -> int:
    """Submit what is missing of a run and is not in the queue; or print what would be. Return the exit code.

    Raises:
        UsageError: a profile or script that is not allowed.
        NotAnswered: a controller that does not answer; what is submitted goes on.
    """
    chosen = profile(name)
    if dry_run:
        data, cells = plan_run(wanted, settings)
        todo = pending(cells, data, settings, force=wanted.force)
        print(heading(data, cells, todo), file=sys.stderr)
    else:
        data, cells, todo = prepare(wanted, settings)
        store.clear_temporaries(settings.results, data.task.name, settings.cache)
        store_splits(data, settings.results)
        remember(
            wanted, settings, data.task.name, {"on": "slurm", "profile": name, "group_by": group_by, "per_gpu": per_gpu}
        )
    task = data.task.name
    in_queue = queued(settings.results, task)
    found = cell_states.standings(todo, settings.results, in_queue)
    left = [p for p in todo if p.error is None and not _under_way(p, found, in_queue)]
    for planned in todo:
        if planned.error is not None:
            print(f"cannot run: {planned.cell}: {planned.error}", file=sys.stderr)
    under_way = sum(p.error is None for p in todo) - len(left)
    largest = commands.max_array_size() if commands.available() else 1001
    planned = arrays(left, chosen, results=settings.results, group_by=group_by, largest=largest, in_queue=in_queue)
    if dry_run:
        _print_plan(planned, chosen, settings, under_way)
        return 0
    jobs, why = _submit(planned, chosen, settings, task, wanted.force, per_gpu)
    submitted = sum(len(cells) for array, _ in jobs for cells in array.tasks)
    done = len(cells) - len(todo)
    parts = [f"{done} of {len(cells)} cells done", f"{submitted} submitted in {len(jobs)} arrays"]
    parts += [f"{under_way} in the queue or running before"] if under_way else []
    parts += [f"{len(left) - submitted} left for later: {why}"] if len(left) > submitted else []
    print(f"{', '.join(parts)}. `bench status --task {settings.task}` shows how they stand, the same command resumes.")
    return 1 if any(p.error for p in todo) else 0


def _under_way(planned: PlannedCell, found: Mapping[Any, cell_states.Standing], in_queue: Mapping[str, Queued]) -> bool:
    job = in_queue.get(str(planned.cell))
    return found[planned.cell].state == "running" or (job is not None and job.state != "gone")


def _submit(
    planned: Sequence[Array], chosen: Profile, settings: Settings, task: str, force: bool, per_gpu: int
) -> tuple[list[tuple[Array, str]], str]:
    jobs: list[tuple[Array, str]] = []
    where: dict[str, str] = {
        cell: job.job for cell, job in queued(settings.results, task).items() if job.state != "gone"
    }
    for array in planned:
        if array.after and array.after not in where:
            continue  # its baseline was not taken: neither would it be
        name = log.new_name()
        folder = slurm_folder(settings.results) / name
        dependency = f"afterok:{where[array.after]}" if array.after else ""
        text = _text(array, chosen, name, folder, dependency)
        log.write_intent(settings.results, name, intent(array, settings, task, force, per_gpu), text)
        try:
            job = commands.sbatch(folder / "script.sh")
        except commands.LimitReached as error:
            return jobs, f"{error}; the same command submits them when some are done"
        log.acknowledge(folder, job)
        jobs.append((array, job))
        where.update({str(p.cell): f"{job}_{i}" for i, cells in enumerate(array.tasks) for p in cells})
        print(f"job {job}: {_words(array)}", file=sys.stderr)
    return jobs, "their baselines were not taken"


def intent(array: Array, settings: Settings, task: str, force: bool, per_gpu: int = 1) -> dict[str, Any]:
    """Return what a job needs to know, as it is written beside its script: names, paths and numbers."""
    tasks = [[{"path": str(p.cell), "hash": p.hash, **asdict(p.cell)} for p in cells] for cells in array.tasks]
    return {
        "task": task,
        "minutes": array.minutes,
        "settings": {**settings_texts(settings), "results": str(settings.results)},
        "force": force,
        "per_gpu": per_gpu,
        "code": environment.code(settings.plugins),
        "tasks": tasks,
    }


def _text(array: Array, chosen: Profile, name: str, folder: Path, dependency: str) -> str:
    longer = replace(chosen, keys={**chosen.keys, array.part: {**chosen.keys[array.part], "time": array.minutes}})
    command = shlex.join([sys.executable, "-m", "bench.run.launchers.slurm.worker", str(folder / "intent.json")])
    return script(
        longer, array.part, command=command, name=name, folder=folder, tasks=len(array.tasks), dependency=dependency
    )


def _print_plan(planned: Sequence[Array], chosen: Profile, settings: Settings, under_way: int) -> None:
    total, known = 0.0, True
    for array in planned:
        hours = _gpu_hours(array, chosen, settings.results)
        known, total = known and hours is not None, total + (hours or 0.0)
        after = f" after {array.after}" if array.after else ""
        cost = "GPU hours not known yet" if hours is None else f"about {hours:.2f} GPU hours"
        print(f"{_words(array)}{after}, {array.minutes} min each, {cost}")
    if under_way:
        print(f"{under_way} cells are in the queue or running already")
    print(
        f"{sum(len(a.tasks) for a in planned)} jobs in {len(planned)} arrays, "
        + (
            f"about {total:.2f} GPU hours by the times of done cells"
            if known
            else "GPU hours not known before cells of each method are done"
        )
    )
    for part in ("baseline", "method"):
        first = next((array for array in planned if array.part == part), None)
        if first is not None:
            dependency = "afterok:JOB_INDEX" if first.after else ""
            print(f"\n# the script of the first array of [{part}] in profile {chosen.name}")
            print(_text(first, chosen, "bench-NAME", slurm_folder(settings.results) / "bench-NAME", dependency))


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
