"""The page of several sites: each site's own tables, what they say together, and how to read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from math import isfinite

from bench.report.numbers.aggregate import BASELINE, SYNTHETIC
from bench.report.numbers.ranking import DECIMALS
from bench.report.numbers.suppression import POOLED, number_of
from bench.report.tables import main_table
from bench.report.tables.main_table import md
from bench.report.words.conclusions import findings
from bench.report.words.notes import SIGNS, listed, reading
from bench.share.merge import Merged, csv
from bench.share.pooled import pooled_csv
from bench.share.together import together_csv

TOGETHER = "together.csv"
"""A file that is there only with the predictions of every site."""


def files(merged: Merged) -> dict[str, bytes]:
    """Return the report by name of file: the page, the numbers of each site and those over sites."""
    found = {
        "merged.md": markdown(merged),
        "merged.csv": csv(merged),
        "pooled.csv": pooled_csv(merged.pooled, merged.results),
        **({TOGETHER: together_csv(merged.together, merged.info)} if merged.together else {}),
    }
    return {name: text.encode() for name, text in found.items()}


def markdown(merged: Merged) -> str:
    """The tables of all sites, the differences to Baseline over sites, notes and findings of each site."""
    info, sites = merged.info, list(merged.results)
    lines = [f"# {md(info.name)}: {len(sites)} sites", ""]
    lines += [f"**{SYNTHETIC}**", ""] if info.synthetic else []
    groups = f"{md(listed(info.group_names))} ({md(info.attribute_name)})"
    own = "Each site ran the task on images of its own; marks and ± are those of its own report."
    lines += [f"{md(info.says)} Disparities between {groups}. {own}", ""]
    for backbone in _backbones(merged):
        lines += [f"## {md(backbone)} backbone", "", *_sets(merged, backbone)]
    lines += ["## Over sites", "", *(f"{md(note)}\n" for note in _over_sites(merged)), *_differences(merged)]
    lines += _together(merged) if merged.together else []
    lines += ["## How to read this", "", *(f"- {md(note)}" for note in merged.remarks), ""]
    for site, results in merged.results.items():
        lines += [f"{md(site)}:", "", *(f"- {md(note)}" for note in reading(results)), ""]
    lines += ["## What the folds of each site support", ""]
    for site, results in merged.results.items():
        lines += [f"{md(site)}:", "", *(f"{md(finding)}\n" for finding in findings(results))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _backbones(merged: Merged) -> list[str]:
    return sorted({name for results in merged.results.values() for name in results.backbones})


def _sets(merged: Merged, backbone: str) -> list[str]:
    """A table per test set and site, `SITE/SET`, those of one name after each other."""
    lines, ran = [], {site: one for site, one in merged.results.items() if backbone in one.backbones}
    names = dict.fromkeys(name for one in ran.values() for name in one.info.ood)
    for name, site, results in [(name, *item) for name in names for item in ran.items() if name in item[1].info.ood]:
        block, size = main_table.block(results, backbone, (name,)), main_table.heads(results, (name,))[0][1]
        lines += [f"### {md(f'{site}/{name}')} ({md(size)})", ""]
        lines += _table(["method", *main_table.metric_titles(merged.info), "cost", "folds"])
        for line in block.lines:
            lines.append(_row([md(line.label), *map(_number, line.entries), line.cost, str(line.folds or "–")]))
        lines.append("")
    return lines


def _differences(merged: Merged) -> list[str]:
    """A table per test set and printed metric: the difference at each site, their mean, and where it is better."""
    lines: list[str] = []
    shown = [row for row in merged.pooled if row.metric in merged.info.columns]
    for (backbone, name, metric), group in groupby(shown, key=lambda row: (row.backbone, row.set, row.metric)):
        rows = list(group)
        title = f"{_place(merged, backbone, name)}: {merged.info.title(metric)}"
        lines += [
            "",
            f"### {md(title)}",
            "",
            *_table(["method", *map(md, merged.results), "mean", "range", "better at"]),
        ]
        for row in rows:
            numbers = [_signed(value) for value in (*row.differences.values(), row.mean)]
            spread = f"{_signed(min(row.known))} to {_signed(max(row.known))}" if isfinite(row.mean) else "–"
            better = f"{row.better} of {len(row.known)}" if row.known else "–"
            lines.append(_row([md(row.label), *numbers, spread, better]))
        everywhere = [row.label for row in rows if row.better == len(merged.results)]
        if any(len(row.known) == len(merged.results) for row in rows):
            lines += ["", md(f"Better than Baseline at every site: {listed(everywhere) or 'none'}.")]
    return [*lines, ""]


def _together(merged: Merged) -> list[str]:
    """A table per test set: all images of that name, each with the prediction of its own site."""
    says = (
        "Predictions of all sites as one set: each image keeps that of its own site, the model of fold k beside those "
        "of fold k elsewhere, an arbitrary pairing. AUC compares scores of different models; SPD and EOdds compare "
        "decisions. Large sites weigh more here than above. †: one class predicted for a whole site in some fold."
    )
    lines = ["## Images of all sites together", "", md(says)]
    for (backbone, name), group in groupby(merged.together, key=lambda row: (row.backbone, row.set)):
        rows = list(group)
        title = f"{_place(merged, backbone, name)} (n {number_of(rows[0].images, merged.info)})"
        lines += ["", f"### {md(title)}", "", *_table(["method", *main_table.metric_titles(merged.info), "folds"])]
        for row in rows:
            values = [row.metrics[metric] for metric in merged.info.columns]
            spreads = [f" ± {value.std:.{DECIMALS}f}" if isfinite(value.std) else "" for value in values]
            signs = [
                SIGNS["degenerate"] if row.degenerate and metric != POOLED else "" for metric in merged.info.columns
            ]
            numbers = [
                main_table.number(value.mean, DECIMALS) + spread + sign
                for value, spread, sign in zip(values, spreads, signs, strict=True)
            ]
            lines.append(_row([md(row.label), *numbers, str(max(value.n for value in values))]))
    return [*lines, ""]


def _place(merged: Merged, backbone: str, name: str) -> str:
    return f"{name}, {backbone}" if len(_backbones(merged)) > 1 else name


def _table(titles: Sequence[str]) -> list[str]:
    return [_row(titles), _row(["---", *["---:"] * (len(titles) - 1)])]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(entry: main_table.Entry) -> str:
    text = f"{entry.mean} ± {entry.std}" if entry.std else entry.mean
    return {"best": f"**{text}**", "second": f"<ins>{text}</ins>", "": text}[entry.mark] + entry.sign


def _signed(value: float) -> str:
    return f"{value:+.{DECIMALS}f}" if isfinite(value) else "–"


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
