"""The results of a task from fabricated cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.task_results import TaskResults
from bench.settings import Settings
from bench.tasks import TASKS

Cells = Sequence[dict[str, Any]]


def task_results(cells: Cells, failures: Cells, info: TaskInfo, results: Path = Path("nowhere")) -> TaskResults:
    """Cells of a task with the small recipe; nothing of them stands on disk unless `results` has it."""
    settings = Settings("phantom-cxr-age", results, results / "cache", None)
    return TaskResults(settings, TASKS["phantom-cxr-age"], info, cells, failures)
