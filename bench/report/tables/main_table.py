"""The main table as LaTeX, Markdown and CSV, from one description of its blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import isfinite, isnan
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.report.numbers.aggregate import IN_DOMAIN, SYNTHETIC, Results
from bench.report.numbers.levelling import SIGN
from bench.report.numbers.ranking import DECIMALS, Mark, Row
from bench.report.numbers.suppression import number_of
from bench.report.numbers.task_info import TaskInfo
from bench.report.words.conclusions import findings
from bench.report.words.notes import SIGNS, listed, reading
from bench.score.definitions import METRICS

SETS_ABREAST = 2
CSV = [
    *("task", "synthetic", "backbone", "method", "label", "spec", "set", "role", "metric", "direction"),
    *("mean", "std", "n", "folds", "degenerate", "excluded", "mark", "difference", "p", "p_holm", "separable"),
    "levelled_down",
    *("ci_low", "ci_high", "p_patients", "p_patients_holm", "separable_patients", "draws"),
]
"""Columns of main.csv; `role` is "ood", "val" or, for the cost, empty."""

_TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", '"': "''", "±": r"$\pm$", "−": "$-$"},
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "’": "'"},
    **{"†": r"$^\dagger$", "‡": r"$^\ddagger$", "§": r"$^\S$"},
}


@dataclass(frozen=True)
class Entry:
    """One number of the table as text: `std` is empty with fewer than two folds, `mean` is – when undefined."""

    mean: str
    std: str
    mark: Mark = ""
    sign: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a block: `entries` set by set, metric by metric."""

    label: str
    entries: tuple[Entry, ...]
    cost: str
    folds: int


@dataclass(frozen=True)
class Block:
    """Some sets side by side for one backbone; `title` says whether they are a test."""

    title: str
    sets: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Intervals:
    """Differences to Baseline on one set: a label and, metric by metric, difference and interval, or nothing."""

    title: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]


def blocks(results: Results, backbone: str, abreast: int) -> list[Block]:
    """The test sets of one backbone, some abreast, then the validation set on its own."""
    ood = results.info.ood
    groups = [ood[start : start + abreast] for start in range(0, len(ood), abreast)]
    return [block(results, backbone, sets) for sets in (*groups, (IN_DOMAIN,))]


def block(results: Results, backbone: str, sets: tuple[str, ...]) -> Block:
    """The printed block of one backbone and some sets."""
    columns = [results.column(backbone, name, metric) for name in sets for metric in results.info.columns]
    lines = [
        Line(cost.label, tuple(entry(row) for row in rows), number(cost.mean, 1), len(cost.values))
        for cost, *rows in zip(results.costs(backbone), *columns, strict=True)
    ]
    what = {IN_DOMAIN: "in-domain, partly seen by the methods; not a test"}.get(sets[0], "out-of-distribution")
    return Block(f"{', '.join(sets)}: {what}", sets, tuple(lines))


def entry(row: Row) -> Entry:
    """Mean and std of a row, three decimals, with its mark and sign."""
    std = number(row.std, DECIMALS) if isfinite(row.std) else ""
    return Entry(number(row.mean, DECIMALS), std, row.mark, SIGNS[row.excluded] or SIGN * row.levelled_down)


def number(value: float, decimals: int) -> str:
    """Fixed decimals, or – for what is undefined."""
    return f"{value:.{decimals}f}" if isfinite(value) else "–"


def intervals(results: Results) -> list[Intervals]:
    """Differences to Baseline over patients, where patients were redrawn: a block per backbone and test set."""
    found = []
    for backbone, name in ((backbone, name) for backbone in results.backbones for name in results.patients):
        columns = [results.column(backbone, name, metric) for metric in results.info.columns]
        lines = [(rows[0].label, tuple(map(_interval, rows))) for rows in zip(*columns, strict=True)]
        where = f"{name}, {backbone} backbone" if len(results.backbones) > 1 else name
        found.append(Intervals(where, tuple(line for line in lines if any(line[1]))))
    return [item for item in found if item.lines]


