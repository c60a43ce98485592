"""`bench report --from` and `bench merge`: from archives and folders of results to files."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.cells.identity import slug
from bench.errors import DataMissing, UsageError
from bench.report import put
from bench.report.reports import report_results
from bench.report.tables import terminal
from bench.report.task_results import TaskResults, read
from bench.run.history import remembered
from bench.share.merge import merge
from bench.share.merged_page import TOGETHER, files
from bench.share.read_export import opened


def report_archive(file: Path, reports: Path, *, min_cell: int = 0) -> int:
    """Write and print the report of an export, the same bytes as at home where its cells are all that it needs."""
    with opened(file, min_cell=min_cell) as material:
        report_results(material, reports / slug(material.task.name))
    return 0


def merge_sites(
    sites: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    task: str | None = None,
    out: Path | None = None,
    min_cell: int = 0,
    plugins: tuple[Path, ...] = (),
) -> int:
    """Write the merged report of sites, archives or folders of results, and print its files.

    Raises:
        UsageError: fewer than two sites, names that do not fit, or every reason why they cannot be merged.
        DataMissing, DataInvalid: a site that is not there or cannot be read.
    """
    if len(sites) < 2:
        raise UsageError("merge: two sites or more expected, each an archive of `bench export` or a folder of results")
    called = _names(sites, names)
    with ExitStack() as stack:
        read_sites = {
            name: stack.enter_context(opened(site)) if site.is_file() else _results(site, task, plugins)
            for name, site in zip(called, sites, strict=True)
        }
        merged = merge(read_sites, min_cell=min_cell)
        contents = files(merged)
    place = out or Path("reports") / f"{slug(merged.info.name)}-merged"
    for note in merged.remarks:
        print(f"note: {note}", file=sys.stderr)
    for site, results in merged.results.items():
        print(f"{site}:")
        terminal.show(results)
    for file in put(place, contents, TOGETHER):
        print(file)
    return 0


def _names(sites: Sequence[Path], names: Sequence[str] | None) -> list[str]:
    called = list(names or (re.sub(r"\.(tar\.gz|tgz)$", "", site.absolute().name) for site in sites))
    if len(called) != len(sites):
        raise UsageError(f"--names: {len(called)} for {len(sites)} sites; one for each, in their order")
    wrong = [name for name in called if not re.fullmatch(r"\w[\w.+@-]*", name)]
    if wrong:
        raise UsageError(f"site '{wrong[0]}': letters, digits, - and _ expected; --names gives others")
    if len(set(called)) < len(called):
        raise UsageError(f"sites are called {', '.join(called)}: give each its own name by --names")
    return called


def _results(site: Path, task: str | None, plugins: tuple[Path, ...]) -> TaskResults:
    """Read the task that a folder of results has runs of, with the settings of the last one."""
    if not site.is_dir():
        raise DataMissing(f"site {site}", get_it="It is an archive of `bench export` or a folder of results.")
    runs = remembered(site.absolute(), task)
    if len(runs) != 1:
        found = ", ".join(runs) or "none"
        raise UsageError(f"{site}: runs of one task expected, not of {found}: name one by --task, or export it there")
    settings = next(iter(runs.values()))[-1]
    return read(dataclasses.replace(settings, plugins=(*settings.plugins, *plugins)))
