"""The definition of a task as TOML, by which sites are compared and with which another site can run the task."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from bench.api import Task
from bench.errors import UnknownName
from bench.share.privacy import pathless
from bench.spec import parse
from bench.taskfile import FINDING, build, toml_key, toml_value

OWN = ("says", "source", "ood", "also")
"""Fields in which the tasks of sites may differ: the description, images, test sets and further attributes."""


def to_toml(task: Task) -> str:
    """Return all fields of a task as TOML, without the folders of this machine.

    Which of several findings it asks about stands in its name.
    """
    fields = pathless(dataclasses.asdict(task))
    if task.labels:
        del fields["label"]
    return "\n".join(_table((), fields)) + "\n"


def from_toml(text: str, where: str) -> Task:
    """Return the task that a TOML text defines; `where` names the text in errors.

    Raises:
        UsageError, UnknownName: on a key or value that this version does not know.
        ValueError: if the text is not TOML.
    """
    given = tomllib.loads(text)
    labels = given.get("labels")
    if isinstance(labels, dict) and labels and "label" not in given:
        finding = parse(str(given.get("name")), "field").options.get(FINDING, next(iter(labels)))
        if finding not in labels:
            raise UnknownName("finding", finding, labels, where=f" of {where}")
        given["label"] = labels[finding]
    return build(Task, given, where)


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
