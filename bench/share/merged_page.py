"""`bench merge`: the report of several sites, with each site's own tables and a summary over sites."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from math import isfinite
from pathlib import Path

from bench.cells.identity import slug
from bench.errors import DataMissing, UsageError
from bench.reporting.numbers.aggregate import BASELINE, warning_of
from bench.reporting.numbers.ranking import DECIMALS
from bench.reporting.numbers.suppression import POOLED, number_of
from bench.reporting.render.document import Section, markdown
from bench.reporting.render.table import Column, Entry, Table, Value
from bench.reporting.render.text import UNDEFINED, listed, signed
from bench.reporting.reports import put
from bench.reporting.tables import terminal
from bench.reporting.tables.main_table import METHOD, block, heads, metric_columns
from bench.reporting.task_results import TaskResults, read
from bench.reporting.words.conclusions import findings
from bench.reporting.words.notes import SIGNS, reading
from bench.running.history import remembered, trusted
from bench.share.merge import Merged, Pooled, Together, csv, merge, pooled_csv, together_csv
from bench.share.read_export import opened

TOGETHER = "together.csv"
"""A file that is written only if the predictions of every site are available."""


def merge_sites(
    sites: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    task: str | None = None,
    out: Path | None = None,
    min_cell: int = 0,
    plugins: tuple[Path, ...] = (),
) -> int:
    """Write the merged report of sites, each an export or a folder of results, and print the names of its files.

    Raises:
        UsageError: with fewer than two sites, wrong names, or every reason why the sites cannot be merged.
        DataMissing, DataInvalid: if a site does not exist or cannot be read.
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
    for note in merged.remarks:
        print(f"note: {note}", file=sys.stderr)
    for site, results in merged.results.items():
        print(f"{site}:")
        terminal.show(results)
    for file in put(out or Path("reports") / f"{slug(merged.info.name)}-merged", contents, TOGETHER):
        print(file)
    return 0


def _names(sites: Sequence[Path], names: Sequence[str] | None) -> list[str]:
    called = list(names or (re.sub(r"\.(tar\.gz|tgz)$", "", site.absolute().name) for site in sites))
    if len(called) != len(sites):
        raise UsageError(f"--names: {len(called)} names for {len(sites)} sites; give one for each site, in their order")
    wrong = [name for name in called if not re.fullmatch(r"\w[\w.+@-]*", name)]
    if wrong:
        raise UsageError(f"site name '{wrong[0]}': letters, digits, - and _ expected; choose other names with --names")
    if len(set(called)) < len(called):
        raise UsageError(f"sites are called {', '.join(called)}: give each a different name with --names")
    return called


def _results(site: Path, task: str | None, plugins: tuple[Path, ...]) -> TaskResults:
    """Read the results of the only task in a folder, or of `task`, with the settings of its last run."""
    if not site.is_dir():
        raise DataMissing(f"site {site}", get_it="A site is an archive of `bench export` or a folder of results.")
    runs = remembered(site.absolute(), task)
    if len(runs) != 1:
        found = ", ".join(runs) or "none"
        raise UsageError(f"{site}: runs of one task expected, found {found}: choose one with --task or export it there")
    (settings,) = trusted(next(iter(runs.values()))[-1:], plugins)
    return read(settings)


def files(merged: Merged) -> dict[str, bytes]:
    """Return the files of the report by name: the page, the numbers of each site and those over sites."""
    found = {"merged.md": markdown(section(merged)), "merged.csv": csv(merged), "pooled.csv": pooled_csv(merged)}
    if merged.together:
        found[TOGETHER] = together_csv(merged)
    return {name: text.encode() for name, text in found.items()}


def section(merged: Merged) -> Section:
    """Return the tables of all sites, the differences to Baseline over sites, and notes and findings of each site."""
    info, each = merged.info, merged.results.items()
    backbones = sorted({name for results in merged.results.values() for name in results.backbones})
    groups = f"{listed(info.group_names)} ({info.attribute_name})"
    own = "Each site ran the task on its own images. Marks and ± are those of the report of the site."
    notes = [text for site, results in each for text in (f"{site}:", reading(results))]
    support = [text for site, results in each for text in (f"{site}:", *findings(results))]
    several = len(backbones) > 1
    body = [
        f"{info.says} Disparities between the groups {groups}. {own}",
        *(Section(f"{backbone} backbone", _sets(merged, backbone)) for backbone in backbones),
        Section("Over sites", [*_over_sites(merged), *_differences(merged, several)]),
        *([Section("Images of all sites together", _together(merged, several))] if merged.together else []),
        Section("How to read this", [merged.remarks, *notes]),
        Section("What is supported at each site", support),
    ]
    return Section(f"{info.name}: {len(each)} sites", body, warning_of(info))


