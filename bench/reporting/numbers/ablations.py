"""The tables of a task: the main one, and one for each ablation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_origin, get_type_hints

from bench import registry
from bench.api import Task
from bench.cells.record import Failure, Item, Record
from bench.errors import BenchError
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.grouping import grouped
from bench.running.plan import within
from bench.spec import describe, name_of, parse

MAIN = "main"


@dataclass(frozen=True)
class Table:
    """The cells and failures of one table; `name` is the stem of its files, `part` its title, empty for the main."""

    name: str
    part: str
    cells: list[Record]
    failures: list[Failure]


def untuned(items: Iterable[Item]) -> list[Item]:
    """Return the cells or failures whose parameters were not chosen by `bench tune`."""
    return [item for item in items if not item.cell.tuned]


def split(
    cells: Sequence[Record], failures: Iterable[Failure], task: Task, plugins: Sequence[Path] = ()
) -> list[Table]:
    """Return the main table, then `ablation-<method>-<parameter>` for every ablation that has rows.

    The main table has the methods that `--methods all` runs on the task, plugins, and settings that belong to no
    ablation. Settings of a grid, two or more that set the same parameters, are an ablation of these. The table of an
    ablation has its settings beside Baseline and the method's defaults, which are those of the preset of the task.
    """
    cells, failures = list(cells), list(failures)
    specs = {item.cell.spec for item in [*cells, *failures]}
    titles = {item.cell.method: item.cell.title for item in [*cells, *failures]}
    relative = {spec: within(spec, task.preset, tuple(plugins)) for spec in specs}
    ablated_by = {spec: ablated(relative[spec], plugins) for spec in specs}
    companions = {
        name: _specs(name, registry.METHODS.build(name, plugins).companions(task.recipe), plugins)
        for name in {name_of(spec) for spec in specs if ablated_by[spec]}
    }
    in_main = {spec for spec in specs if not ablated_by[spec] or relative[spec] in companions[name_of(spec)]}
    by_parameters = grouped(((name_of(spec), _set(relative[spec])), spec) for spec in sorted(specs) if spec in in_main)
    grids = {
        key: found
        for key, found in by_parameters.items()
        if key[1] and len(found) > 1 and not any(relative[spec] in companions.get(key[0], ()) for spec in found)
    }
    in_main -= {spec for found in grids.values() for spec in found}

    def table(name: str, part: str, rows: set[str]) -> Table:
        def chosen(items: list[Item]) -> list[Item]:
            return [item for item in items if item.cell.spec in rows]

        return Table(name, part, chosen(cells), chosen(failures))

    tables = [table(MAIN, "", in_main)]
    found = {(name_of(spec), (field,)) for spec in specs for field in ablated_by[spec]}
    for method, fields_set in sorted({*found, *grids}):
        named = {spec for spec in specs if name_of(spec) == method and set(fields_set) <= set(ablated_by[spec])}
        settings = {*named, *grids.get((method, fields_set), ())}
        if not settings <= in_main:
            part = f"{titles[method]}, {' and '.join(field.replace('_', ' ') for field in fields_set)}"
            usual = {spec for spec in specs if relative[spec] in (BASELINE, method)}
            tables.append(table(f"ablation-{method}-{'-'.join(fields_set)}", part, {*usual, *settings}))
    return tables


def _set(spec: str) -> tuple[str, ...]:
    """Return the parameters that a spec sets, sorted."""
    return tuple(sorted(parse(spec).options))


def ablated(spec: str, plugins: Sequence[Path] = ()) -> list[str]:
    """Return the parameters to whose ablation a setting belongs.

    These are the parameters whose `ablations` contain it, and a parameter with choices if it alone differs from its
    default. There are none for defaults, for plugins, and for settings that the method no longer has.
    """
    name = name_of(spec)
    entry = registry.METHODS.catalogue(plugins).get(name)
    if entry is None or not entry.module.startswith("bench."):
        return []
    try:
        method = registry.METHODS.build(spec, plugins)
    except BenchError:
        return []
    changed = [f.name for f in fields(method) if getattr(method, f.name) != f.default]
    named = [field for field, settings in method.ablations.items() if spec in _specs(name, settings, plugins)]
    if len(changed) == 1 and changed[0] not in method.ablations:
        kind = get_type_hints(type(method))[changed[0]]
        named += changed if kind is bool or get_origin(kind) is Literal else []
    return named if changed else []


def _specs(name: str, settings: Iterable[str], plugins: Sequence[Path]) -> set[str]:
    return {describe(name, registry.METHODS.build(f"{name}:{text}", plugins)) for text in settings}
