"""Methods over all tasks: mean ranks, tests, and sentences on what they support."""

from __future__ import annotations

from math import isfinite, nan

from bench.report.numbers.across_tasks import Across, Ranked
from bench.report.numbers.aggregate import SYNTHETIC
from bench.report.render import table
from bench.report.render.document import Section
from bench.report.render.table import Column, Table
from bench.report.render.text import UNDEFINED, listed
from bench.score.statistics import LEVEL, separable

NAME = "across"
"""Name of the files."""
FEW = 10
"""The p of Friedman's test is rough with fewer blocks."""
COLUMNS = (Column("method", "left"), Column("mean rank", decimals=2), Column("p against Baseline"))


def sentences(item: Ranked) -> list[str]:
    """What the ranks of a metric support, in words."""
    where = f"{item.title} over {item.blocks} blocks"
    out = f" Left out, without a ranked number in every block: {listed(item.left_out)}." if item.left_out else ""
    if not isfinite(item.p):
        return [f"{where}: not tested; three methods with a number in every block and some difference are needed.{out}"]
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in item.ranks.items())
    rough = f" The p is rough with fewer than {FEW} blocks." if item.blocks < FEW else ""
    lines = [f"{where}: Friedman p = {item.p:.2g}. Mean ranks: {ranks}.{rough}{out}"]
    best, *others = item.ranks
    if not item.differs:
        return [*lines, f"No method is separable from another on {item.title} (p ≥ {LEVEL})."]
    same = [name for name in others if item.ranks[name] - item.ranks[best] <= item.difference]
    verdict = f"not separable from {listed(same)}" if same else "separable from every other method"
    lines.append(f"First on {item.title}: {best}, {verdict} (Nemenyi, critical difference {item.difference:.2f}).")
    if item.p_baseline:
        found = [
            f"{name} ({'better' if item.ranks[name] < item.ranks[item.baseline] else 'worse'})"
            for name in item.ranks
            if separable(item.p_baseline.get(name, nan))
        ]
        lines.append(f"Different from Baseline on {item.title} (Wilcoxon, Holm): {listed(found) or 'none'}.")
    return lines


def section(across: Across) -> Section:
    """Return the report text: ranks, tests, and how to read them."""
    notes = [
        "Rank 1 is best. Within a block ties share their middle rank; means are ranked as the tables print them.",
        f"Friedman's test says whether the methods differ at all (p < {LEVEL}); mean ranks further apart than the "
        "critical difference differ (Nemenyi). p against Baseline: Wilcoxon's signed-rank test, exact, Holm-adjusted.",
        "The tests take blocks for independent. Blocks of one test set, or of one baseline, are not: the evidence is "
        "less than the p says.",
        f"Blocks: {'; '.join(across.blocks)}.",
    ]
    metrics = [Section(item.title, [*_table(item), *sentences(item)]) for item in across.ranked]
    body = [across.says, *metrics, Section("How to read this", [notes])]
    return Section("Methods over tasks", body, SYNTHETIC if across.synthetic else "")


def _table(item: Ranked) -> list[Table]:
    rows = [[name, rank, _p(item, name)] for name, rank in item.ranks.items()]
    return [Table(COLUMNS, rows)] if rows else []


def csv(across: Across) -> str:
    """Return one row per metric and method, full precision; NaN is empty."""
    rows = [
        {
            "metric": item.metric,
            "blocks": item.blocks,
            "friedman": item.statistic,
            "p": item.p,
            "critical_difference": item.difference,
            "method": name,
            "rank": rank,
            "p_baseline": item.p_baseline.get(name, nan),
        }
        for item in across.ranked
        for name, rank in item.ranks.items()
    ]
    return table.csv(rows)


def _p(item: Ranked, name: str) -> str:
    p = item.p_baseline.get(name, nan)
    return f"{p:.2g}" if isfinite(p) else UNDEFINED
