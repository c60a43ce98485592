"""The table of tuned methods, beside the main one, which holds fixed parameters alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from bench.cells.record import Failure, Record
from bench.report.numbers.aggregate import BASELINE, IN_DOMAIN, Results, collect
from bench.report.numbers.suppression import number_of
from bench.report.numbers.task_info import TaskInfo, label_of
from bench.report.render.text import listed

PART = "tuned"
"""Name of the table and of its files."""


def collect_tuned(cells: Sequence[Record], failures: Iterable[Failure], info: TaskInfo) -> Results | None:
    """Baseline and the tuned rows of a task, with notes on how they were chosen; None where nothing is tuned."""
    tuned = [item for item in cells if item.cell.tuned]
    if not tuned:
        return None
    baselines = [item for item in cells if item.cell.spec == BASELINE]
    failed = [item for item in failures if item.cell.tuned]
    results = collect([*baselines, *tuned], failed, dataclasses.replace(info, part=PART))
    costs = IN_DOMAIN not in results.withheld
    return dataclasses.replace(results, remarks=(_protocol(tuned, info), *_budgets(tuned, costs=costs)))


def _protocol(tuned: Sequence[Record], info: TaskInfo) -> str:
    sizes = [item.tuned.holdout.n or 0 for item in tuned if item.tuned]
    few, most = number_of(min(sizes), info), number_of(max(sizes), info)
    images = few if few == most else f"{few} to {most}"
    return (
        f"Tuned: parameters chosen fold by fold on a fifth of the validation part ({images} images), held out before "
        "the external set is cut; no test image is read. Chosen parameters are then fitted on the usual external set. "
        "The cost is that of this fit, without the trials."
    )


def _budgets(tuned: Sequence[Record], *, costs: bool) -> list[str]:
    """One sentence per row: objective, trials, their images, and what was chosen."""
    rows: dict[tuple[str, str], list[Record]] = {}
    for item in sorted(tuned, key=lambda item: (item.cell.row, item.cell.spec, item.cell.fold)):
        rows.setdefault((label_of(item.cell), item.cell.backbone), []).append(item)
    several = len({backbone for _, backbone in rows}) > 1
    return [
        f"{label}{f', {backbone}' if several else ''}: {_budget(items, costs=costs)}"
        for (label, backbone), items in rows.items()
    ]


def _budget(items: Sequence[Record], *, costs: bool) -> str:
    choices = [item.tuned for item in items if item.tuned]
    counts = {name: sum(getattr(choice, name) for choice in choices) for name in ("images_forward", "images_backward")}
    trials = sorted({choice.trials for choice in choices})
    never = {name: sum(getattr(choice, name) for choice in choices) for name in ("failed", "undefined")}
    seeds = len({item.cell.seed for item in items}) > 1
    chosen: dict[str, list[str]] = {}
    for item, choice in zip(items, choices, strict=True):
        place = f"{item.cell.fold}" + (f" (seed {item.cell.seed})" if seeds else "")
        chosen.setdefault(choice.chosen, []).append(place)
    passed = f"images in all of them: {counts['images_forward']} forward, {counts['images_backward']} backward"
    parts = [*([passed] if costs else []), *(f"{n} {name}, never chosen" for name, n in never.items() if n)]
    return (
        f"objective {listed(sorted({choice.objective for choice in choices}))}, "
        f"trials per fold: {' to '.join(str(n) for n in sorted({trials[0], trials[-1]}))}"
        f"{', ' if parts else ''}{'; '.join(parts)}. "
        f"Chosen: {'; '.join(f'{spec} (fold {listed(folds)})' for spec, folds in chosen.items())}."
    )
