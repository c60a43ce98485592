"""What a person and a machine see of an examination."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from typing import Any

from bench import registry, taskfile
from bench.doctor.check_table import waterfall
from bench.doctor.examine import Examination, examine_dataset, examine_task
from bench.doctor.findings import CHECKS, LEVELS, Finding
from bench.errors import UnknownName
from bench.run.progress import counting
from bench.settings import Settings
from bench.spec import name_of
from bench.tasks import TASKS

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def run_doctor(settings: Settings, *, full: bool, as_json: bool) -> int:
    """Examine the task or dataset that the settings name and print what was found; 3 where it must not run.

    Raises:
        UnknownName: neither a task nor a dataset.
    """
    name = settings.task
    base = name_of(name)
    datasets = registry.DATASETS.catalogue(settings.plugins)
    with counting("images") as progress:
        if base.replace("-", "_") in datasets and base not in TASKS and not base.endswith(".toml"):
            spec = base.replace("-", "_") + name[len(base) :]
            found = examine_dataset(spec, settings, full=full, progress=progress)
        elif base in TASKS or base.endswith(".toml"):
            found = examine_task(taskfile.resolve(name), settings, full=full, progress=progress)
        else:
            raise UnknownName("task or dataset", name, [*TASKS, *datasets])
    if as_json:
        print(json.dumps(as_json_record(found), indent=1))
    else:
        _print(found, full)
    return 3 if found.failed else 0


def as_json_record(found: Examination) -> dict[str, Any]:
    """Return an examination for machines: counts, and images as hashes of a salt that is not kept."""
    salt = secrets.token_bytes(16)

    def hashed(one: str) -> str:
        return hashlib.sha256(salt + one.encode()).hexdigest()[:16]

    def text(finding: Finding) -> str:
        # Messages of plugins may name files and values of a table, which stay on this machine.
        quoted = finding.code < "D020" or finding.code == "D099"
        return CHECKS[finding.code].says + ": not so" if found.credentialed and quoted else finding.text

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
        "smallest_cells": cells,
        "disk": found.disk,
        "terms": found.terms,
    }


def _print(found: Examination, full: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)
    for name, counts in found.counts.items():
        table = Table(title=f"{name}: from rows to images in use", title_justify="left", box=None)
        table.add_column("")
        table.add_column("images", justify="right")
        for reason, n in waterfall(counts):
            table.add_row(reason, f"{n}")
        console.print(table)
        console.print(
            f"{counts.patients} patients (or lesions); columns: {', '.join(counts.columns)}",
            markup=False,
            soft_wrap=True,
        )
        if counts.paper:
            p = counts.paper
            console.print(
                f"paper {p['paper']}, here {p['used']}, difference {p['difference']}: {p['why']}", markup=False
            )
        for label, rate in counts.labels.items():
            shown = "-" if rate["rate"] is None else f"{rate['rate']:.1%}"
            console.print(f"{label}: {rate['positive']} of {rate['known']} ({shown})", markup=False, soft_wrap=True)
        for pair, cells in counts.cells.items():
            console.print(
                f"{pair}: " + "; ".join(f"{cell}: {n}" for cell, n in cells.items()), markup=False, soft_wrap=True
            )
        if len(counts.sources) > 1:
            by = Table("source", "images", *counts.labels, box=None)
            for source, facts in counts.sources.items():
                rates = ("-" if facts.get(one) is None else f"{facts[one]:.1%}" for one in counts.labels)
                by.add_row(source, str(facts["n"]), *rates)
            console.print(by)
        console.print(
            f"licence: {found.terms[name]['licence']}. {found.terms[name]['access']}", markup=False, soft_wrap=True
        )
        console.print()
    for line in found.cells:
        effect = f"; one image moves its rate by {line['points']:.1f} points" if line["n"] else ""
        console.print(
            f"smallest cell, {line['where']}: {line['cell']}: {line['n']}{effect}", markup=False, soft_wrap=True
        )
    if found.disk:
        console.print(f"image caches: {found.disk['needed'] / 1e9:.2f} GB more, {found.disk['free'] / 1e9:.2f} GB free")
    for finding in found.sorted_findings():
        ids = f" ({', '.join(finding.ids)})" if finding.ids else ""
        console.print(f"[{COLOURS[finding.level]}]{finding.code} {finding.level}[/]", end=" ")
        console.print(f"{finding.where}: {finding.text}{ids}", markup=False, soft_wrap=True)
        if finding.level != "note":
            console.print(f"     {CHECKS[finding.code].do}", markup=False, soft_wrap=True)
    counts = {level: sum(f.level == level for f in found.findings) for level in LEVELS}
    said = ", ".join(f"{n} {level}{'s' if n != 1 else ''}" for level, n in counts.items())
    decoded = "" if full else " Images were not decoded: --full looks at each."
    console.print(f"{found.name}: {said}.{decoded}", markup=False, soft_wrap=True)