def _interval(row: Row) -> str:
    if not row.draws:
        return ""
    if isnan(row.ci_low):
        return f"too few draws ({row.draws})"
    return f"{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]{'*' if row.separable_patients else ''}"


def heads(results: Results, sets: tuple[str, ...]) -> list[tuple[str, str]]:
    """Name and size of each set, such as (`ood`, `n 800`)."""
    sizes = {
        name: " to ".join(dict.fromkeys(number_of(n, results.info) for n in (size.low, size.high)))
        for name, size in results.sizes.items()
    }
    return [(name, f"n {sizes[name]}" if name in sizes else "no images") for name in sets]


def metric_titles(info: TaskInfo) -> list[str]:
    """Titles of the printed metrics with the direction that is better."""
    arrows = {"up": " ↑", "down": " ↓", None: ""}
    return [info.title(name) + arrows[METRICS[name].direction] for name in info.columns]


def latex(results: Results) -> str:
    """A `table*` to \\input into a document that loads booktabs, with its notes, and the findings below it."""
    return render("main.tex.j2", _context(results, SETS_ABREAST))


def markdown(results: Results) -> str:
    """The same table, notes and findings for a page that renders Markdown."""
    return render("main.md.j2", _context(results, 1))


def csv(results: Results) -> str:
    """One row per backbone, spec, set and metric, every metric, full precision; NaN is empty."""
    table = pd.DataFrame([{name: getattr(row, name, "") for name in CSV} for row in results.rows], columns=CSV)
    table = table.assign(task=results.info.name, synthetic=results.info.synthetic, folds=results.folds)
    table["role"] = ["ood" if name in results.info.ood else name for name in table["set"]]
    return table.to_csv(index=False, lineterminator="\n")


def render(template: str, context: Mapping[str, object]) -> str:
    """Fill a template of this folder."""
    return _environment().get_template(template).render(context)


def tex(text: object) -> str:
    """Escape text for plain pdflatex; letters outside Latin-1 and control characters become a question mark."""
    return "".join(_TEX.get(sign, sign if sign.isascii() or _known(sign) else "?") for sign in _one_line(text))


def md(text: object) -> str:
    """Escape what Markdown or HTML would read as markup."""
    return re.sub(r"([\\`*_\[\]|<>&~$])", lambda match: _html(match.group(1)), _one_line(text))


def md_prose(text: object) -> str:
    """The same of a sentence, in which a command in backticks stays code."""
    return "".join(f"`{part}`" if code else md(part) for part, code in spans(text))


def tex_prose(text: object) -> str:
    """`tex` of a sentence, a command in backticks in typewriter."""
    return "".join(rf"\texttt{{{tex(part)}}}" if code else tex(part) for part, code in spans(text))


def spans(text: object) -> list[tuple[str, bool]]:
    """Cut a sentence into what stands in backticks, marked true, and what does not."""
    return [(part, bool(place % 2)) for place, part in enumerate(re.split("`([^`]+)`", _one_line(text))) if part]


def _one_line(text: object) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", str(text))


def _known(sign: str) -> bool:
    return sign.isalpha() and "À" <= sign <= "ÿ" and sign not in "ÐðÞþ"


def _html(sign: str) -> str:
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(sign, "\\" + sign)


def _context(results: Results, abreast: int) -> dict[str, object]:
    return {
        "info": results.info,
        "synthetic": SYNTHETIC if results.info.synthetic else "",
        "backbones": {
            backbone: [(item, heads(results, item.sets)) for item in blocks(results, backbone, abreast)]
            for backbone in results.backbones
        },
        "groups": listed(results.info.group_names),
        "metrics": metric_titles(results.info),
        "notes": reading(results),
        "findings": findings(results),
        "patients": intervals(results),
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    environment.filters |= {"tex": tex, "md": md, "md_prose": md_prose, "tex_prose": tex_prose}
    environment.filters |= {"slug": lambda text: re.sub(r"[^A-Za-z0-9-]+", "-", text)}
    return environment
