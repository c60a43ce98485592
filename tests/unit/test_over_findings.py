"""Findings beside each other: averages, the worst finding, what is suppressed by name, and one family of claims."""

import dataclasses
import io

import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.reporting.figures import findings_map
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.over_findings import FEW, MACRO, WORST, over_findings
from bench.reporting.tables import findings_table
from tests.factory import record, scores, task_info

INFO = task_info(ood=("near",), folds=2)
FEW_ILL = {"younger": (60, 9), "older": (75, 25)}
MANY = {"younger": (60, 10), "older": (75, 25)}


def of_finding(gaps, aucs, groups=MANY, supported=()):
    """The results of one finding: a gap and an AUC for each method, and which methods' changes of the gap are claims."""
    cells = [
        record(spec, fold, scores={name: scores(groups, eodds=gap, auc=auc) for name in ("near", "val")})
        for (spec, gap), auc in zip(gaps.items(), aucs, strict=True)
        for fold in (0, 1)
    ]
    found = collect(cells, [], INFO)
    rows = [
        dataclasses.replace(row, supported=row.metric == "eodds" and row.spec in supported and row.set == "near")
        for row in found.rows
    ]
    return dataclasses.replace(found, rows=tuple(rows))


EVERY = {
    "effusion": of_finding({"baseline": 0.2, "llft": 0.1, "swift": 0.25}, (0.9, 0.8, 0.85), supported=("llft",)),
    "nodule": of_finding({"baseline": 0.3, "llft": 0.2, "swift": 0.1}, (0.7, 0.9, 0.65), supported=("swift",)),
    "rare": of_finding({"baseline": 0.5, "llft": 0.5, "swift": 0.5}, (0.6, 0.6, 0.6), groups=FEW_ILL),
}


def number(found, finding, spec, metric="eodds", column="mean"):
    frame = found.frame
    (value,) = frame.loc[(frame["finding"] == finding) & (frame["spec"] == spec) & (frame["metric"] == metric), column]
    return value


def test_the_macro_average_and_the_worst_finding_are_of_the_findings_that_are_shown():
    found = over_findings("films", EVERY)
    assert number(found, MACRO, "llft") == pytest.approx((0.1 + 0.2) / 2)
    assert number(found, MACRO, "llft", column="difference") == pytest.approx(-0.1)
    assert number(found, MACRO, "swift", "auc") == pytest.approx(0.75)
    assert (number(found, WORST, "swift"), number(found, WORST, "swift", column="of")) == (0.25, "effusion")
    assert (number(found, WORST, "llft", "auc"), number(found, WORST, "llft", "auc", "of")) == (0.8, "effusion")
    assert (number(found, WORST, "baseline", "auc"), number(found, WORST, "baseline", "auc", "of")) == (0.7, "nodule")


def test_a_set_with_few_images_of_a_class_in_a_group_is_suppressed_by_name():
    found = over_findings("films", EVERY)
    assert found.suppressed == {"rare": ("near",)}
    assert number(found, "rare", "llft", column="why") == FEW
    rare = found.frame[found.frame["finding"] == "rare"]
    assert rare[["mean", "std", "difference", "p"]].isna().all(axis=None)
    assert any(
        "Suppressed, because a group has fewer than 10 images of a class: rare on near." in line
        for line in findings_table.reading(found)
    )
    assert found.claims == 12, "what is suppressed counts, as a claim that was not found"


def test_a_method_without_a_number_of_a_finding_has_no_average():
    nan = float("nan")
    every = {**EVERY, "nodule": of_finding({"baseline": 0.3, "llft": nan, "swift": 0.1}, (0.7, 0.9, 0.65))}
    found = over_findings("films", every)
    assert pd.isna(number(found, MACRO, "llft"))
    assert number(found, MACRO, "llft", column="of") == "1 of 2 findings"
    assert number(found, MACRO, "swift") == pytest.approx(0.175)


def test_the_table_over_findings():
    found = over_findings("films", EVERY, ("mass",))
    files = findings_table.files(found)
    assert files["md"] == snapshot("""\
# films: findings

**SYNTHETIC PHANTOM DATA: these numbers say nothing about patients.**

## AUC on near

| method | effusion | nodule | rare | macro average | worst finding |
| --- | ---: | ---: | ---: | ---: | --- |
| Baseline | 0.900 ± 0.000 | 0.700 ± 0.000 | – | 0.800 | nodule (0.700) |
| LLFT | 0.800 ± 0.000 | 0.900 ± 0.000 | – | 0.850 | effusion (0.800) |
| SWiFT | 0.850 ± 0.000 | 0.650 ± 0.000 | – | 0.750 | nodule (0.650) |

## EOdds on near

| method | effusion | nodule | rare | macro average | worst finding |
| --- | ---: | ---: | ---: | ---: | --- |
| Baseline | 0.200 ± 0.000 | 0.300 ± 0.000 | – | 0.250 | nodule (0.300) |
| LLFT | 0.100 ± 0.000\\* | 0.200 ± 0.000 | – | 0.150 | nodule (0.200) |
| SWiFT | 0.250 ± 0.000 | 0.100 ± 0.000\\* | – | 0.175 | effusion (0.250) |

## Claims

One family of 12 claims over 3 findings: each method against Baseline in EOdds and AUC, on each test set and backbone; Holm's correction covers them all.

effusion: EOdds is better than Baseline's with LLFT on near (-0.100).

nodule: EOdds is better than Baseline's with SWiFT on near (-0.200).

## How to read this

- Methods mitigate one finding at a time. All findings share the images, the split of patients and one baseline, a network with an output for each.
- \\*: supported after Holm's correction over all findings.
- The macro average is the mean over the findings that are shown; the worst finding is the one with the largest gap or the lowest AUC. Neither is a claim. A method that lacks the number of a finding has neither.
- Suppressed, because a group has fewer than 10 images of a class: rare on near.
- Without results: mass.
""")
    table = pd.read_csv(io.StringIO(files["csv"]))
    assert set(table["finding"]) == {"effusion", "nodule", "rare", MACRO, WORST}
    assert len(table) == 3 * 2 * 5


def test_the_heat_map_shows_the_change_of_each_finding():
    files = findings_map.draw(over_findings("films", EVERY))
    assert set(files) == {"pdf", "png", "csv"}
    drawn = pd.read_csv(io.BytesIO(files["csv"]))
    assert set(drawn["spec"]) == {"llft", "swift"}
    assert set(drawn["finding"]) == {*EVERY, MACRO}
    assert files == findings_map.draw(over_findings("films", EVERY)), "the same bytes each time"
