"""What an export holds of its task: the material of a report without data, images and, mostly, predictions.

Intervals over patients travel without the predictions that they are made of. The draws themselves stay: their seed is
known, so that two thousand of them would tell the predictions again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.report.numbers.aggregate import Results
from bench.report.numbers.ranking import Row
from bench.report.tables.tuned_table import collect_tuned
from bench.report.task_results import TaskResults

TASK = "task.toml"
"""The file of the definition of the task in an export, and what lines that make its cells call it."""
INTERVALS = "intervals.json"
"""That of the intervals over patients."""
FIELDS = ("ci_low", "ci_high", "p_patients", "p_patients_holm", "error_patients", "draws")
"""Of a row, where patients were bootstrapped."""


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


def intervals(material: TaskResults) -> dict[str, Any]:
    """Return the intervals of every table of a task as JSON, by the part of the task that it shows."""
    every = [material.results_of(table) for table in material.tables]
    if tuned := collect_tuned(material.cells, material.failures, material.info):
        every.append(tuned)
    return {results.info.part: _of(results, material.tested(results)) for results in every}


def with_intervals(results: Results, found: Mapping[str, Any]) -> Results:
    """Set what `intervals` returned of a table in its results, but for sets that are suppressed."""
    stored = {tuple(row[:4]): dict(zip(FIELDS, row[4:], strict=True)) for row in found["rows"]}
    kept = {key: values for key, values in stored.items() if key[1] not in results.suppressed}
    rows = [row if row.excluded else replace(row, **kept.get(_key(row), {})) for row in results.rows]
    return replace(
        results,
        rows=tuple(rows),
        patients={name: (n[0], n[1]) for name, n in found["patients"].items() if name not in results.suppressed},
        seconds={(b, name, m): p for b, name, m, p in found["seconds"] if name not in results.suppressed},
        remarks=(*results.remarks, *found["remarks"]),
    )


def _of(results: Results, tested: Results) -> dict[str, Any]:
    rows = [row for row in tested.rows if row.draws]
    return {
        "rows": [[*_key(row), *(getattr(row, name) for name in FIELDS)] for row in rows],
        "patients": {name: list(counts) for name, counts in tested.patients.items()},
        "seconds": [[*place, p] for place, p in tested.seconds.items()],
        "remarks": list(tested.remarks[len(results.remarks) :]),
    }


def _key(row: Row) -> tuple[str, str, str, str]:
    return row.backbone, row.set, row.metric, row.spec
