"""`--ablate FIELD`: the runs that compare all settings of a method parameter, or all values of a task field."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import registry, taskfile
from bench.api import Task
from bench.cells.identity import BASELINE
from bench.errors import UnknownName
from bench.options import choices, options
from bench.running.plan import method_specs, within
from bench.settings import Settings
from bench.spec import Spec, parse

EXTERNAL = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of the external set (SWiFT, Fig. 7)."""
EPOCHS = (0, 25, 50, 100, 150, 200, 250, 300)
"""Fine-tuning epochs in thousandths of the pre-training epochs. SWiFT, Fig. 4, has 0, 5 and 10 %; others are ours."""
TIMES = (0.5, 1, 2, 4)
"""Fine-tuning epochs as multiples of those of the task, so that a plateau shows after short pre-training too."""


def ablation(settings: Settings) -> list[Settings]:
    """Return the runs of an ablation; without a field to ablate, the run itself.

    If every named method can ablate the field, it is one run over settings of the methods; otherwise, the field
    belongs to the task, and there is one run for each variant.

    Raises:
        UsageError: an invalid value, or a field that cannot be ablated; the message lists those that can.
    """
    if settings.ablate is None:
        return [settings]
    field, settings = settings.ablate.strip().replace("-", "_"), dataclasses.replace(settings, ablate=None)
    task = taskfile.resolve(settings.task)
    named = method_specs(settings.methods, settings.plugins, task)
    specs = [within(spec, task.preset, settings.plugins) for spec in named if spec != BASELINE]
    of_methods = [ablations(spec, settings.plugins) for spec in specs]
    if of_methods and all(field in found for found in of_methods):
        every = [one for spec, found in zip(specs, of_methods, strict=True) for one in (spec, *found[field])]
        return [dataclasses.replace(settings, methods=",".join(dict.fromkeys(every)))]
    of_task = {name: found for name in taskfile.FIELDS if (found := values(task, name))}
    if field not in of_task:
        shared = [name for name in of_methods[0] if all(name in found for found in of_methods)] if of_methods else []
        allowed = dict.fromkeys([*shared, *of_task])
        raise UnknownName("ablation", field, allowed, where=f" of {settings.methods} on {settings.task}")
    variants = dict.fromkeys(taskfile.vary(settings.task, field, value) for value in of_task[field])
    return [dataclasses.replace(settings, task=spec) for spec in variants]


def ablations(spec: str, plugins: Sequence[Path] = ()) -> dict[str, list[str]]:
    """Return parameter -> specs of all its settings; the options that the spec sets stay fixed."""
    given = parse(spec)
    method = registry.METHODS.load(given.name, plugins)
    kinds = options(method)
    settings = {field: [f"{field}={value}" for value in choices(kind)] for field, kind in kinds.items()}
    settings.update({field: list(texts) for field, texts in method.ablations.items()})
    fixed = given.allowed(kinds)

    def setting(text: str) -> str:
        return str(Spec(given.name, {**fixed, **parse(f"{given.name}:{text}").allowed(kinds)}))

    return {field: [setting(text) for text in texts] for field, texts in settings.items() if texts}


def values(task: Task, field: str) -> tuple[Any, ...]:
    """Return the values of a task field that its ablation compares; none if it has no ablation."""
    if field == "external":
        return EXTERNAL
    if field == "epochs":
        grid = {(part * task.recipe.pretrain_epochs + 500) // 1000 for part in EPOCHS}
        return tuple(sorted(grid | {int(times * task.recipe.epochs) for times in TIMES}))
    unread = (*taskfile.OF_REPORTS, *(() if task.source.tie else taskfile.TIE_FIELDS))
    return () if field in unread else choices(taskfile.FIELDS[field])
