"""The recipes, labels, attributes and tasks of the suite, read from `tasks.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from bench.api import Attribute, Label, Recipe, Rows, Task, Tie


def _frozen(value: Any) -> Any:
    """Return a value of TOML with tuples instead of lists."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


_FILE = _frozen(tomllib.loads(Path(__file__).with_name("tasks.toml").read_text(encoding="utf-8")))
RECIPES: dict[str, Recipe] = {name: Recipe(**fields) for name, fields in _FILE["recipes"].items()}
PRESETS: dict[str, dict[str, dict[str, Any]]] = _FILE["presets"]
"""`TASK:preset=NAME`: fields of task and recipe that it changes, by the number of channels of the images."""
LABELS: dict[str, Label] = {name: Label(**fields) for name, fields in _FILE["labels"].items()}
ATTRIBUTES: dict[str, Attribute] = {name: Attribute(**fields) for name, fields in _FILE["attributes"].items()}


def _rows(tie: dict[str, Any] | None = None, **fields: Any) -> Rows:
    return Rows(**fields, tie=Tie(**tie) if tie else None)


def _task(name: str, like: str, **fields: Any) -> Task:
    fields = {**_FILE["like"][like], **fields}
    labels = {one: LABELS[one] for one in fields.get("labels", ())}
    fields |= {"labels": labels, "label": next(iter(labels), fields["label"])}
    named = {"recipe": RECIPES, "label": LABELS, "attribute": ATTRIBUTES}
    fields |= {key: known[fields[key]] for key, known in named.items()}
    also = {key: ATTRIBUTES[name] for key, name in fields.get("also", {}).items()}
    fields |= {"also": {key: one for key, one in also.items() if one.column != fields["attribute"].column}}
    fields |= {"source": _rows(**fields["source"]), "ood": {key: _rows(**rows) for key, rows in fields["ood"].items()}}
    return Task(name=name, **fields)


TASKS: dict[str, Task] = {name: _task(name, **fields) for name, fields in _FILE["tasks"].items()}
