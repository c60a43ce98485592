"""`bench logs`, `retry`, `cancel` and `clean`: the life of a run between its start and its report."""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.cells import store
from bench.cells.identity import cell_place, cells_folder, log_file
from bench.errors import BenchError, DataMissing, UnknownName, UsageError
from bench.lease import holder
from bench.running import history, launchers
from bench.running.plan import preset_of, within
from bench.running.run_cells import start
from bench.running.run_task import plan_run
from bench.running.status import status_of


def print_log(results: Path, name: str, *, whole: bool) -> int:
    """Print the last attempt at a cell from its log, or all attempts.

    Raises:
        UsageError: no cell with a log has this name, or it is part of several names.
        DataMissing: there are no logs.
    """
    folder = cells_folder(results)
    found = {str(file.relative_to(folder).with_suffix("")): file for file in sorted(folder.rglob("*.log"))}
    if not found:
        raise DataMissing(f"logs in {results / 'cells'}", get_it="A run writes one for each cell.")
    lines = found[_one(name, list(found))].read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if "  attempt on " in line]
    print("\n".join(lines if whole or not starts else lines[starts[-1] :]))
    return 0


def _one(name: str, cells: Sequence[str]) -> str:
    """Return the cell of this name, or the only one whose name contains it."""
    matching = [name] if name in cells else [cell for cell in cells if name in cell]
    if not matching:
        raise UnknownName("cell", name, cells)
    if len(matching) > 1:
        raise UsageError(f"'{name}' is part of the names of {len(matching)} cells: give one of {', '.join(matching)}")
    return matching[0]


def retry(results: Path, which: str, task: str | None, plugins: Sequence[Path] = ()) -> int:
    """Run cells again, where they ran before: those that failed (`failed`), that are stale (`stale`), or one by name.

    Cells that a failure blocked are included: they can be computed afterwards.

    Raises:
        UsageError: no cell has this name, or it is part of several names.
    """
    found = status_of(results, task, plugins, verify=which == "stale")
    cells = {cell: now.state for status in found for cell, now in status.cells.items()}
    states = {"failed": ("failed", "blocked"), "stale": ("stale",)}.get(which)
    named = "" if states else _one(which, [str(cell) for cell in cells])
    wanted = {cell for cell, state in cells.items() if (state in states if states else str(cell) == named)}
    if not wanted:
        print(f"no cell is {which}")
    code = 0
    tasks = {cell.task for cell in wanted}
    remembered = [runs for name, runs in history.remembered(results, task).items() if name in tasks]
    for asked in (one for runs in remembered for one in history.trusted(runs, plugins)):
        folds: dict[tuple[int, int], list[str]] = defaultdict(list)
        for cell in (p.cell for p in plan_run(asked)[1] if p.cell in wanted):
            folds[cell.fold, cell.seed].append(within(cell.spec, preset_of(cell.task), asked.plugins))
            wanted.remove(cell)
        # A run for each fold and seed, so that it has no other cells.
        for (fold, seed), methods in folds.items():
            code |= start([replace(asked, methods=",".join(methods), folds=(fold,), seeds=(seed,))])
    return code


def cancel(results: Path, task: str | None, plugins: Sequence[Path] = ()) -> int:
    """Cancel the jobs of one task, or of all, and stop the runs on this machine. All can be resumed."""
    for runs in history.remembered(results, task).values():
        history.trusted(runs, plugins)
    code, said = 0, list[str]()
    for launcher in launchers.every(plugins):
        try:
            said.append(launcher.cancel(results, task))
        except BenchError as error:  # a queue that cannot be asked; runs on this machine are stopped all the same
            said.append(str(error))
            code = error.exit_code
    print(", ".join(filter(None, said)))
    return code


def clean(results: Path, cache: Path, task: str | None, plugins: Sequence[Path] = (), *, dry_run: bool) -> int:
    """Remove the logs of finished cells, leases and temporary files of dead processes, and finished submissions."""
    remove: list[Path] = []
    for status in status_of(results, task, plugins):
        logs = [log_file(results, cell) for cell, now in status.cells.items() if now.state == "done"]
        remove += [file for file in logs if file.is_file()]
        planned = {cell_place(results, p.cell) for p in status.planned}
        for lease in cells_folder(results, status.task).rglob(".*.lease.*"):  # once, not for each cell
            place = lease.with_name(lease.name[1:].partition(".lease.")[0])
            if place in planned and holder(place) is None:
                remove.append(lease)
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
