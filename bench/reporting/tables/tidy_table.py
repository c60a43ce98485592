"""One row for each number of each cell: `bench report --all` writes those of all tasks and seeds to one file."""

from __future__ import annotations

from typing import Any

from bench.reporting.numbers.aggregate import collect
from bench.reporting.task_results import TaskResults
from bench.spec import is_tuned

NAME = "all.csv"
COLUMNS = [
    *("task", "synthetic", "decided_on", "attribute", "backbone", "method", "label", "spec", "tuned", "fold", "seed"),
    *("set", "role", "metric", "value", "why"),
]
"""`role` is as in main.csv; `why` is "suppressed" where a value is not shown, and otherwise empty."""


def records(results: TaskResults) -> list[dict[str, Any]]:
    """Return the rows of all cells of a task, of its ablations and tuned methods too; seeds are not averaged."""
    if not results.cells:
        return []
    info = results.info
    known = {"task": info.name, "synthetic": info.synthetic, "decided_on": results.task.unit}
    known |= {"attribute": info.attribute_name}
    return [
        {
            **known,
            **{name: getattr(row, name) for name in ("backbone", "method", "label", "spec", "set", "metric")},
            "tuned": is_tuned(row.spec),
            "role": "ood" if row.set in info.ood else row.set,
            "fold": fold,
            "seed": seed,
            "value": value,
            "why": row.excluded if row.excluded == "suppressed" else "",
        }
        for row in collect(results.cells, results.failures, info).rows
        for (fold, seed), value in row.by_seed.items()
    ]
