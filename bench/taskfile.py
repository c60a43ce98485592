"""Tasks by name, or from the user's own TOML file with the same fields."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api import Attribute, Label, Recipe, Rows, Task, coerce
from bench.errors import DataMissing, UnknownName, UsageError
from bench.tasks import RECIPES, TASKS


def resolve(name: str) -> Task:
    """Return the task of that name, or the one in the TOML file at that path.

    Raises:
        UnknownName: with the nearest right spelling of a name, key or choice.
        UsageError: on a value of the wrong type, a key that is missing or a file that is not TOML.
        DataMissing: where the file is not there.
    """
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
    task = _build(Task, given, str(file))
    if task.name in TASKS:
        raise UsageError(f"{file}: a task of the suite is called '{task.name}' already; set another name")
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
