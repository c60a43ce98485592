"""Our numbers of a task beside the published ones, or the reason why the two cannot be compared.

Rule: a number is within the spread if |ours - published| <= std published + std ours. This is a yardstick and no test:
the paper has no folds to pair with ours, and does not say which std it prints.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import pandas as pd

from bench.errors import UsageError
from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.published import PAPER, everything, published, sizes
from bench.reporting.numbers.ranking import Row
from bench.reporting.numbers.task_info import TaskInfo
from bench.running.plan import preset_of, under, within
from bench.scoring.definitions import METRICS
from bench.spec import label, name_of

OTHER_IMAGES = 0.05
"""Sets whose numbers of images differ by a larger share are different sets."""
SYNTHETIC = "Published numbers are of patients: they are not shown beside synthetic data."
COLUMNS = [
    *("backbone", "set", "metric", "spec", "label", "ours", "ours_std", "ours_n", "published", "published_std"),
    *("difference", "verdict", "table", "note"),
]
"""Columns of the numbers, see `Comparison`."""
_RENAMED = {"test_set": "set", "key": "spec", "mean": "published", "std": "published_std"}
_BESIDE = {"eodds": ("eodds", "eodds_signed")}
# The paper does not say which of the two it prints (D22).


@dataclass(frozen=True)
class Comparison:
    """All published numbers of a task on the backbones that were run, and how to read them.

    `numbers` has a row for each published number and metric of ours: backbone, set, metric, spec, label, ours,
    ours_std, ours_n (folds), published, published_std, difference, verdict (yes, no, or why there is none), table and
    note (on the published number).
    """

    info: TaskInfo
    numbers: pd.DataFrame
    notes: tuple[str, ...]


def compare(results: Sequence[Results]) -> Comparison | None:
    """Compare the tables of one task, the main one first, with the paper's.

    None for synthetic data, and if the paper has no such task.
    """
    main = results[0]
    if main.info.synthetic:
        return None
    rows = {(row.backbone, row.set, row.metric, row.spec): row for part in reversed(results) for row in part.rows}
    # The paper gives no rate for its hard mask, so none of our rates is comparable.
    preset = preset_of(main.info.name)
    settled = {within(spec, preset).rpartition(",")[0] for *_, spec in rows}
    own = {key: _own(key, preset) for key in everything()["key"].unique()}
    numbers = [
        _number(item, metric, rows.get((backbone, item["set"], metric, own.get(item["spec"], ""))), main, settled)
        for backbone in main.backbones
        for item in published(main.info.name, backbone).rename(columns=_RENAMED).to_dict("records")
        for metric in _BESIDE.get(item["metric"], (item["metric"],))
    ]
    if not numbers:
        return None
    order = {name: place for place, name in enumerate(METRICS)}
    numbers.sort(key=lambda one: (one["backbone"], main.info.ood.index(one["set"]), order[one["metric"]]))
    frame = pd.DataFrame(numbers, columns=COLUMNS)
    return Comparison(main.info, frame, tuple(_notes(frame, main)))


def _own(key: str, preset: str) -> str:
    """Return the spec of our row for a published key; the key itself if it leaves open what a method needs."""
    try:
        return under(key, preset)
    except UsageError:
        return key


def why_not_published(info: TaskInfo) -> str:
    """Return why a task of the paper has no published numbers here, as a line; empty for other tasks."""
    known = name_of(info.name) in set(everything()["task"])
    return f"{SYNTHETIC}\n" if info.synthetic and known else ""


def _number(
    item: dict[Hashable, Any], metric: str, row: Row | None, main: Results, settled: Set[str]
) -> dict[Hashable, Any]:
    ours, ours_std, ours_n = (row.mean, row.std, row.n) if row else (nan, nan, 0)
    difference = ours - item["published"]
    # Numbers of three decimals: a difference in the last binary digit must not matter.
    inside = abs(difference) <= item["published_std"] + ours_std + 1e-9
    verdict = _why_not(row, item["published"], item["set"], main) or ("yes" if inside else "no")
    if row is None and item["spec"] in settled:
        verdict = "setting not said"
    found = {"ours": ours, "ours_std": ours_std, "ours_n": ours_n, "difference": difference, "verdict": verdict}
    return {**item, "metric": metric, "label": label(item["method"], item["spec"]), **found}


def _why_not(row: Row | None, theirs: float, name: str, main: Results) -> str:
    """Return why a number cannot be compared; empty if it can."""
    if row is None or not row.values:
        return "not run"
    if row.excluded in ("suppressed", "degenerate"):
        return row.excluded
    if not isfinite(row.mean):
        return "undefined"
    if not isfinite(theirs):
        return "not legible"
    if not isfinite(row.std):
        return "one fold"
    size, paper = main.sizes.get(name), sizes()[name]
    return "other images" if size and abs(size.low - paper) > OTHER_IMAGES * paper else ""


def _notes(numbers: pd.DataFrame, main: Results) -> list[str]:
    verdicts = numbers["verdict"].value_counts().sort_index().to_dict()
    inside, outside = verdicts.pop("yes", 0), verdicts.pop("no", 0)
    rest = ", ".join(f"{count} {reason}" for reason, count in verdicts.items())
    kept = [name for name in main.info.ood if name in main.sizes and name not in main.suppressed]
    counts = [(name, main.sizes[name].low, sizes()[name]) for name in kept if name in sizes()]
    runnable = everything()[everything()["task"] == name_of(main.info.name)]["backbone"].unique()
    missing = [name for name in runnable if name not in main.backbones]
    formula = "The paper prints no formula of EOdds (D22): its numbers are compared with two of ours."
    return [
        f"Published: {PAPER}. Within the spread: |ours - published| is at most std published + std ours. That is no "
        "test; the paper does not say which std it prints, ours has ddof 1.",
        f"{inside} of {inside + outside} numbers are within the spread{f'; not compared: {rest}' if rest else ''}.",
        *([formula] if (numbers["metric"] == "eodds").any() else []),
        *(
            f"{display_name(name)}: {here} images here, {there} in the paper"
            + (": not the same images, not compared." if abs(here - there) > OTHER_IMAGES * there else ".")
            for name, here, there in counts
            if here != there
        ),
        *([f"Not run: {', '.join(missing)}."] if missing else []),
    ]
