"""`bench report --all`: the reports of all tasks with results, methods over them, and the page that links them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from bench.cells.identity import cells_folder
from bench.errors import BenchError, NotWritten, UsageError
from bench.report import put
from bench.report.numbers.across_tasks import NAME, ours
from bench.report.numbers.aggregate import Results
from bench.report.reports import report_task, write_across
from bench.run.history import remembered
from bench.settings import Settings, command
from bench.spec import name_of
from bench.tasks import TASKS


def report_all(settings: Settings, reports: Path, *, min_cell: int = 0) -> int:
    """Write and print all of it; return 1 where a task could not be reported, which is said, and 0 else.

    Raises:
        BenchError: where there are no results at all.
    """
    tasks = with_results(settings)
    every: list[Results] = []
    for one in tasks:
        try:
            every.append(report_task(one, reports, min_cell=min_cell))
        except NotWritten:
            raise
        except BenchError as error:
            print(f"no report of {one.task}: {error}", file=sys.stderr)
    _over_tasks(every, reports)
    return int(len(every) < len(tasks))


def with_results(settings: Settings) -> list[Settings]:
    """The tasks of the suite, then the users' own as they were last run; a variant is a part of its task's report.

    Raises:
        BenchError: where there are no results at all.
    """
    if settings.splits is not None:
        raise UsageError("--splits is the manifest of one task: name it by --task")
    if settings.baseline is not None:
        raise UsageError("--baseline is the checkpoint of one task: name it by --task")
    cells = cells_folder(settings.results)
    listed = [replace(settings, task=name) for name in TASKS if (cells / name).is_dir()]
    own = [
        runs[-1]
        for name, runs in remembered(settings.results).items()
        if runs and name == name_of(name) and name not in TASKS and (cells / name).is_dir()
    ]
    if not listed and not own:
        hint = command("run", replace(settings, task="NAME"))
        raise BenchError(f"no results in {settings.results}: `{hint}` makes those of the task NAME")
    return [*listed, *own]


def _over_tasks(every: list[Results], reports: Path) -> None:
    from bench.report import page

    shown = []
    for synthetic, name, says in (
        (False, NAME, "methods over tasks"),
        (True, f"{NAME}-synthetic", "methods over tasks, on synthetic data"),
    ):
        made = write_across(ours(item for item in every if item.info.synthetic is synthetic), reports, name)
        shown += [page.Shown(name, says, made)] if made else []
    for file in put(reports, {page.NAME: page.index(every, shown)}):
        print(file)
