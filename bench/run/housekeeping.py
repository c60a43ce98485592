"""`bench logs`, `retry`, `cancel` and `clean`: the life of a run between its start and its report."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.cells import store
from bench.cells.identity import BASELINE, cell_place, cells_folder
from bench.errors import DataMissing, UnknownName, UsageError
from bench.run import history, launchers, run_task
from bench.run.attempt import log_file
from bench.run.cell_states import State, holders
from bench.run.plan import PlannedCell
from bench.run.start import start_run
from bench.run.status import TaskStatus, status_of
from bench.settings import Settings


def print_log(results: Path, name: str, *, whole: bool) -> int:
    """Print the last attempt at a cell, or all of them, from its log.

    Raises:
        UnknownName: no cell with a log has this name, or several begin with it.
        DataMissing: there is no log at all.
    """
    found = {str(file.relative_to(cells_folder(results)).with_suffix("")): file for file in _logs(results)}
    if not found:
        raise DataMissing(f"logs in {results / 'cells'}", get_it="They are written by `bench run`.")
    matching = [cell for cell in found if name in cell]
    if name not in found and len(matching) != 1:
        raise UnknownName("cell", name, matching or found)
    lines = found[name if name in found else matching[0]].read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if "  attempt on " in line]
    print("\n".join(lines if whole or not starts else lines[starts[-1] :]))
    return 0


def retry(results: Path, which: str, task: str | None) -> int:
    """Run again the cells that failed (`failed`), are stale (`stale`), or one by its name; where they ran before.

    What their failure blocked comes with them: it can be computed once they are done.

    Raises:
        UnknownName: no such cell.
    """
    code, chosen = 0, 0
    for status in status_of(results, task):
        wanted = _wanted(status, which)
        chosen += len(wanted)
        for asked in history.remembered(results, status.task)[status.task]:
            mine = [p for p in run_task.plan_run(asked)[1] if p.cell in {q.cell for q in wanted}]
            wanted = [p for p in wanted if p.cell not in {q.cell for q in mine}]
            for part in _as_runs(mine, asked):
                code |= start_run(part)
    if not chosen and which in ("failed", "stale"):
        print(f"no cell is {which}")
    elif not chosen:
        cells = [str(cell) for status in status_of(results, task) for cell in status.cells]
        raise UnknownName("cell", which, cells)
    return code


def _wanted(status: TaskStatus, which: str) -> list[PlannedCell]:
    states: tuple[State, ...] = {"failed": ("failed", "blocked"), "stale": ("stale",)}.get(which, ())
    found = [p for p in status.planned if status.cells[p.cell].state in states]
    return found if states else [p for p in status.planned if which in str(p.cell)]


def _as_runs(cells: Sequence[PlannedCell], asked: Settings) -> list[Settings]:
    """Return runs of no more than these cells: one for each fold and seed."""
    folds: dict[tuple[int, int], list[str]] = {}
    for planned in cells:
        folds.setdefault((planned.cell.fold, planned.cell.seed), []).append(planned.cell.spec)
    return [
        replace(asked, methods=",".join(methods) or BASELINE, folds=(fold,), seeds=(seed,))
        for (fold, seed), methods in folds.items()
    ]


def cancel(results: Path, task: str | None) -> int:
    """Take the jobs of a task, or of all, out of the queues, and stop the runs on this machine; all can be resumed."""
    plugins = [file for runs in history.remembered(results, task).values() for file in history.plugins(runs)]
    print(", ".join(filter(None, (launcher.cancel(results, task) for launcher in launchers.every(plugins)))))
    return 0


def clean(results: Path, cache: Path, task: str | None, *, dry_run: bool) -> int:
    """Remove what done cells and killed processes left: logs, leases, temporaries, files of finished submissions."""
    remove: list[Path] = []
    for status in status_of(results, task):
        done = [cell for cell, now in status.cells.items() if now.state == "done"]
        remove += [file for cell in done if (file := log_file(results, cell)).is_file()]
        alive = holders(status.planned, results)
        for planned in status.planned:
            place = cell_place(results, planned.cell)
            if planned.cell not in alive:
                remove += place.parent.glob(f".{place.name}.lease.*")
        if not dry_run:
            store.clear_temporaries(results, status.task, cache)
        moving = {str(cell) for cell, now in status.cells.items() if now.state in ("submitted", "running")}
        for launcher in launchers.every(status.plugins):
            remove += launcher.leftovers(results, status.task, moving)
    for path in remove:
        print(f"{'would remove' if dry_run else 'removed'} {path}", file=sys.stderr)
        if not dry_run:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    print(f"{len(remove)} {'would be ' if dry_run else ''}removed")
    return 0


def _logs(results: Path) -> list[Path]:
    return sorted(cells_folder(results).rglob("*.log"))


def which(*, failed: bool, stale: bool, cell: str | None) -> str:
    """Return what `bench retry` was asked for.

    Raises:
        UsageError: nothing, or more than one thing.
    """
    given = [word for word, there in (("failed", failed), ("stale", stale), (cell, cell)) if there and word]
    if len(given) != 1:
        raise UsageError("bench retry: give --failed, --stale, or a cell as `bench status` prints it")
    return given[0]
