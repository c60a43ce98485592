"""The report of a task of several findings: one of each finding, and the table, claims and heat map over all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from math import isnan

from bench import taskfile
from bench.errors import BenchError
from bench.reporting import page
from bench.reporting.figures import findings_map
from bench.reporting.numbers.over_findings import OverFindings, over_findings
from bench.reporting.numbers.patient_intervals import place_of, planned
from bench.reporting.numbers.task_info import Latex
from bench.reporting.tables import findings_table
from bench.reporting.task_results import TaskResults, read
from bench.settings import Settings, command
from bench.spec import name_of


def read_findings(settings: Settings, *, min_cell: int = 0, latex: Latex = ()) -> tuple[list[TaskResults], list[str]]:
    """Read the results of each finding of a task; return those that have some, and the names of the others.

    The claims of all findings are one family: each of them knows the p of the others.

    Raises:
        BenchError: no finding has results.
    """
    specs = taskfile.each(settings.task)
    every = [read(replace(settings, task=one), min_cell=min_cell, latex=latex) for one in specs]
    lacking = [one.task.finding for one in every if not one.cells]
    every = [one for one in every if one.cells]
    hint = f"`{command('run', settings)}`"
    if not every:
        raise BenchError(f"no results of any finding of {settings.task} in {settings.results}: {hint} computes them")
    if lacking:
        print(f"findings without results: {', '.join(lacking)}: {hint} computes them", file=sys.stderr)
    return in_one_family(every), lacking


def in_one_family(every: Sequence[TaskResults]) -> list[TaskResults]:
    """Return the results of several findings, each of which counts the claims of the others as of its own family."""
    claims = [len(planned(one.results)) for one in every]
    linked = [replace(one, siblings=(sum(claims) - own, [])) for one, own in zip(every, claims, strict=True)]
    p = [_p(one) for one in linked]
    for number, one in enumerate(linked):
        one.siblings[1].extend(value for other, values in enumerate(p) if other != number for value in values)
    return linked


def _p(one: TaskResults) -> list[float]:
    tested = one.tested(one.results)
    family = {place_of(row) for row in planned(tested)}
    return [1.0 if isnan(row.p) else row.p for row in tested.rows if place_of(row) in family]


def beside_each_other(every: Sequence[TaskResults], lacking: Sequence[str] = ()) -> OverFindings:
    """Return the numbers of all findings beside each other."""
    tested = {one.task.finding: one.tested(one.results) for one in every}
    return over_findings(name_of(every[0].task.name), tested, tuple(lacking))


def shown(found: OverFindings) -> list[page.Shown]:
    """Return the table and the heat map over findings as they stand on a page."""
    made = {
        findings_table.NAME: {suffix: text.encode() for suffix, text in findings_table.files(found).items()},
        findings_table.MAP: findings_map.draw(found),
    }
    return [page.Shown(name, findings_table.SAYS[name], files) for name, files in made.items() if files]
