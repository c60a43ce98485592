"""The lists that `bench ls` prints, and the description of one item."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from bench import registry
from bench.api import PARTS, Attribute, Backbone, Coding, Dataset, Method, Question, Recipe, Rows, Task, Tie
from bench.data.phantom_tree import offers
from bench.options import choices, conditions, options
from bench.register import REGISTER, Row, concerning, deciding, find
from bench.running.launchers import LAUNCHERS
from bench.spec import name_of
from bench.tasks import PRESETS, TASKS

PLUGINS = {f"{kind.kind}s": kind for kind in (registry.METHODS, registry.DATASETS, registry.BACKBONES, LAUNCHERS)}


def show(what: str | None, name: str | None, plugins: Sequence[Path] = ()) -> str:
    """Return a list of everything or of one kind, or the description of one item."""
    if what is None:
        kinds = "\n\n".join(show(kind, None, plugins) for kind in (*PLUGINS, "tasks", "metrics"))
        return f"{kinds}\n\nregister\n  {len(REGISTER)} points on which paper and code differ: `bench ls register`"
    if name is not None:
        if (one := {"tasks": _task, "metrics": _metric, "register": _row}.get(what)) is not None:
            return one(name)
        return _plugin(what, name, plugins)
    if what == "register":
        rows = [(row.id, _brief(row)) for row in REGISTER.values()]
    elif what == "tasks":
        rows = [(task.name, task.says) for task in TASKS.values()]
    elif what == "metrics":
        from bench.scoring.definitions import METRICS

        rows = [(metric.name, f"{metric.says} {metric.formula}") for metric in METRICS.values()]
    else:
        rows = [(entry.name, entry.summary) for entry in PLUGINS[what].catalogue(plugins).values()]
    return "\n".join([what, *_aligned(rows)])


def _aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    margin = "\n" + " " * (width + 4)
    return [f"  {name:<{width}}  {margin.join(says.splitlines())}".rstrip() for name, says in rows]


def _plugin(kind: str, name: str, plugins: Sequence[Path]) -> str:
    cls = PLUGINS[kind].load(name, plugins)
    # A plugin is named like its file, while `name` may contain capitals or hyphens.
    file = inspect.getfile(cls)
    stem = Path(file).stem
    lines = [inspect.getdoc(inspect.getmodule(cls)) or "", "", "parameters", *_aligned(parameters(cls, stem))]
    if cls.presets:
        expanded = [(f"preset={key}", _given(preset) or "the defaults") for key, preset in cls.presets.items()]
        lines += ["", "presets", *_aligned(expanded)]
    if issubclass(cls, Dataset):
        facts = ("access", "licence", "citation", "labels", "attributes", "synthetic")
        phantom = f"`bench phantom {name} --out DIR`" if offers(cls) else "none"
        lines += ["", *_aligned([*((fact, _text(getattr(cls, fact))) for fact in facts), ("phantom tree", phantom)])]
    elif issubclass(cls, Method):
        method = cls()
        lines += _grid("ablations", cls.ablations) + _grid("search", cls.search)
        facts = [("reads", ", ".join(sorted(method.uses)) or "nothing")]
        facts += (
            [("needs", " and ".join(PARTS[part] for part in PARTS if part in method.needs))] if method.needs else []
        )
        facts += [("needs at prediction", "the attribute of every patient")] if cls.needs_attribute else []
        lines += ["", *_aligned([*facts, ("more than two groups", method.undefined(Question(3)) or "defined")])]
    elif issubclass(cls, Backbone):
        tags = ", ".join(cls.tags) if isinstance(cls.tags, tuple) else "those of the network"
        lines += ["", *_aligned([("weights", tags or "none of its own"), ("prepares images", _prepares(cls))])]
    if rows := [(row.id, _brief(row, stem)) for row in concerning(stem)]:
        lines += ["", "register", *_aligned(rows)]
    return "\n".join([*lines, "", *_aligned([("version", str(cls.version)), ("file", file)])])


def _prepares(cls: type[Backbone]) -> str:
    return f"version {cls.prepares}" if cls.prepares else "no"


def parameters(cls: type, plugin: str, bundle: object = None) -> list[tuple[str, str]]:
    """Return, for every option, (name=default, description with range, conditions, source and register rows).

    `plugin` is the name that the register uses. With `bundle`, an instance of the class, its values take the place of
    the defaults.
    """
    rows, kinds = [], options(cls)
    for field in dataclasses.fields(cls):
        if field.name not in kinds:
            continue
        low, high = field.metadata.get("low"), field.metadata.get("high")
        values = choices(kinds[field.name]) if kinds[field.name] is not bool else ()
        among = "Such as" if str in get_args(kinds[field.name]) else "One of"
        allowed = f" {among} {', '.join(map(str, values))}." if values else ""
        if low is not None or high is not None:
            allowed = f" {'Any' if low is None else low} to {'any' if high is None else high}."
        value = field.default if bundle is None else getattr(bundle, field.name)
        says = f"{field.metadata.get('says', '')}{allowed}"
        rows.append((f"{field.name}={value}", "\n".join(filter(None, [says, _details(field, plugin)]))))
    return rows or [("none", "")]


def _details(field: dataclasses.Field[Any], plugin: str) -> str:
    rows = deciding(plugin, field.name)
    read = [f"{name}={' or '.join(map(str, values))}" for name, values in conditions(field).items()]
    needed = " (required then)" if field.metadata.get("needed") else ""
    parts = [
        f"read with {' and '.join(read)}{needed}" if read else "",
        f"source: {field.metadata['source']}" if field.metadata.get("source") else "",
        f"register: {', '.join(rows)}" if rows else "",
    ]
    return "; ".join(filter(None, parts))


def _given(settings: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in settings.items())


def _grid(title: str, values: Mapping[str, Sequence[Any]]) -> list[str]:
    rows = [(name, "; ".join(map(str, settings))) for name, settings in values.items()]
    return ["", title, *_aligned(rows)] if rows else []


def _row(name: str) -> str:
    row = find(name)
    facts = [("paper", row.paper), ("code", row.code), ("default", row.default), ("option", _options(row))]
    if row.methods:
        facts.append(("methods", ", ".join(row.methods)))
    return "\n".join([f"{row.id}: {row.topic}", *_aligned(facts)])


def _brief(row: Row, plugin: str = "") -> str:
    return f"{row.topic}: {row.default}\n{_options(row, plugin)}"


def _options(row: Row, plugin: str = "") -> str:
    """Return the options that give the other behaviour; with `plugin`, those of this plugin and of tasks."""
    if row.documented:
        return f"none; documented in {row.documented}"
    return "; ".join(option for option in row.options if not plugin or name_of(option) in (plugin, "TASK"))


def _task(name: str) -> str:
    from bench import taskfile

    task = taskfile.resolve(taskfile.each(name)[0])  # the findings of a task differ in `label` alone
    nested = [field.name for field in dataclasses.fields(Task) if field.name not in (*taskfile.TASK_FIELDS, "recipe")]
    rows = _aligned([*((name, _text(getattr(task, name))) for name in nested), ("presets", ", ".join(PRESETS))])
    own = [row for row in parameters(Task, "TASK", task) if row[0].partition("=")[0] in taskfile.TASK_FIELDS]
    if task.source.tie:
        own += [row for row in parameters(Tie, "TASK", task.source.tie) if row[0].partition("=")[0] != "attribute"]
    recipe = parameters(Recipe, "TASK", task.recipe)
    return "\n".join([*rows, "", "fields", *_aligned(own), "", "recipe", *_aligned(recipe)])


def _text(value: Any) -> str:
    if isinstance(value, Rows):
        where = "; ".join(f"{column} in {', '.join(values)}" for column, values in value.where.items())
        tie = f", tied to {value.tie.attribute}" if value.tie else ""
        return value.dataset + (f" where {where}" if where else "") + tie
    if isinstance(value, Attribute) and value.cross:
        return f"{value.column} ({'; '.join(value.names)})"
    if isinstance(value, Attribute) and value.grouped:
        bands = [f"below {value.cuts[0]:g}", *(f"from {cut:g}" for cut in value.cuts)] if value.cuts else []
        groups = bands or [", ".join(group) for group in value.values]
        parts = [f"{g} {name}: {group}" for g, (name, group) in enumerate(zip(value.names, groups, strict=True))]
        return f"{value.column} ({'; '.join(parts)})"
    if isinstance(value, Coding):
        coded = f" above {value.above:g}" if value.above is not None else ""
        coded += f" 1 = {', '.join(value.one)}" if value.one else ""
        return f"{value.column}{coded} (0 {value.names[0]}, 1 {value.names[1]})"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(part)}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _metric(name: str) -> str:
    from bench.scoring import definitions

    metric = definitions.metric(name)
    better = {"up": "higher is better", "down": "lower is better", None: "neither direction is better"}
    threshold = {"none": "none", "0.5": "0.5", "tuned": "tuned on validation, see bench/scoring/threshold.py"}
    facts = [
        ("formula", metric.formula),
        ("", better[metric.direction]),
        ("threshold", threshold[metric.threshold]),
        ("version", str(metric.version)),
    ]
    return "\n".join([f"{metric.title}: {metric.says}", *_aligned(facts)])