def _sets(merged: Merged, backbone: str) -> list[Table]:
    """Return a table for each test set and site, `SITE/SET`; sets of one name follow each other."""
    ran = {site: one for site, one in merged.results.items() if backbone in one.backbones}
    names = dict.fromkeys(name for one in ran.values() for name in one.info.ood)
    tables = []
    for name, site, results in [(name, *item) for name in names for item in ran.items() if name in item[1].info.ood]:
        title = f"{site}/{name} ({heads(results, (name,))[name]})"
        tables.append(dataclasses.replace(block(results, backbone, (name,), shared=False), title=title))
    return tables


def _over_sites(merged: Merged) -> list[str]:
    notes = [
        "Differences to Baseline: each site's difference is paired over its folds, on its own test set of that name. "
        "The mean is unweighted, so each site counts as one observation; the range shows how far the sites differ. "
        "A few sites do not support a test or an interval, and test sets of one name need not be alike."
    ]
    if not merged.pooled:
        notes.append("No two sites have a test set of the same name, so nothing is summarised over sites.")
    lacking = [site for site, one in merged.results.items() if not any(row.method == BASELINE for row in one.rows)]
    return notes + [f"Without results of Baseline there are no differences: {listed(lacking)}."] * bool(lacking)


def _differences(merged: Merged, several: bool) -> list[Table | str]:
    """Return a table for each test set and printed metric: differences by site, their mean, sites that are better."""
    found: list[Table | str] = []
    over = [Column("mean", signed=True), Column("range"), Column("better at")]
    columns = [METHOD, *(Column(site, signed=True) for site in merged.results), *over]
    shown = [one for one in merged.pooled if one.row.metric in merged.info.columns]
    for (backbone, name, metric), group in groupby(shown, lambda one: (one.row.backbone, one.row.set, one.row.metric)):
        rows = list(group)
        title = f"{name}, {backbone}" if several else name
        found.append(Table(columns, [_difference(one) for one in rows], f"{title}: {merged.info.title(metric)}"))
        everywhere = [one.row.label for one in rows if one.better == len(merged.results)]
        if any(len(one.known) == len(merged.results) for one in rows):
            found.append(f"Better than Baseline at every site: {listed(everywhere) or 'none'}.")
    return found


def _difference(one: Pooled) -> list[Value]:
    low, high = (signed(end, DECIMALS) for end in one.range)
    spread = f"{low} to {high}" if isfinite(one.mean) else UNDEFINED
    better = f"{one.better} of {len(one.known)}" if one.known else UNDEFINED
    return [one.row.label, *one.differences.values(), one.mean, spread, better]


def _together(merged: Merged, several: bool) -> list[str | Table]:
    """Return a table for each test set: all images of that name, each with the prediction of its own site."""
    says = (
        "Predictions of all sites, scored as one set. Each image keeps the prediction of its own site. Fold k of one "
        "site is paired with fold k of the others, which is arbitrary. AUC compares scores of different models; SPD "
        "and EOdds compare decisions. Large sites weigh more here than above. †: the model of some site predicts one "
        "class for its whole set in some fold."
    )
    columns = [METHOD, *metric_columns(merged.info), Column("folds")]
    tables = []
    for (backbone, name), group in groupby(merged.together, key=lambda one: (one.row.backbone, one.set)):
        rows = list(group)
        title = f"{name}, {backbone}" if several else name
        title = f"{title} (n {number_of(rows[0].images, merged.info)})"
        tables.append(Table(columns, [_scored(one, merged.info.columns) for one in rows], title))
    return [says, *tables]


def _scored(one: Together, metrics: tuple[str, ...]) -> list[Value]:
    means = {metric: one.metrics[metric] for metric in metrics}
    signs = {metric: SIGNS["degenerate"] for metric in metrics if one.degenerate and metric != POOLED}
    entries = [Entry(found.mean, found.std, sign=signs.get(metric, "")) for metric, found in means.items()]
    return [one.row.label, *entries, max(found.n for found in means.values())]
