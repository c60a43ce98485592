"""What `bench ls` prints."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import registry
from bench.api import Attribute, Coding, Dataset, Method, Recipe, Rows, Task, choices, options
from bench.errors import UnknownName
from bench.tasks import PRESETS, TASKS


def show(what: str | None, name: str | None, plugins: Sequence[Path] = ()) -> str:
    """Return the list of everything, of one kind, or one item with its parameters, source and file."""
    if what is None:
        return "\n\n".join(show(kind, None, plugins) for kind in ("methods", "datasets", "tasks", "metrics"))
    if name is not None:
        one = {"methods": _plugin, "datasets": _plugin, "tasks": _task, "metrics": _metric}[what]
        return one(what.removesuffix("s"), name, plugins)
    if what == "tasks":
        rows = [(task.name, task.says) for task in TASKS.values()]
    elif what == "metrics":
        from bench.score.definitions import METRICS

        rows = [(metric.name, f"{metric.says} {metric.formula}") for metric in METRICS.values()]
    else:
        catalogue = registry.catalogue(what.removesuffix("s"), plugins)
        rows = [(entry.name, entry.summary) for entry in catalogue.values()]
    return "\n".join([what, *_aligned(rows)])


def _aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:<{width}}  {says}".rstrip() for name, says in rows]


def _plugin(kind: str, name: str, plugins: Sequence[Path]) -> str:
    cls = registry.load(kind, name, plugins)
    lines = [inspect.getdoc(inspect.getmodule(cls)) or "", "", "parameters", *_aligned(parameters(cls))]
    if issubclass(cls, Dataset):
        facts = ("access", "licence", "citation", "labels", "attributes", "synthetic")
        lines += ["", *_aligned([(fact, _text(getattr(cls, fact))) for fact in facts])]
    else:
        assert issubclass(cls, Method)
        method = cls()
        facts = [("reads", ", ".join(sorted(method.uses)) or "nothing")]
        lines += ["", *_aligned([*facts, ("more than two groups", method.undefined(3) or "defined")])]
    return "\n".join([*lines, *_aligned([("version", str(cls.version)), ("file", inspect.getfile(cls))])])


def parameters(cls: type, bundle: object = None) -> list[tuple[str, str]]:
    """Return (name=default, what it says and choices or range) of every option; with a bundle its values."""
    rows, kinds = [], options(cls)
    for field in dataclasses.fields(cls):
        if field.name not in kinds:
            continue
        low, high = field.metadata.get("low"), field.metadata.get("high")
        values = choices(kinds[field.name]) if kinds[field.name] is not bool else ()
        allowed = f" One of {', '.join(map(str, values))}." if values else ""
        if low is not None or high is not None:
            allowed = f" {'Any' if low is None else low} to {'any' if high is None else high}."
        value = field.default if bundle is None else getattr(bundle, field.name)
        rows.append((f"{field.name}={value}", f"{field.metadata.get('says', '')}{allowed}"))
    return rows or [("none", "")]


def _task(kind: str, name: str, plugins: Sequence[Path]) -> str:
    from bench import taskfile

    task = taskfile.resolve(name)
    nested = [field.name for field in dataclasses.fields(Task) if field.name not in (*taskfile.TASK_FIELDS, "recipe")]
    rows = _aligned([*((name, _text(getattr(task, name))) for name in nested), ("presets", ", ".join(PRESETS))])
    own = [row for row in parameters(Task, task) if row[0].partition("=")[0] in taskfile.TASK_FIELDS]
    recipe = parameters(Recipe, task.recipe)
    return "\n".join([*rows, "", "fields", *_aligned(own), "", "recipe", *_aligned(recipe)])


def _text(value: Any) -> str:
    if isinstance(value, Rows):
        where = "; ".join(f"{column} in {', '.join(values)}" for column, values in value.where.items())
        return value.dataset + (f" where {where}" if where else "")
    if isinstance(value, Attribute) and value.grouped:
        bands = [f"below {value.cuts[0]:g}", *(f"from {cut:g}" for cut in value.cuts)] if value.cuts else []
        groups = bands or [", ".join(group) for group in value.values]
        parts = [
            f"{number} {name}: {group}" for number, (name, group) in enumerate(zip(value.names, groups, strict=True))
        ]
        return f"{value.column} ({'; '.join(parts)})"
    if isinstance(value, Coding):
        coded = f" above {value.above:g}" if value.above is not None else ""
        coded += f" 1 = {', '.join(value.one)}" if value.one else ""
        return f"{value.column}{coded} (0 {value.names[0]}, 1 {value.names[1]})"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(part)}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _metric(kind: str, name: str, plugins: Sequence[Path]) -> str:
    from bench.score.definitions import METRICS

    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    metric = METRICS[name]
    better = {"up": "higher is better", "down": "lower is better", None: "neither direction is better"}
    return "\n".join(
        [f"{metric.title}: {metric.says}", *_aligned([("formula", metric.formula), ("", better[metric.direction])])]
    )
