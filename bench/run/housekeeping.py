"""`bench logs`, `retry`, `cancel` and `clean`: the life of a run between its start and its report."""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from bench.cells import store
from bench.cells.identity import cell_place, cells_folder, log_file
from bench.errors import DataMissing, UnknownName
from bench.run import history, launchers
from bench.run.cell_states import holders
from bench.run.plan import preset_of, within
from bench.run.run_cells import start
from bench.run.run_task import plan_run
from bench.run.status import status_of


def print_log(results: Path, name: str, *, whole: bool) -> int:
    """Print the last attempt at a cell from its log, or all attempts.

    Raises:
        UnknownName: no cell with a log has this name, or it is part of several names.
        DataMissing: there are no logs.
    """
    folder = cells_folder(results)
    found = {str(file.relative_to(folder).with_suffix("")): file for file in sorted(folder.rglob("*.log"))}
    if not found:
        raise DataMissing(f"logs in {results / 'cells'}", get_it="A run writes one for each cell.")
    matching = [name] if name in found else [cell for cell in found if name in cell]
    if len(matching) != 1:
        raise UnknownName("cell", name, matching or found)
    lines = found[matching[0]].read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if "  attempt on " in line]
    print("\n".join(lines if whole or not starts else lines[starts[-1] :]))
    return 0


def retry(results: Path, which: str, task: str | None) -> int:
    """Run cells again, where they ran before: those that failed (`failed`), that are stale (`stale`), or one by name.

    Cells that a failure blocked are included: they can be computed afterwards.

    Raises:
        UnknownName: no such cell.
    """
    code, chosen = 0, 0
    found = status_of(results, task)
    for status in found:
        states = {"failed": ("failed", "blocked"), "stale": ("stale",)}.get(which)
        each = status.cells.items()
        wanted = {cell for cell, now in each if (now.state in states if states else which in str(cell))}
        chosen += len(wanted)
        for asked in history.remembered(results, status.task)[status.task]:
            folds: dict[tuple[int, int], list[str]] = defaultdict(list)
            for cell in (p.cell for p in plan_run(asked)[1] if p.cell in wanted):
                folds[cell.fold, cell.seed].append(within(cell.spec, preset_of(cell.task), asked.plugins))
                wanted.remove(cell)
            # A run for each fold and seed, so that it has no other cells.
            for (fold, seed), methods in folds.items():
                code |= start([replace(asked, methods=",".join(methods), folds=(fold,), seeds=(seed,))])
    if not chosen and which in ("failed", "stale"):
        print(f"no cell is {which}")
    elif not chosen:
        raise UnknownName("cell", which, [str(cell) for status in found for cell in status.cells])
    return code


def cancel(results: Path, task: str | None) -> int:
    """Cancel the jobs of one task, or of all, and stop the runs on this machine. All can be resumed."""
    plugins = [file for runs in history.remembered(results, task).values() for file in history.plugins(runs)]
    print(", ".join(filter(None, (launcher.cancel(results, task) for launcher in launchers.every(plugins)))))
    return 0


def clean(results: Path, cache: Path, task: str | None, *, dry_run: bool) -> int:
    """Remove the logs of finished cells, leases and temporary files of dead processes, and finished submissions."""
    remove: list[Path] = []
    for status in status_of(results, task):
        logs = [log_file(results, cell) for cell, now in status.cells.items() if now.state == "done"]
        remove += [file for file in logs if file.is_file()]
        alive = holders(status.planned, results)
        for place in (cell_place(results, p.cell) for p in status.planned if p.cell not in alive):
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
