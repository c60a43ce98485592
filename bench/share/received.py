"""What was read of an export: the material of a report without data, images and, mostly, predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.report.numbers.aggregate import Results
from bench.report.task_results import TaskResults
from bench.share.interval_file import with_intervals

TASK = "task.toml"
"""The file of the definition of the task in an export, and what lines that make its cells call it."""
INTERVALS = "intervals.json"
"""That of the intervals over patients."""


def variant_folder(field: str, value: object) -> str:
    """Return where an export has the cells of its task with a field changed."""
    return f"variants/{field}-{value}"


@dataclass(frozen=True)
class Received(TaskResults):
    """What an export holds of its task, unpacked for a while; `intervals` are those of each table by its part."""

    intervals: Mapping[str, Any] = field(default_factory=dict)

    def tested(self, results: Results) -> Results:
        """Add the intervals over patients that came along; of sets that are suppressed here there are none."""
        found = self.intervals.get(results.info.part)
        return with_intervals(results, found) if found else results
