"""What `bench ls` prints."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import registry
from bench.api import Attribute, Coding, Dataset, Method, Plugin, Rows, Task
from bench.errors import UnknownName
from bench.tasks import TASKS


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


def parameters(cls: type[Plugin]) -> list[tuple[str, str]]:
    """Return (name=default, choices or range, and what it says) of every parameter."""
    hints = typing.get_type_hints(cls)
    rows = []
    for field in dataclasses.fields(cls):
        low, high = field.metadata.get("low"), field.metadata.get("high")
        choices = typing.get_args(hints[field.name]) if typing.get_origin(hints[field.name]) is typing.Literal else ()
        allowed = f" One of {', '.join(map(str, choices))}." if choices else ""
        if low is not None or high is not None:
            allowed = f" {'Any' if low is None else low} to {'any' if high is None else high}."
        rows.append((f"{field.name}={field.default}", f"{field.metadata.get('says', '')}{allowed}"))
    return rows or [("none", "")]


def _task(kind: str, name: str, plugins: Sequence[Path]) -> str:
    from bench import taskfile

    task = taskfile.resolve(name)
    rows = [(field.name, _text(getattr(task, field.name))) for field in dataclasses.fields(Task)]
    return "\n".join(_aligned(rows))


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
    if dataclasses.is_dataclass(value):
        return ", ".join(f"{f.name}={getattr(value, f.name)}" for f in dataclasses.fields(value))
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
