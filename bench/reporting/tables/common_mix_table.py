"""Gaps of EOdds as they are and at a common mix of each further attribute: a table for each backbone and test set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from bench.reporting.numbers.aggregate import warning_of
from bench.reporting.numbers.common_mix import CommonMix, Mixed
from bench.reporting.numbers.display_names import display_name
from bench.reporting.render import document
from bench.reporting.render.document import Float, Section
from bench.reporting.render.table import Column, Table, Value, csv
from bench.reporting.render.text import listed, number, signed
from bench.reporting.tables.main_table import METHOD, apart, marked
from bench.reporting.task_results import TaskResults
from bench.reporting.words.notes import REASONS, SIGNS
from bench.scoring.standardised import LEAST, METRIC


def files(task: TaskResults) -> dict[str, str]:
    """Return the table by suffix; nothing if no further attribute is known."""
    found, info = task.common_mix, task.info
    if not found.mixed:
        return {}
    tables, notes, warning = _tables(task, found), reading(task, found), warning_of(info)
    title = f"{info.name}: gaps at a common mix of other attributes"
    section = Section(title, [*tables, Section("How to read this", [notes])], warning)
    caption = f"{info.description[:-1]}: EOdds at a common mix of other attributes."
    floats = [Float(caption, f"{info.name}-common-mix", tables, notes, warning, wide=True)] if tables else []
    return {
        **document.written(section),
        **({"tex": document.latex(floats, plain="plain" in info.latex)} if floats else {}),
        "csv": csv(found.numbers),
    }


def _tables(task: TaskResults, found: CommonMix) -> list[Table]:
    results, tables = task.results, []
    keys = ("backbone", "set", "spec", "column")
    known = {tuple(one[key] for key in keys): one for one in found.numbers.to_dict("records")}
    for backbone, name in results.places:
        columns = [one.column for one in found.mixed if one.set == name and not one.why]
        shown = [
            row for row in results.costs(backbone) if any((backbone, name, row.spec, of) in known for of in columns)
        ]
        heads = [METHOD]
        for column in columns:
            titles = ("as it is", f"common {column}", "change", "against Baseline")
            heads += [Column(title, "centre", group=f"EOdds, {column}") for title in titles]
        rows = [
            [marked(row), *(value for of in columns for value in _values(known.get((backbone, name, row.spec, of))))]
            for row in shown
        ]
        tables += [Table(heads, rows, results.named(name, display_name(backbone)), apart(shown))] if shown else []
    return tables


def _values(one: Mapping[Any, Any] | None) -> list[Value]:
    if one is None:
        return [None] * 4
    sign = SIGNS.get(one["why"], "")
    first = _with_ends(one, "gap", number)
    others = [
        _with_ends(one, name, how) for name, how in (("common", number), ("change", signed), ("difference", signed))
    ]
    return [first and first + sign, *others]


def _with_ends(one: Mapping[Any, Any], name: str, printed: Callable[[float, int], str]) -> str | None:
    value, low, high = (one[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not isfinite(value):
        return None
    return printed(value, 3) + (f" [{printed(low, 3)}, {printed(high, 3)}]" if isfinite(low) else "")


def reading(task: TaskResults, found: CommonMix) -> list[str]:
    """Return how to read the table: what is weighted, which strata are left out, and what is not shown and why."""
    info = task.info
    notes = [
        "A gap may come from the mix of images: one group may have more images of a view, a site or a diagnosis that "
        "is hard for every model. At a common mix, TPR and FPR of each group are means of those within the strata, "
        "weighted by the mix of all groups together among images of that label. What is left is a gap within strata.",
        f"{info.title(METRIC)} as it is: of the same images. Change: the gap at the common mix less the gap as it is. "
        "Against Baseline: both at the common mix.",
        f"In brackets: 95 % intervals over {info.unit}, from the same bootstrap samples as in the main table, with the "
        "mix of the test set. They are not adjusted for their number, and nothing here is claimed. The interval of a "
        "gap that cannot be told from 0 begins at 0.",
        f"A stratum enters for a label if every group has at least {LEAST} images of it. A common mix takes away what "
        "the strata differ in, and nothing else.",
        *(f"{SIGNS[why]} Not compared: {says}." for why, says in REASONS.items() if why in set(found.numbers["why"])),
        *(_strata(one, info.label_names) for one in found.mixed),
    ]
    lacking = [name for name in task.task.also if name not in {one.column for one in found.mixed}]
    if lacking:
        notes.append(f"Not known for these images: {listed(lacking)}. `bench run` reads them where the images are.")
    return notes


def _strata(one: Mixed, labels: Sequence[str]) -> str:
    """Return the strata of an attribute on a set, and those that are left out with their images."""
    if one.mix is None:
        return f"{one.column} on {one.set}: not shown ({one.why})."
    parts = []
    for label, name in enumerate(labels):
        enter = [stratum for stratum, enters in zip(one.strata, one.mix.enters[:, label], strict=True) if enters]
        left = [f"{stratum} ({n} images)" for stratum, n in one.left_out(label).items()]
        parts.append(f"{name}: {listed(enter) or 'none'}" + (f", without {listed(left)}" if left else ""))
    unknown = f"; group or stratum not known of {one.unknown} images" if one.unknown else ""
    return f"{one.column} on {one.set}: {'; '.join(parts)}{unknown}{f'; {one.why}' if one.why else ''}."
