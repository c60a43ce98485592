"""Methods over all tasks: mean ranks, tests, and sentences on the conclusions that they support."""

from __future__ import annotations

from math import isfinite, nan

from bench.reporting.numbers.across_tasks import Across, Ranked
from bench.reporting.numbers.aggregate import SYNTHETIC
from bench.reporting.render import table
from bench.reporting.render.document import Section
from bench.reporting.render.table import Column, Table
from bench.reporting.render.text import UNDEFINED, listed
from bench.scoring.statistics import LEVEL, supported

NAME = "across"
"""Name of the files."""
FEW = 10
"""With fewer blocks the p of Friedman's test is only approximate."""
COLUMNS = (Column("method", "left"), Column("mean rank", decimals=2), Column("p against Baseline"))


def sentences(item: Ranked) -> list[str]:
    """Return the conclusions that the ranks of a metric support, in words."""
    where = f"{item.title} over {item.blocks} blocks"
    out = f" Left out, without a ranked number in every block: {listed(item.left_out)}." if item.left_out else ""
    if not isfinite(item.p):
        return [f"{where}: not tested; three methods with a number in every block and some difference are needed.{out}"]
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in item.ranks.items())
    rough = f" The p is approximate with fewer than {FEW} blocks." if item.blocks < FEW else ""
    lines = [f"{where}: Friedman p = {item.p:.2g}. Mean ranks: {ranks}.{rough}{out}"]
    best, *others = item.ranks
    if not item.differs:
        return [*lines, f"No two methods are told apart on {item.title} (p ≥ {LEVEL})."]
    same = [name for name in others if item.ranks[name] - item.ranks[best] <= item.difference]
    verdict = f"{'not told apart from' if same else 'apart from'} {listed(same) or 'every other method'}"
    lines.append(f"First on {item.title}: {best}, {verdict} (Nemenyi, critical difference {item.difference:.2f}).")
    if item.p_baseline:
        found = [
            f"{name} ({'better' if item.ranks[name] < item.ranks[item.baseline] else 'worse'})"
            for name in item.ranks
            if supported(item.p_baseline.get(name, nan))
        ]
        lines.append(f"Different from Baseline on {item.title} (Wilcoxon, Holm): {listed(found) or 'none'}.")
    return lines


def section(across: Across) -> Section:
    """Return the report text: ranks, tests, and how to read them."""
    notes = [
        "Rank 1 is best. Ties within a block share the mean of their ranks; means are ranked as the tables print them.",
        f"Friedman's test asks whether the methods differ at all (p < {LEVEL}). If so, mean ranks that are further "
        "apart than the critical difference differ (Nemenyi). p against Baseline: Wilcoxon's signed-rank test, exact, "
        "Holm-adjusted.",
        "The tests assume independent blocks. Blocks of the same test set or the same baseline are not independent: "
        "the evidence is weaker than the p suggests.",
        f"Blocks: {'; '.join(across.blocks)}.",
    ]
    metrics = [Section(item.title, [*_table(item), *sentences(item)]) for item in across.ranked]
    body = [across.says, *metrics, Section("How to read this", [notes])]
    return Section("Methods over tasks", body, SYNTHETIC if across.synthetic else "")


def _table(item: Ranked) -> list[Table]:
    p = {name: f"{p:.2g}" for name, p in item.p_baseline.items() if isfinite(p)}
    rows = [[name, rank, p.get(name, UNDEFINED)] for name, rank in item.ranks.items()]
    return [Table(COLUMNS, rows)] if rows else []


def csv(across: Across) -> str:
    """Return one row per metric and method in full precision; NaN is empty."""
    columns = ["metric", "blocks", "friedman", "p", "critical_difference", "method", "rank", "p_baseline"]
    rows = [
        (item.metric, item.blocks, item.statistic, item.p, item.difference, name, rank, item.p_baseline.get(name, nan))
        for item in across.ranked
        for name, rank in item.ranks.items()
    ]
    return table.csv(rows, columns)
