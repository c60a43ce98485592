"""The provenance of a page: code, machines, data and options, without names of hosts, files or images."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from bench.api import Task
from bench.cells.record import Environment, Record
from bench.reporting.numbers.aggregate import IN_DOMAIN, Results
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.suppression import number_of
from bench.reporting.numbers.task_info import key_of, label_of
from bench.reporting.render.table import Column, Table
from bench.reporting.render.text import UNDEFINED, listed

SHORT = 12
"""Number of digits shown of a hash."""


def provenance(results: Results, cells: Sequence[Record], task: Task) -> list[Table]:
    """Return the provenance as tables; `cells` may belong to more rows than the main table has."""
    options = [
        *_changed(task, {"name", "says", "source", "ood", "recipe", "label", "attribute"}),
        ("label", f"{task.label.column}: 0 {task.label_names[0]}, 1 {task.label_names[1]}", UNDEFINED),
        ("groups", f"{task.attribute.column}: {listed(task.attribute.names)}", UNDEFINED),
        ("test sets", listed(task.ood), UNDEFINED),
    ]
    heads = ("option", "value", "default")
    if results.info.elsewhere:
        return [_settings(cells), _data(results, cells), _table("Options of the task", heads, options[-3:])]
    return [
        _code(cells),
        _settings(cells),
        _data(results, cells),
        _table("Options of the task that differ from the defaults or have none", heads, options),
        _table("Recipe, where it differs from the defaults or has none", heads, _changed(task.recipe)),
    ]


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
    """Return the specs of the rows, which contain the options that differ from a method's defaults."""
    every = sorted((item.cell for item in cells), key=key_of)
    found = Counter((cell.backbone, label_of(cell), cell.spec, str(cell.version)) for cell in every)
    rows = tuple((*key, str(count)) for key, count in found.items())
    return _table("Methods as they were run", ("backbone", "method", "spec", "version", "cells"), rows)


def _data(results: Results, cells: Sequence[Record]) -> Table:
    """Return the fingerprints of sets and baselines; folds with the same fingerprint share a row."""
    found = []
    for item in cells:
        cell = item.cell
        for name, part in item.data.items():
            # The labels of a small set can be found from its checksum, by trying all of them.
            hidden = (name if name in results.info.ood else IN_DOMAIN) in results.suppressed
            found.append(((name, _number(name, part.n, results), "" if hidden else part.sha), cell.fold))
        if sha := item.baseline_sha256:
            seed = f", seed {cell.seed}" if results.seeds > 1 else ""
            found.append(((f"baseline, {cell.backbone}{seed}", UNDEFINED, sha), cell.fold))
    every = {item.cell.fold for item in cells}
    rows = [
        (name, "all" if {*folds} == every else listed(map(str, sorted({*folds}))), number, sha[:SHORT] or UNDEFINED)
        for (name, number, sha), folds in grouped(found).items()
    ]
    return _table("Data, by fingerprint", ("set", "fold", "images", "fingerprint"), sorted(rows))


def _number(name: str, n: int | None, results: Results) -> str:
    """Return the size of a set, unless it is suppressed with the source set (see `numbers.suppression`)."""
    if n is None or (name not in results.info.ood and IN_DOMAIN in results.suppressed):
        return UNDEFINED
    return number_of(n, results.info)


def _changed(settings: Any, but: Collection[str] = ()) -> list[tuple[str, str, str]]:
    """Return options, except `but`, with their values and defaults where the two differ or there is no default."""
    kept = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        required = field.default is dataclasses.MISSING
        if field.name not in but and (required or value != field.default):
            words = listed(map(str, value)) if isinstance(value, tuple) else str(value)
            kept.append((field.name.replace("_", " "), words, UNDEFINED if required else str(field.default)))
    return kept
