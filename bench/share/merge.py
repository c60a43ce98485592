"""`bench merge`: results of sites that ran one task, each on its own images, in one report.

Nothing is averaged over sites as if they were folds. Each test set keeps the numbers and marks that it has in the
report of its site, under the name of the site; what is said over sites stands apart (see `pooled`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bench.errors import UsageError
from bench.report.numbers.aggregate import Results
from bench.report.numbers.task_info import TaskInfo
from bench.report.render import table
from bench.report.render.text import listed
from bench.report.tables import main_table
from bench.report.task_results import Material
from bench.share.pooled import Pooled, pooled
from bench.share.sites import Sites, conflicts, remarks
from bench.share.together import Together, together


@dataclass(frozen=True)
class Merged:
    """The main table of each site, what they say together, and what a reader has to know of the sites."""

    results: Mapping[str, Results]
    pooled: Sequence[Pooled]
    together: Sequence[Together]
    remarks: Sequence[str]

    @property
    def info(self) -> TaskInfo:
        """What tables say about the task, with the test sets of the first site."""
        return next(iter(self.results.values())).info


def merge(sites: Sites, *, min_cell: int = 0) -> Merged:
    """Tabulate sites by name. What one of them withholds as small (`min_cell`), all withhold.

    Raises:
        UsageError: with every reason why these sites cannot be merged.
        BenchError: cells of a site that must not stand in one table.
    """
    if found := conflicts(sites):
        reasons = "".join(f"\n  {reason}" for reason in found)
        raise UsageError(f"{listed(sites)} cannot be merged:{reasons}")
    least = max(min_cell, *(site.info.min_cell for site in sites.values()))
    held = {name: _withholding(site, least) for name, site in sites.items()}
    results = {name: site.tested(site.results) for name, site in held.items()}
    try:
        scored = together(sites, results)
    except FileNotFoundError:  # predictions stayed at home
        scored = []
    return Merged(results, pooled(results), scored, remarks(sites))


def _withholding(site: Material, min_cell: int) -> Material:
    return replace(site, info=replace(site.info, min_cell=min_cell))


def csv(merged: Merged) -> str:
    """The columns of main.csv behind the name of the site; sets are called `SITE/SET`."""
    frames = []
    for site, results in merged.results.items():
        # As text: every digit stays as the report of the site has it.
        frame = pd.read_csv(io.StringIO(main_table.csv(results)), dtype=str, keep_default_na=False)
        frame.insert(0, "site", site)
        frames.append(frame.assign(set=[f"{site}/{name}" if name else "" for name in frame["set"]]))
    return table.csv(pd.concat(frames))
