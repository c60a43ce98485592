"""Our numbers of a task beside those that were published, or why the two cannot be compared.

Rule: a number lies within the spread where |ours - published| <= std published + std ours. That is a yardstick and no
test: the paper has no folds to pair ours with, and does not say which std it prints.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from bench.report.numbers.aggregate import Results
from bench.report.numbers.published import PAPER, everything, published, sizes
from bench.report.numbers.ranking import Row
from bench.report.numbers.task_info import TaskInfo
from bench.score.definitions import METRICS
from bench.spec import label, name_of

OTHER_IMAGES = 0.05
"""Sets whose numbers of images differ by a larger share are not the same set."""
SYNTHETIC = "Published numbers are of patients: they are not shown beside synthetic data."
_BESIDE = {"eodds": ("eodds", "eodds_signed")}
# Which of both the paper printed is not known (D22).


@dataclass(frozen=True)
class Line:
    """One published number and ours; `verdict` is yes, no, or why there is none; `note` is on the published one."""

    backbone: str
    set: str
    metric: str
    spec: str
    label: str
    ours: float
    ours_std: float
    ours_n: int
    published: float
    published_std: float
    difference: float
    verdict: str
    table: int
    note: str


@dataclass(frozen=True)
class Comparison:
    """All published numbers of a task on the backbones that were run, and how to read them."""

    info: TaskInfo
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def compare(results: Sequence[Results]) -> Comparison | None:
    """Set the tables of one real task, the main one first, beside the paper's; None where it has no such task.

    None on synthetic data too, whatever the task is called.
    """
    main = results[0]
    if main.info.synthetic:
        return None
    rows = {(row.backbone, row.set, row.metric, row.spec): row for part in reversed(results) for row in part.rows}
    # The paper names no rate of its hard mask: ours of any rate are no answer to it.
    settled = {spec.rpartition(",")[0] for *_, spec in rows}
    lines = [
        line
        for backbone in main.backbones
        for item in published(main.info.name, backbone).to_dict("records")
        for metric in _BESIDE.get(item["metric"], (item["metric"],))
        for line in [_line(item, metric, rows.get((backbone, item["test_set"], metric, item["key"])), main, settled)]
    ]
    if not lines:
        return None
    order = {name: place for place, name in enumerate(METRICS)}
    lines.sort(key=lambda line: (line.backbone, main.info.ood.index(line.set), order[line.metric]))
    return Comparison(main.info, tuple(lines), tuple(_notes(lines, main)))


def withheld_from(info: TaskInfo) -> str:
    """The line that says why a task of the paper has no published numbers here; empty for others."""
    known = name_of(info.name) in set(everything()["task"])
    return f"{SYNTHETIC}\n" if info.synthetic and known else ""


def _line(item: dict[Hashable, Any], metric: str, row: Row | None, main: Results, settled: Set[str]) -> Line:
    theirs, std = item["mean"], item["std"]
    ours, ours_std = (row.mean, row.std) if row else (nan, nan)
    difference = ours - theirs
    # Numbers of three decimals: what is equal on paper must not differ by a binary digit.
    inside = abs(difference) <= std + ours_std + 1e-9
    verdict = _why_not(row, theirs, item["test_set"], main) or ("yes" if inside else "no")
    if row is None and item["key"] in settled:
        verdict = "setting not said"
    return Line(
        backbone=item["backbone"],
        set=item["test_set"],
        metric=metric,
        spec=item["key"],
        label=label(item["method"], item["key"]),
        ours=ours,
        ours_std=ours_std,
        ours_n=row.n if row else 0,
        published=theirs,
        published_std=std,
        difference=difference,
        verdict=verdict,
        table=item["table"],
        note=item["note"],
    )


def _why_not(row: Row | None, theirs: float, name: str, main: Results) -> str:
    if row is None or not row.values:
        return "not run"
    if row.excluded == "withheld":
        return "withheld"
    if row.excluded == "degenerate":
        return "degenerate"
    if not isfinite(row.mean):
        return "undefined"
    if not isfinite(theirs):
        return "not legible"
    if not isfinite(row.std):
        return "one fold"
    size, paper = main.sizes.get(name), sizes()[name]
    return "other images" if size and abs(size.low - paper) > OTHER_IMAGES * paper else ""


def _notes(lines: Sequence[Line], main: Results) -> list[str]:
    decided = [line for line in lines if line.verdict in ("yes", "no")]
    inside = sum(line.verdict == "yes" for line in decided)
    reasons = sorted({line.verdict for line in lines} - {"yes", "no"})
    rest = ", ".join(f"{sum(line.verdict == reason for line in lines)} {reason}" for reason in reasons)
    metrics = {line.metric for line in lines}
    kept = [name for name in main.info.ood if name in main.sizes and name not in main.withheld]
    counts = [(name, main.sizes[name].low, sizes()[name]) for name in kept if name in sizes()]
    runnable = everything()[everything()["task"] == name_of(main.info.name)]["backbone"].unique()
    missing = [name for name in runnable if name not in main.backbones]
    return [
        f"Published: {PAPER}. Within the spread: |ours - published| is at most std published + std ours. That is no "
        "test; the paper does not say which std it prints, ours has ddof 1.",
        f"{inside} of {len(decided)} numbers lie within the spread{f'; not compared: {rest}' if rest else ''}.",
        *(["The paper prints no formula of EOdds (D22): its numbers stand beside two of ours."] * ("eodds" in metrics)),
        *(
            f"{name}: {here} images here, {there} in the paper"
            + (": not the same images, not compared." if abs(here - there) > OTHER_IMAGES * there else ".")
            for name, here, there in counts
            if here != there
        ),
        *([f"Not run: {', '.join(missing)}."] if missing else []),
    ]
