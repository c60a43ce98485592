"""Where the numbers of a page come from: code, machines, data, options. No name of a host, a file or an image."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.api import Recipe, Task
from bench.cells.record import Environment, Record
from bench.report.numbers.aggregate import IN_DOMAIN, Results
from bench.report.numbers.suppression import number_of
from bench.report.numbers.task_info import key_of, label_of
from bench.report.words.notes import listed

SHORT = 12
"""Digits of a hash that are shown."""
NOT_SHOWN = "–"


@dataclass(frozen=True)
class Grid:
    """A plain table of a page."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def provenance(results: Results, cells: Sequence[Record], task: Task) -> list[Grid]:
    """All of it, as tables: cells may be of more rows than the main table has."""
    return [_code(cells), _settings(cells), _data(results, cells), _options(task), _recipe(task.recipe)]


def _code(cells: Sequence[Record]) -> Grid:
    made = Counter(_maker(item.environment) for item in cells)
    rows = tuple((*maker, str(count)) for maker, count in sorted(made.items()))
    return Grid("Code and machines", ("bench", "commit", "Python", "libraries", "device", "cells"), rows)


def _maker(made: Environment | None) -> tuple[str, ...]:
    made = made or Environment(bench=NOT_SHOWN)
    commit = made.commit[:SHORT] or "not a checkout"
    commit += ", files changed" if made.changed_files else ""
    if made.submitted:
        commit += f", submitted as {made.submitted.get('commit', '')[:SHORT] or made.submitted.get('files', '')}"
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))
    return made.bench, commit, made.python or NOT_SHOWN, libraries, made.device or NOT_SHOWN


def _settings(cells: Sequence[Record]) -> Grid:
    """Rows by their specs, which name what differs from a method's defaults and nothing else."""
    found: dict[tuple[str, ...], int] = {}
    for item in sorted(cells, key=lambda item: key_of(item.cell)):
        cell = item.cell
        key = cell.backbone, label_of(cell), cell.spec, str(cell.version)
        found[key] = found.get(key, 0) + 1
    rows = tuple((*key, str(count)) for key, count in found.items())
    return Grid("Methods as they were run", ("backbone", "method", "spec", "version", "cells"), rows)


def _data(results: Results, cells: Sequence[Record]) -> Grid:
    """Fingerprints of sets and baselines; folds that share one share a row."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for item in cells:
        cell = item.cell
        for name, part in item.data.items():
            number = _number(name, part.n, results)
            found.setdefault((name, number, part.sha), set()).add(cell.fold)
        if sha := item.baseline_sha256:
            seed = f", seed {cell.seed}" if results.seeds > 1 else ""
            found.setdefault((f"baseline, {cell.backbone}{seed}", NOT_SHOWN, sha), set()).add(cell.fold)
    every = {item.cell.fold for item in cells}
    rows = sorted(
        (name, "all" if folds == every else listed(map(str, sorted(folds))), number, sha[:SHORT] or NOT_SHOWN)
        for (name, number, sha), folds in found.items()
    )
    return Grid("Data, by fingerprint", ("set", "fold", "images", "fingerprint"), tuple(rows))


def _number(name: str, n: int | None, results: Results) -> str:
    """The size of a set; of the parts of a source set with a small cell none is shown (see `numbers.suppression`)."""
    if n is None or (name not in results.info.ood and IN_DOMAIN in results.withheld):
        return NOT_SHOWN
    return number_of(n, results.info)


def _options(task: Task) -> Grid:
    plain = {field.name for field in dataclasses.fields(task)} - {"name", "says", "source", "ood", "recipe"}
    given = [
        *_changed(task, plain - {"label", "attribute"}),
        ("label", f"{task.label.column}: 0 {task.label_names[0]}, 1 {task.label_names[1]}", NOT_SHOWN),
        ("groups", f"{task.attribute.column}: {listed(task.attribute.names)}", NOT_SHOWN),
        ("test sets", listed(task.ood), NOT_SHOWN),
    ]
    return Grid("Options of the task that differ from the defaults or have none", _HEADS, tuple(given))


def _recipe(recipe: Recipe) -> Grid:
    names = {field.name for field in dataclasses.fields(recipe)}
    return Grid("Recipe, where it differs from the defaults or has none", _HEADS, tuple(_changed(recipe, names)))


_HEADS = ("option", "value", "default")


def _changed(settings: Any, names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Options without a default, or of another value than theirs, in the order in which they are declared."""
    kept = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        required = field.default is dataclasses.MISSING
        if field.name in names and (required or value != field.default):
            words = listed(map(str, value)) if isinstance(value, tuple) else str(value)
            kept.append((field.name.replace("_", " "), words, NOT_SHOWN if required else str(field.default)))
    return kept
