"""The definition of a task as TOML: what two sites must have in common, and what another can run."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from bench.api import Task
from bench.share.privacy import pathless
from bench.taskfile import task_of

OWN = ("says", "source", "ood")
"""Fields of a task in which sites may differ: their words for it, their images and their test sets."""


def to_toml(task: Task) -> str:
    """Return the definition of a task, every field of it, without the folders of this machine."""
    return "\n".join(_table((), pathless(dataclasses.asdict(task)))) + "\n"


def from_toml(text: str, where: str) -> Task:
    """Return the task of a definition; `where` names it in errors.

    Raises:
        UsageError, UnknownName: a key or value that this version does not know.
        ValueError: text that is not TOML.
    """
    return task_of(tomllib.loads(text), where)


def differences(one: Task, other: Task) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two definitions differ, such as `recipe.epochs`, with both values."""
    flat = [dict(_flat("", dataclasses.asdict(task))) for task in (one, other)]
    return {
        name: (flat[0].get(name), flat[1].get(name))
        for name in dict.fromkeys([*flat[0], *flat[1]])
        if flat[0].get(name) != flat[1].get(name) and name.partition(".")[0] not in OWN
    }


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    """Lines of a table, its plain values first, as TOML wants it; what is None or empty is left to its default."""
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in table.items() if key not in tables and value not in (None, (), [])}
    head = [f"\n[{'.'.join(map(_key, path))}]"] if path and plain else []
    lines = [*head, *(f"{_key(key)} = {_value(value)}" for key, value in plain.items())]
    return lines + [line for key, value in tables.items() for line in _table((*path, key), value)]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    # Strings, numbers, truth values and lists of TOML are written as those of JSON are.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
