"""Methods over all tasks: mean ranks and tests on them, from our results or from the published numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan

import pandas as pd

from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.published import MAIN_TABLES, PAPER, everything
from bench.reporting.numbers.ranking import DECIMALS
from bench.reporting.numbers.task_info import TWO_GROUPS
from bench.scoring.definitions import METRICS
from bench.scoring.ranks import cliques, critical_difference, friedman, signed_rank
from bench.scoring.statistics import holm, supported


@dataclass(frozen=True)
class Ranked:
    """One metric over all blocks; NaN if it is not tested.

    `ranks` are by method, best first. `p_baseline` are the Holm-adjusted p against Baseline, empty without Baseline.
    `left_out` are the methods without a ranked number in some block.
    """

    metric: str
    blocks: int
    ranks: dict[str, float]
    p: float
    statistic: float
    difference: float
    p_baseline: dict[str, float]
    left_out: tuple[str, ...]
    baseline: str

    @property
    def title(self) -> str:
        """Title of the metric."""
        return METRICS[self.metric].title

    @property
    def differs(self) -> bool:
        """Whether Friedman's test finds a difference."""
        return supported(self.p)


@dataclass(frozen=True)
class Across:
    """The ranks of methods over tasks; `blocks` are named as task, backbone, test set."""

    says: str
    synthetic: bool
    blocks: tuple[str, ...]
    ranked: tuple[Ranked, ...]


def ours(results: Iterable[Results]) -> Across | None:
    """Rank the methods with default parameters over the tasks of two groups; None with fewer than two blocks.

    The `results` are either all real or all synthetic. Rows that their own table does not rank are not ranked.
    """
    kept = [item for item in results if item.info.columns == TWO_GROUPS]
    rows = [
        (f"{item.info.name}, {row.backbone}, {row.set}", row)
        for item in kept
        for row in item.rows
        if row.set in item.info.ood and row.metric in TWO_GROUPS and row.spec == row.method
    ]
    records = [(name, row.metric, row.method, row.label, nan if row.excluded else row.mean) for name, row in rows]
    frame = pd.DataFrame(records, columns=["block", "metric", "method", "title", "mean"])
    return _across("Results of this suite.", any(item.info.synthetic for item in kept), frame)


def theirs() -> Across:
    """Rank the methods over the paper's own numbers: Tables 1-4."""
    table = everything()
    rows = table[table["table"].isin(MAIN_TABLES)]
    blocks = rows["task"] + ", " + rows["backbone"] + ", " + rows["test_set"]
    frame = rows.assign(block=blocks, title=rows["method"], method=rows["key"])
    found = _across(f"Numbers as printed in {PAPER}, Tables 1-4; nothing was run here.", False, frame)
    assert found is not None
    return found


def lines_of(item: Ranked) -> list[tuple[float, float]]:
    """Return the sets of methods that do not differ from each other, as intervals of mean ranks."""
    return cliques(list(item.ranks.values()), item.difference if item.differs else float("inf"))


def _across(says: str, synthetic: bool, frame: pd.DataFrame) -> Across | None:
    blocks = tuple(frame["block"].unique())
    if len(blocks) < 2:
        return None
    ranked = tuple(_ranked(metric, frame[frame["metric"] == metric]) for metric in TWO_GROUPS)
    return Across(says, synthetic, blocks, ranked)


def _ranked(metric: str, records: pd.DataFrame) -> Ranked:
    table = records.pivot(index="block", columns="title", values="mean").round(DECIMALS)
    left_out = tuple(name for name in records["title"].unique() if table[name].isna().any())
    table = table.drop(columns=list(left_out))
    baseline = next(iter(records[records["method"] == BASELINE]["title"]), "")
    blocks, methods = table.shape
    if methods < 3 or not (direction := METRICS[metric].direction):
        return Ranked(metric, blocks, {}, nan, nan, nan, {}, left_out, baseline)
    found = friedman(table.to_numpy(), direction)
    ranks = dict(sorted(zip(table.columns, found.ranks, strict=True), key=lambda pair: pair[1]))
    difference = critical_difference(methods, blocks)
    others = [name for name in table.columns if name != baseline] if baseline in table else []
    tested = dict(zip(others, holm([signed_rank(table[name], table[baseline]) for name in others]), strict=True))
    return Ranked(metric, blocks, ranks, found.p, found.statistic, difference, tested, left_out, baseline)
