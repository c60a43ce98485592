"""Several labels in a task file: `labels`, a list or tables, or `classes`, each of which is a label of its own.

labels = ["Pneumothorax", "Effusion"]                     # columns; [label] says how all of them are coded
classes = { column = "dx", one_vs_rest = ["mel", "bcc"] } # values of one column, each against all others
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import UnknownName, UsageError

MOST_FINDINGS = 50
"""Labels of one task. Each has a comparison of its own, of as many cells as a task with one label."""
OF_CLASSES = ("column", "one_vs_rest", "unknown")


def add_labels(given: dict[str, Any], where: str) -> None:
    """Put `labels` as tables by name, and the first of them as `label`, into the fields of a task file.

    Raises:
        UsageError, UnknownName: a key or value that is not allowed; `where` names the file.
    """
    if "classes" in given and "labels" in given:
        raise UsageError(f"{where}: `labels` and `classes` are given: delete one")
    if "classes" in given:
        tables = _of_classes(given.pop("classes"), where)
        if "label" in given:
            raise UsageError(f"{where}: [label] beside `classes`, which says how its column is coded: delete one")
    elif "labels" in given:
        tables = _of_labels(given["labels"], given.get("label", {}), where)
    else:
        return
    if not 2 <= len(tables) <= MOST_FINDINGS:
        raise UsageError(
            f"{where}: {len(tables)} findings given, 2 to {MOST_FINDINGS} allowed; one is a table [label], and more "
            "are several tasks"
        )
    given["labels"], given["label"] = tables, next(iter(tables.values()))


def _of_labels(labels: Any, shared: Any, where: str) -> dict[str, Any]:
    if not isinstance(shared, Mapping) or "column" in shared:
        raise UsageError(
            f"{where}: [label] beside `labels`: how all labels are coded (such as one, zero, unknown), without `column`"
        )
    if isinstance(labels, Mapping):
        if wrong := [name for name, table in labels.items() if not isinstance(table, Mapping)]:
            raise UsageError(f"{where}: labels: {wrong[0]}: a table [labels.NAME] expected, or a list of columns")
        return {name: _named(name, {"column": name, **shared, **table}) for name, table in labels.items()}
    return {name: _named(name, {"column": name, **shared}) for name in _texts(labels, f"{where}: labels", "columns")}


def _of_classes(classes: Any, where: str) -> dict[str, Any]:
    if not isinstance(classes, Mapping):
        raise UsageError(f'{where}: classes: {{ column = "dx", one_vs_rest = ["mel", "bcc"] }} expected, say')
    for key in classes:
        if key not in OF_CLASSES:
            raise UnknownName("key", key, OF_CLASSES, where=f" of classes in {where}")
    if missing := [key for key in OF_CLASSES[:2] if key not in classes]:
        raise UsageError(f"{where}: classes: {', '.join(missing)} missing")
    values = classes["one_vs_rest"]
    if not isinstance(values, Mapping):
        values = {name: name for name in _texts(values, f"{where}: classes: one_vs_rest", "values of the column")}
    same = {key: value for key, value in classes.items() if key != "one_vs_rest"} | {"rest": True}
    return {name: _named(name, {**same, "one": value}) for name, value in values.items()}


def _named(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {"names": [f"no {name}", name], **table}


def _texts(values: Any, where: str, what: str) -> tuple[str, ...]:
    """Return a list of different texts.

    Raises:
        UsageError: it is another thing, or a text is in it twice.
    """
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) and value for value in values):
        raise UsageError(f"{where}: a list of {what} expected, not {str(values)[:100]}")
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise UsageError(f"{where}: {', '.join(twice)} is listed twice")
    return tuple(values)
