"""The material of a report from fabricated cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report import Material, TaskInfo
from bench.settings import Settings
from bench.tasks import TASKS

Cells = Sequence[dict[str, Any]]


def material(cells: Cells, failures: Cells, info: TaskInfo, results: Path = Path("nowhere")) -> Material:
    """Cells of a task with the small recipe; nothing of them stands on disk unless `results` has it."""
    settings = Settings("phantom-cxr-age", results, results / "cache", None)
    return Material(settings, TASKS["phantom-cxr-age"], info, cells, failures)
