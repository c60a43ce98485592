"""The report of several sites: each site's own tables, what they say together, and how to read it."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from math import isfinite

from bench.report.numbers.aggregate import BASELINE, SYNTHETIC
from bench.report.numbers.ranking import DECIMALS
from bench.report.numbers.suppression import POOLED, number_of
from bench.report.render.document import Section, markdown
from bench.report.render.table import Column, Entry, Table, Value
from bench.report.render.text import UNDEFINED, listed, signed
from bench.report.tables.main_table import METHOD, block, heads, metric_columns
from bench.report.words.conclusions import findings
from bench.report.words.notes import SIGNS, reading
from bench.share.merge import Merged, Pooled, csv, pooled_csv
from bench.share.together import Together, together_csv

TOGETHER = "together.csv"
"""A file that is there only with the predictions of every site."""


def files(merged: Merged) -> dict[str, bytes]:
    """Return the report by name of file: the page, the numbers of each site and those over sites."""
    found = {
        "merged.md": markdown(section(merged)),
        "merged.csv": csv(merged),
        "pooled.csv": pooled_csv(merged.pooled, merged.results),
        **({TOGETHER: together_csv(merged.together, merged.info)} if merged.together else {}),
    }
    return {name: text.encode() for name, text in found.items()}


def section(merged: Merged) -> Section:
    """Return the tables of all sites, the differences to Baseline over sites, notes and findings of each site."""
    info, each = merged.info, merged.results.items()
    groups = f"{listed(info.group_names)} ({info.attribute_name})"
    own = "Each site ran the task on images of its own; marks and ± are those of its own report."
    notes = [block for site, results in each for block in (f"{site}:", reading(results))]
    support = [block for site, results in each for block in (f"{site}:", *findings(results))]
    body = [
        f"{info.says} Disparities between {groups}. {own}",
        *(Section(f"{backbone} backbone", _sets(merged, backbone)) for backbone in _backbones(merged)),
        Section("Over sites", [*_over_sites(merged), *_differences(merged)]),
        *([Section("Images of all sites together", _together(merged))] if merged.together else []),
        Section("How to read this", [merged.remarks, *notes]),
        Section("What the folds of each site support", support),
    ]
    return Section(f"{info.name}: {len(each)} sites", body, SYNTHETIC if info.synthetic else "")


def _backbones(merged: Merged) -> list[str]:
    return sorted({name for results in merged.results.values() for name in results.backbones})


def _sets(merged: Merged, backbone: str) -> list[Table]:
    """A table per test set and site, `SITE/SET`, those of one name after each other."""
    ran = {site: one for site, one in merged.results.items() if backbone in one.backbones}
    names = dict.fromkeys(name for one in ran.values() for name in one.info.ood)
    tables = []
    for name, site, results in [(name, *item) for name in names for item in ran.items() if name in item[1].info.ood]:
        title = f"{site}/{name} ({heads(results, (name,))[name]})"
        tables.append(replace(block(results, backbone, (name,), shared=False), title=title))
    return tables


def _differences(merged: Merged) -> list[Table | str]:
    """A table per test set and printed metric: the difference at each site, their mean, and where it is better."""
    found: list[Table | str] = []
    columns = [
        METHOD,
        *(Column(site, signed=True) for site in merged.results),
        Column("mean", signed=True),
        Column("range"),
        Column("better at"),
    ]
    shown = [row for row in merged.pooled if row.metric in merged.info.columns]
    for (backbone, name, metric), group in groupby(shown, key=lambda row: (row.backbone, row.set, row.metric)):
        rows = list(group)
        title = f"{_place(merged, backbone, name)}: {merged.info.title(metric)}"
        found.append(Table(columns, [_difference(row) for row in rows], title))
        everywhere = [row.label for row in rows if row.better == len(merged.results)]
        if any(len(row.known) == len(merged.results) for row in rows):
            found.append(f"Better than Baseline at every site: {listed(everywhere) or 'none'}.")
    return found


def _difference(row: Pooled) -> list[Value]:
    low, high = (signed(end, DECIMALS) for end in row.range)
    spread = f"{low} to {high}" if isfinite(row.mean) else UNDEFINED
    better = f"{row.better} of {len(row.known)}" if row.known else UNDEFINED
    return [row.label, *row.differences.values(), row.mean, spread, better]


def _together(merged: Merged) -> list[str | Table]:
    """A table per test set: all images of that name, each with the prediction of its own site."""
    says = (
        "Predictions of all sites as one set: each image keeps that of its own site, the model of fold k beside those "
        "of fold k elsewhere, an arbitrary pairing. AUC compares scores of different models; SPD and EOdds compare "
        "decisions. Large sites weigh more here than above. †: one class predicted for a whole site in some fold."
    )
    tables = []
    for (backbone, name), group in groupby(merged.together, key=lambda row: (row.backbone, row.set)):
        rows = list(group)
        title = f"{_place(merged, backbone, name)} (n {number_of(rows[0].images, merged.info)})"
        columns = [METHOD, *metric_columns(merged.info), Column("folds")]
        tables.append(Table(columns, [_scored(row, merged.info.columns) for row in rows], title))
    return [says, *tables]


def _scored(row: Together, metrics: tuple[str, ...]) -> list[Value]:
    entries = [
        Entry(
            row.metrics[metric].mean,
            row.metrics[metric].std,
            sign=SIGNS["degenerate"] * (row.degenerate and metric != POOLED),
        )
        for metric in metrics
    ]
    return [row.label, *entries, max(row.metrics[metric].n for metric in metrics)]


def _place(merged: Merged, backbone: str, name: str) -> str:
    return f"{name}, {backbone}" if len(_backbones(merged)) > 1 else name


def _over_sites(merged: Merged) -> list[str]:
    notes = [
        "Difference to Baseline, each site's own: paired over its folds, on its own test set of that name. The mean is "
        "plain, one site one observation; how far the sites are apart stands beside it. A few sites carry no test and "
        "no interval, and sets of one name need not be alike."
    ]
    if not merged.pooled:
        notes.append("No test set has one name at two sites: nothing is taken over sites.")
    lacking = [site for site, one in merged.results.items() if not any(row.method == BASELINE for row in one.rows)]
    return notes + [f"Without results of Baseline there are no differences: {listed(lacking)}."] * bool(lacking)
