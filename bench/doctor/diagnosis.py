"""`bench doctor`: runs an examination and prints its result, for people or as JSON."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bench import registry, taskfile
from bench.doctor.examine import Examination, examine_dataset, examine_task
from bench.doctor.findings import CHECKS, LEVELS, Finding, advice
from bench.errors import UnknownName, number_of
from bench.running.progress import counting
from bench.settings import Settings
from bench.spec import name_of
from bench.tasks import TASKS

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def run_doctor(settings: Settings, *, full: bool, as_json: bool) -> int:
    """Examine the task or dataset that the settings name, print the result and return the exit code: 3 with an error.

    Raises:
        UnknownName: the name is neither a task nor a dataset.
    """
    name = settings.task
    base = name_of(name)
    datasets = registry.DATASETS.catalogue(settings.plugins)
    with counting("images") as progress:
        if base.replace("-", "_") in datasets and base not in TASKS and not base.endswith(".toml"):
            spec = base.replace("-", "_") + name[len(base) :]
            found = examine_dataset(spec, settings, full=full, progress=progress)
        elif base in TASKS or base.endswith(".toml"):
            every = taskfile.each(name)
            found = examine_task([replace(settings, task=one) for one in every], full=full, progress=progress)
        else:
            raise UnknownName("task or dataset", name, [*TASKS, *datasets])
    if as_json:
        print(json.dumps(as_json_record(found), indent=1))
    else:
        _print(found, full)
    return 3 if found.failed else 0


def as_json_record(found: Examination) -> dict[str, Any]:
    """Return an examination as JSON: counts and findings, images as hashes with a salt that is not stored."""
    salt = secrets.token_bytes(16)
    datasets = {name: source.dataset for name, source in found.sources.items()}
    credentialed = any(dataset.credentialed for dataset in datasets.values())

    def hashed(one: str) -> str:
        return hashlib.sha256(salt + one.encode()).hexdigest()[:16]

    def text(finding: Finding) -> str:
        # Errors of plugins may quote files and values of a table, which must not leave this machine.
        quoted = finding.code < "D020" or finding.code == "D099"
        return f"does not hold: {CHECKS[finding.code]['says']}" if credentialed and quoted else finding.text

    findings = [
        {"code": f.code, "level": f.level, "where": f.where, "text": text(f), "ids": [hashed(one) for one in f.ids]}
        for f in found.sorted_findings()
    ]
    cells = [{**line, "points": line["points"] if line["n"] else None} for line in found.cells]
    return {
        "name": found.name,
        "failed": found.failed,
        "findings": findings,
        "counts": {name: vars(counts) for name, counts in found.counts.items()},
        "set_sizes": found.parts,
        "smallest_cells": cells,
        "disk": found.disk,
        "terms": {name: {"access": data.access, "licence": data.licence} for name, data in datasets.items()},
    }


def _print(found: Examination, full: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    for name, counts in found.counts.items():
        table = Table(title=f"{name}: from rows to images in use", title_justify="left", box=None)
        table.add_column("")
        table.add_column("images", justify="right")
        table.add_row("rows", str(counts.rows))
        for reason, n in counts.reasons.items():
            table.add_row(reason, str(-n))
        table.add_row("used", str(counts.used))
        console.print(table)
        say(f"{counts.patients} patients (or lesions); columns: {', '.join(counts.columns)}")
        if counts.paper:
            say("paper {paper}, here {used}, difference {difference}: {why}".format(**counts.paper))
        for label, rate in counts.labels.items():
            say(f"{label}: {rate['positive']} of {rate['known']} ({_percent(rate['rate'])})")
        for pair, cells in counts.cells.items():
            say(f"{pair}: " + "; ".join(f"{cell}: {n}" for cell, n in cells.items()))
        if counts.ties:
            say("ties (log odds ratios) of the generated images, planted and found:")
            console.print(_ties(counts.ties))
        if len(counts.sources) > 1:
            by = Table("source", "images", *counts.labels, box=None)
            for source, facts in counts.sources.items():
                by.add_row(source, str(facts["n"]), *(_percent(facts.get(label)) for label in counts.labels))
            console.print(by)
        say(f"licence: {found.sources[name].dataset.licence}. {found.sources[name].dataset.access}\n")
    for line in found.sets:
        say(line)
    for part in found.parts:
        images = " to ".join(dict.fromkeys(str(part[key]) for key in ("low", "high")))
        say(f"{part['set']}: {images} images in a fold; paper {part['paper']}")
    for line in found.cells:
        effect = f"; one image changes its rate by {line['points']:.1f} points" if line["n"] else ""
        say(f"smallest cell, {line['where']}: {line['cell']}: {line['n']}{effect}")
    if found.disk:
        say(f"image caches: {found.disk['needed'] / 1e9:.2f} GB more, {found.disk['free'] / 1e9:.2f} GB free")
    for finding in found.sorted_findings():
        ids = f" ({', '.join(finding.ids)})" if finding.ids else ""
        console.print(f"[{COLOURS[finding.level]}]{finding.code} {finding.level}[/]", end=" ")
        say(f"{finding.where}: {finding.text}{ids}")
        if finding.level != "note":
            source = found.sources.get(finding.where)
            of_task = {name_of(one.spec) for one in ([source] if source else found.sources.values())}
            say("     " + advice(finding.code, found.settings, of_task.pop() if len(of_task) == 1 else "NAME"))
    counts = {level: sum(f.level == level for f in found.findings) for level in LEVELS}
    totals = ", ".join(number_of(n, level) for level, n in counts.items())
    say(f"{found.name}: {totals}." + ("" if full else " Images were not decoded; --full decodes all of them."))


def _ties(ties: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("", box=None)
    for column in ("planted", "found", "standard error"):
        table.add_column(column, justify="right")
    for tie in ties:
        numbers = [(tie["planted"], "+.2f"), (tie["found"], "+.2f"), (tie["error"], ".2f")]
        table.add_row(tie["tie"], *("-" if number is None else format(number, how) for number, how in numbers))
    return table


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
