"""Tasks by name or from the user's own TOML file with the same fields, and variants of either.

`phantom-cxr-age:external=0.2,epochs=20` is a task with two fields changed, of the task itself or of its recipe.
"""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api import Attribute, Label, Recipe, Rows, Task
from bench.errors import DataMissing, UnknownName, UsageError
from bench.options import coerce, options
from bench.spec import Spec, parse
from bench.tasks import PRESETS, RECIPES, TASKS

TASK_FIELDS = {name: kind for name, kind in options(Task).items() if name not in ("name", "says")}
RECIPE_FIELDS = options(Recipe)
FIELDS = {**TASK_FIELDS, **RECIPE_FIELDS}
"""What a variant can change, and its type."""


def resolve(spec: str) -> Task:
    """Return the task of a name or TOML file, changed as what follows a colon says.

    The name of a variant is its canonical spec: the base's, then what differs from the base, sorted by field.

    Raises:
        UnknownName: with the nearest right spelling of a name, key or choice.
        UsageError: on a value of the wrong type or out of range, a key that is missing or a file that is not TOML.
        DataMissing: where the file is not there.
    """
    base, given = fields_of(spec)
    task = _base(base)
    try:
        return _changed(task, given)
    except UsageError as error:
        raise UsageError(f"{spec}: {error}") from None


def fields_of(spec: str) -> tuple[str, dict[str, str]]:
    """Return the base of a spec, a name or the path of a TOML file, and the fields it changes.

    Raises:
        UsageError, UnknownName: for a field that no variant can change, or one given twice.
    """
    parsed = parse(spec, "field")
    return parsed.name, parsed.allowed([*FIELDS, "preset"], "field")


def vary(spec: str, field: str, value: object) -> str:
    """Return the canonical spec of a task with one more field changed.

    Raises:
        UnknownName, UsageError: as `resolve`.
    """
    base, given = fields_of(spec)
    task = resolve(str(Spec(base, {**given, field: str(value)})))
    return base + task.name.removeprefix(_base(base).name)


def task_of(given: Mapping[str, Any], where: str) -> Task:
    """Return the task of all its fields as TOML holds them; `where` names them in errors.

    Raises:
        UnknownName, UsageError: a key or value that is not allowed, or one that is missing.
    """
    return _build(Task, given, where)


def _changed(task: Task, given: Mapping[str, str]) -> Task:
    preset = given.get("preset", "suite")
    if preset not in PRESETS:
        raise UnknownName("preset", preset, PRESETS)
    # What is given beside a preset wins, as in the spec of a method.
    asked = {**PRESETS[preset][task.channels], **{key: value for key, value in given.items() if key != "preset"}}
    wanted = {key: coerce(key, value, FIELDS[key]) for key, value in asked.items()}
    now = {**dataclasses.asdict(task.recipe), **vars(task)}
    changed = {key: value for key, value in sorted(wanted.items()) if value != now[key]}
    if not changed:
        return task
    recipe = dataclasses.replace(task.recipe, **{key: v for key, v in changed.items() if key in RECIPE_FIELDS})
    own = {key: value for key, value in changed.items() if key in TASK_FIELDS}
    name = str(Spec(task.name, {key: str(value) for key, value in changed.items()}))
    return dataclasses.replace(task, name=name, recipe=recipe, **own)


def _base(name: str) -> Task:
    if not name.endswith(".toml"):
        if name not in TASKS:
            raise UnknownName("task", name, TASKS, where=" (or give the path of a .toml file)")
        return TASKS[name]
    file = Path(name)
    if not file.is_file():
        raise DataMissing(f"task file {file}", get_it="A task is a name of `bench ls tasks` or a TOML file.")
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None
    return _task({"name": file.stem, "says": f"from {file.name}", "crop": "none", "recipe": "small", **given}, file)


def _task(given: dict[str, Any], file: Path) -> Task:
    recipe = given["recipe"]
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise UnknownName("recipe", recipe, RECIPES, where=f" in {file}")
        given["recipe"] = dataclasses.asdict(RECIPES[recipe])
    task = task_of(given, str(file))
    if task.name in TASKS:
        raise UsageError(f"{file}: a task of the suite is called '{task.name}' already; set another name")
    if set(task.name) & set(":,=@"):
        raise UsageError(f"{file}: name '{task.name}': `:`, `,`, `=` and `@` mark variants of a task; leave them out")
    if not task.ood:
        raise UsageError(f"{file}: no out-of-distribution set; add a table [ood.NAME] with a dataset")
    return task


_NESTED = {"source": Rows, "label": Label, "attribute": Attribute, "recipe": Recipe}


def _build(cls: type, given: Any, where: str) -> Any:
    if not isinstance(given, Mapping):
        raise UsageError(f"{where}: a table of {', '.join(f.name for f in dataclasses.fields(cls))} expected")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in given:
        if key not in fields:
            raise UnknownName("key", key, fields, where=f" in {where}")
    missing = [
        name
        for name, field in fields.items()
        if name not in given and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{where}: {', '.join(missing)} missing")
    hints = typing.get_type_hints(cls)
    values = {key: _value(cls, key, hints[key], value, where) for key, value in given.items()}
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _value(cls: type, key: str, kind: Any, value: Any, where: str) -> Any:
    name = f"{where}: {key}"
    if cls is Task and key in _NESTED:
        return _build(_NESTED[key], value, f"{where} [{key}]")
    if cls is Task and key == "ood":
        if not isinstance(value, Mapping):
            raise UsageError(f"{name}: a table per out-of-distribution set expected, [ood.NAME]")
        return {ood: _build(Rows, rows, f"{where} [ood.{ood}]") for ood, rows in value.items()}
    if key == "where":
        return {column: tuple(map(str, [v] if isinstance(v, str) else v)) for column, v in value.items()}
    if typing.get_origin(kind) is tuple:
        parts = value if isinstance(value, list | tuple) else [value]
        return tuple(_value(cls, key, typing.get_args(kind)[0], part, where) for part in parts)
    return coerce(name, value, kind)
