"""Start a run on a launcher: compute it here and now, or hand it to a queue."""

from __future__ import annotations

import sys
from dataclasses import replace

from bench.cells import store
from bench.run import launchers, run_task
from bench.run.cell_states import cell_statuses
from bench.run.history import remember
from bench.run.launchers import Launcher, Work
from bench.settings import Settings, command


def start_run(settings: Settings) -> int:
    """Compute what is missing of a run, or submit it; or print what would be. Return the exit code.

    Raises:
        UnknownName, UsageError: a launcher, an option or a combination that does not exist; before anything is planned.
    """
    launcher = launchers.chosen(settings)
    if settings.dry_run and not launcher.queues:
        return run_task.print_plan(settings)
    settings = launcher.accept(settings)
    return _submit(settings, launcher) if launcher.queues else run_task.print_run(settings)


def _submit(settings: Settings, launcher: Launcher) -> int:
    """Submit what is missing of a run and is not in a queue; or print what would be. Return the exit code."""
    if settings.dry_run:
        data, cells = run_task.plan_run(settings)
        todo = run_task.pending(cells, data, settings)
        print(run_task.heading(data, cells, todo), file=sys.stderr)
    else:
        data, cells, todo = run_task.prepare(settings)
        store.clear_temporaries(settings.results, data.task.name, settings.cache)
        run_task.store_splits(data, settings.results)
        remember(settings, data.task.name)
    for planned in todo:
        if planned.error is not None:
            print(f"cannot run: {planned.cell}: {planned.error}", file=sys.stderr)
    runnable = [p for p in todo if p.error is None]
    queued = launchers.queued(settings.results, data.task.name, settings.plugins)
    now = cell_statuses(runnable, settings.results, queued)
    waiting = {cell for cell, job in queued.items() if job.state != "gone"}
    left = tuple(p for p in runnable if now[p.cell].state != "running" and str(p.cell) not in waiting)
    under_way = len(runnable) - len(left)
    work = Work(data.task.name, left, settings, queued=queued)
    if settings.dry_run:
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
    status = command("status", replace(settings, task=data.task.name))
    print(f"{', '.join(parts)}. `{status}` shows how they stand, the same command resumes.")
    return 1 if len(runnable) < len(todo) else 0
