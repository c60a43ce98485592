"""The definition of a task as TOML, by which sites are compared and with which another site can run the task."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from bench.api import Task
from bench.share.privacy import pathless
from bench.taskfile import build, toml_key, toml_value

OWN = ("says", "source", "ood", "also")
"""Fields in which the tasks of sites may differ: the description, images, test sets and further attributes."""


def to_toml(task: Task) -> str:
    """Return all fields of a task as TOML, without the folders of this machine."""
    return "\n".join(_table((), pathless(dataclasses.asdict(task)))) + "\n"


def from_toml(text: str, where: str) -> Task:
    """Return the task that a TOML text defines; `where` names the text in errors.

    Raises:
        UsageError, UnknownName: on a key or value that this version does not know.
        ValueError: if the text is not TOML.
    """
    return build(Task, tomllib.loads(text), where)


def differences(one: Task, other: Task) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two tasks differ, such as `recipe.epochs`, with both values, except those in `OWN`."""
    left, right = (dict(_flat("", dataclasses.asdict(task))) for task in (one, other))
    names = [name for name in {**left, **right} if name.partition(".")[0] not in OWN]
    return {name: (left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)}


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table, plain values first, as TOML requires; None and empty values are left out."""
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in table.items() if key not in tables and value not in (None, (), [])}
    head = [f"\n[{'.'.join(map(toml_key, path))}]"] if path and plain else []
    lines = [*head, *(f"{toml_key(key)} = {toml_value(value)}" for key, value in plain.items())]
    return lines + [line for key, value in tables.items() for line in _table((*path, key), value)]
