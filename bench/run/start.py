"""Start a run on a launcher: compute it here and now, or hand it to a queue."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from bench.cells import store
from bench.run import launchers, run_task
from bench.run.cell_states import cell_statuses
from bench.run.history import remember
from bench.run.launchers import LOCAL, Launcher, Work
from bench.run.plan import Settings
from bench.run.run_task import ALL_CORES, Slots, Wanted


def start_run(
    wanted: Wanted,
    settings: Settings,
    on: Mapping[str, Any] = LOCAL,
    *,
    slots: Slots = ALL_CORES,
    dry_run: bool = False,
) -> int:
    """Compute what is missing of a run, or submit it; or print what would be. Return the exit code.

    Args:
        wanted: the run.
        settings: task and folders.
        on: the launcher and its options, such as `{"on": "slurm", "profile": "plain"}`.
        slots: where cells run.
        dry_run: compute and submit nothing.

    Raises:
        UnknownName, UsageError: a launcher, an option or a combination that does not exist; before anything is planned.
    """
    launcher = launchers.chosen(on, settings.plugins)
    if dry_run and not launcher.queues:
        return run_task.print_plan(wanted, settings)
    slots = launcher.slots(slots)
    if launcher.queues:
        return _submit(wanted, settings, launcher, {**on, "per_gpu": slots.per_gpu}, dry_run=dry_run)
    return run_task.print_run(wanted, settings, slots=slots, on=on)


def _submit(wanted: Wanted, settings: Settings, launcher: Launcher, on: Mapping[str, Any], *, dry_run: bool) -> int:
    """Submit what is missing of a run and is not in a queue; or print what would be. Return the exit code."""
    if dry_run:
        data, cells = run_task.plan_run(wanted, settings)
        todo = run_task.pending(cells, data, settings, force=wanted.force)
        print(run_task.heading(data, cells, todo), file=sys.stderr)
    else:
        data, cells, todo = run_task.prepare(wanted, settings)
        store.clear_temporaries(settings.results, data.task.name, settings.cache)
        run_task.store_splits(data, settings.results)
        remember(wanted, settings, data.task.name, dict(on))
    for planned in todo:
        if planned.error is not None:
            print(f"cannot run: {planned.cell}: {planned.error}", file=sys.stderr)
    runnable = [p for p in todo if p.error is None]
    queued = launchers.queued(settings.results, data.task.name, settings.plugins)
    now = cell_statuses(runnable, settings.results, queued)
    waiting = {cell for cell, job in queued.items() if job.state != "gone"}
    left = tuple(p for p in runnable if now[p.cell].state != "running" and str(p.cell) not in waiting)
    under_way = len(runnable) - len(left)
    per_gpu = on["per_gpu"] or 1
    work = Work(data.task.name, left, settings, wanted.force, per_gpu=per_gpu, queued=queued)
    if dry_run:
        for line in launcher.preview(work):
            print(line)
        if under_way:
            print(f"{under_way} cells are in the queue or running already")
        return 0
    taken = launcher.submit(work, lambda event: None)
    assert taken is not None, "a launcher with a queue says how many cells it took"
    parts = [f"{len(cells) - len(todo)} of {len(cells)} cells done", f"{taken.cells} submitted in {taken.where}"]
    parts += [f"{under_way} in the queue or running before"] if under_way else []
    parts += [f"{len(left) - taken.cells} left for later: {taken.why}"] if len(left) > taken.cells else []
    print(f"{', '.join(parts)}. `bench status --task {settings.task}` shows how they stand, the same command resumes.")
    return 1 if len(runnable) < len(todo) else 0
