"""Where the numbers of a page come from: code, machines, data, options. No name of a host, a file or an image."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from bench.api import Recipe, Task
from bench.cells.record import Environment, Record
from bench.report.numbers.aggregate import IN_DOMAIN, Results
from bench.report.numbers.suppression import number_of
from bench.report.numbers.task_info import key_of, label_of
from bench.report.render.table import Column, Table
from bench.report.render.text import UNDEFINED, listed

SHORT = 12
"""Digits of a hash that are shown."""


def provenance(results: Results, cells: Sequence[Record], task: Task) -> list[Table]:
    """All of it, as tables: cells may be of more rows than the main table has."""
    return [_code(cells), _settings(cells), _data(results, cells), _options(task), _recipe(task.recipe)]


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table([Column(head, "left") for head in heads], rows, title)


def _code(cells: Sequence[Record]) -> Table:
    made = Counter(_maker(item.environment) for item in cells)
    rows = tuple((*maker, str(count)) for maker, count in sorted(made.items()))
    return _table("Code and machines", ("bench", "commit", "Python", "libraries", "device", "cells"), rows)


def _maker(made: Environment | None) -> tuple[str, ...]:
    made = made or Environment(bench=UNDEFINED)
    commit = made.commit[:SHORT] or "not a checkout"
    commit += ", files changed" if made.changed_files else ""
    if made.submitted:
        commit += f", submitted as {made.submitted.get('commit', '')[:SHORT] or made.submitted.get('files', '')}"
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))
    return made.bench, commit, made.python or UNDEFINED, libraries, made.device or UNDEFINED


def _settings(cells: Sequence[Record]) -> Table:
    """Rows by their specs, which name what differs from a method's defaults and nothing else."""
    every = sorted((item.cell for item in cells), key=key_of)
    found = Counter((cell.backbone, label_of(cell), cell.spec, str(cell.version)) for cell in every)
    rows = tuple((*key, str(count)) for key, count in found.items())
    return _table("Methods as they were run", ("backbone", "method", "spec", "version", "cells"), rows)


def _data(results: Results, cells: Sequence[Record]) -> Table:
    """Fingerprints of sets and baselines; folds that share one share a row."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for item in cells:
        cell = item.cell
        for name, part in item.data.items():
            number = _number(name, part.n, results)
            found.setdefault((name, number, part.sha), set()).add(cell.fold)
        if sha := item.baseline_sha256:
            seed = f", seed {cell.seed}" if results.seeds > 1 else ""
            found.setdefault((f"baseline, {cell.backbone}{seed}", UNDEFINED, sha), set()).add(cell.fold)
    every = {item.cell.fold for item in cells}
    rows = sorted(
        (name, "all" if folds == every else listed(map(str, sorted(folds))), number, sha[:SHORT] or UNDEFINED)
        for (name, number, sha), folds in found.items()
    )
    return _table("Data, by fingerprint", ("set", "fold", "images", "fingerprint"), tuple(rows))


def _number(name: str, n: int | None, results: Results) -> str:
    """The size of a set; of the parts of a source set with a small cell none is shown (see `numbers.suppression`)."""
    if n is None or (name not in results.info.ood and IN_DOMAIN in results.suppressed):
        return UNDEFINED
    return number_of(n, results.info)


def _options(task: Task) -> Table:
    given = [
        *_changed(task, {"name", "says", "source", "ood", "recipe", "label", "attribute"}),
        ("label", f"{task.label.column}: 0 {task.label_names[0]}, 1 {task.label_names[1]}", UNDEFINED),
        ("groups", f"{task.attribute.column}: {listed(task.attribute.names)}", UNDEFINED),
        ("test sets", listed(task.ood), UNDEFINED),
    ]
    return _table("Options of the task that differ from the defaults or have none", _HEADS, tuple(given))


def _recipe(recipe: Recipe) -> Table:
    return _table("Recipe, where it differs from the defaults or has none", _HEADS, _changed(recipe))


_HEADS = ("option", "value", "default")


def _changed(settings: Any, but: Collection[str] = ()) -> list[tuple[str, str, str]]:
    """Options without a default, or of another value than theirs, in the order in which they are declared; none of
    `but`.
    """
    kept = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        required = field.default is dataclasses.MISSING
        if field.name not in but and (required or value != field.default):
            words = listed(map(str, value)) if isinstance(value, tuple) else str(value)
            kept.append((field.name.replace("_", " "), words, UNDEFINED if required else str(field.default)))
    return kept
