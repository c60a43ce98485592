"""The table of tuned methods; the main table has only methods with fixed parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from bench.cells.record import Failure, Record
from bench.reporting.numbers.aggregate import BASELINE, IN_DOMAIN, Results, collect
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.suppression import span
from bench.reporting.numbers.task_info import TaskInfo, label_of
from bench.reporting.render.text import listed

TUNED = "tuned"
"""Name of the table and of its files."""


def collect_tuned(cells: Sequence[Record], failures: Iterable[Failure], info: TaskInfo) -> Results | None:
    """Return Baseline and the tuned rows of a task, with notes on the tuning; None if nothing is tuned."""
    tuned = [item for item in cells if item.cell.tuned]
    if not tuned:
        return None
    baselines = [item for item in cells if item.cell.spec == BASELINE]
    failed = [item for item in failures if item.cell.tuned]
    results = collect([*baselines, *tuned], failed, dataclasses.replace(info, part=TUNED))
    ordered = sorted(tuned, key=lambda item: (item.cell.row, item.cell.spec, item.cell.fold))
    rows = grouped((results.named(label_of(item.cell), item.cell.backbone), item) for item in ordered)
    costs = IN_DOMAIN not in results.suppressed
    budgets = [f"{name}: {_budget(items, costs=costs)}" for name, items in rows.items()]
    return dataclasses.replace(results, remarks=(_protocol(tuned, info), *budgets))


def _protocol(tuned: Sequence[Record], info: TaskInfo) -> str:
    images = span((item.tuned.holdout.n or 0 for item in tuned if item.tuned), info)
    return (
        f"Tuned: parameters are chosen in each fold on a fifth of the validation part ({images} images), which is held "
        "out before the external set is cut; no test image is read. The method is then fitted with the chosen "
        "parameters on the usual external set. The cost is that of this fit, without the trials."
    )


def _budget(items: Sequence[Record], *, costs: bool) -> str:
    """Return the objective of a row, its trials, their images, and the chosen parameters."""
    choices = [item.tuned for item in items if item.tuned]
    total = {
        name: sum(getattr(choice, name) for choice in choices)
        for name in ("images_forward", "images_backward", "failed", "undefined")
    }
    trials = sorted({choice.trials for choice in choices})
    seeds = len({item.cell.seed for item in items}) > 1
    chosen = grouped(
        (choice.chosen, f"{item.cell.fold}" + (f" (seed {item.cell.seed})" if seeds else ""))
        for item, choice in zip(items, choices, strict=True)
    )
    passed = f"images in all of them: {total['images_forward']} forward, {total['images_backward']} backward"
    never = [f"{total[name]} {name}, never chosen" for name in ("failed", "undefined") if total[name]]
    parts = [*([passed] if costs else []), *never]
    return (
        f"objective {listed(sorted({choice.objective for choice in choices}))}, "
        f"trials per fold: {' to '.join(str(n) for n in sorted({trials[0], trials[-1]}))}"
        f"{', ' if parts else ''}{'; '.join(parts)}. "
        f"Chosen: {'; '.join(f'{spec} (fold {listed(folds)})' for spec, folds in chosen.items())}."
    )
