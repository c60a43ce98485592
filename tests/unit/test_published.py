"""The published numbers: two readings that agree, and what they can be at all."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import registry
from bench.doctor.check_folds import part_sizes
from bench.reporting.numbers.published import COLUMNS, everything, published, sizes
from bench.running.plan import build_method
from bench.spec import describe, name_of
from bench.tasks import TASKS
from tests.published_reading import read

PAPER = Path(__file__).parents[2].parent / "shared" / "paper" / "swift-melba-2025.txt"


@pytest.mark.skipif(not PAPER.is_file(), reason=f"the paper's text is not at {PAPER}")
def test_a_reading_by_layout_finds_the_same_numbers() -> None:
    table = everything()
    found: dict[tuple[int, int, str], list[tuple[float, float]]] = {
        (number, block, spec): values for number, block, spec, values in read(PAPER.read_text(encoding="utf-8"))
    }
    expected: dict[tuple[int, int, str], list[tuple[float, float]]] = {}
    for number, rows in table.groupby("table"):
        for block, task in enumerate(rows["task"].unique(), start=1):
            for item in rows[rows["task"] == task].to_dict("records"):
                if not math.isnan(item["mean"]):  # lost in this text
                    key = (int(str(number)), block, item["key"])
                    expected.setdefault(key, []).append((item["mean"], item["std"]))
    assert found == expected
    assert sum(map(len, found.values())) == 557


def test_every_row_names_what_the_suite_has() -> None:
    table = everything()
    assert list(table.columns) == COLUMNS
    assert len(table) == 558
    assert not table.duplicated(["key", "table", "task", "backbone", "test_set", "metric"]).any()
    for item in table.to_dict("records"):
        task = TASKS[item["task"]]
        assert item["test_set"] in task.ood
        assert item["backbone"] in task.backbones
        assert item["method"] == build_method(item["key"].partition(":")[0]).title
    # The rate of the hard mask is not printed, so that no setting of the suite is known to be the same.
    for spec in set(table["key"]) - {"swift:mask=hard"}:
        assert describe(name_of(spec), registry.METHODS.build(spec)) == spec


def test_numbers_are_possible() -> None:
    table = everything()
    read_values = table[table["mean"].notna()]
    assert read_values["mean"].between(0, 1).all()
    # The largest std (ddof 1) of n numbers from 0 upwards is their mean times the root of n.
    gaps = read_values[read_values["metric"].isin(["spd", "eodds", "gap_auc"])]
    assert (gaps["std"] - 5e-4 <= (gaps["mean"] + 5e-4) * gaps["n"] ** 0.5).all()
    missing = table[table["mean"].isna()]
    assert missing["note"].str.len().min() > 0


def test_baselines_that_are_printed_twice_agree() -> None:
    """The classifier is the same whichever attribute is mitigated, and so is SWiFT in every table that repeats it."""
    table = everything()
    aucs = table[(table["key"] == "baseline") & (table["metric"] == "auc")]
    assert (aucs.groupby(["backbone", "test_set"])["mean"].nunique() == 1).all()
    swift = table[(table["key"] == "swift") & table["mean"].notna()]
    repeated = swift.groupby(["task", "backbone", "test_set", "metric"])[["mean", "std"]].nunique()
    assert (repeated == 1).all(axis=None)


def test_the_numbers_of_a_task_and_backbone() -> None:
    numbers = published("cxr-age", "resnet50")
    assert not numbers.duplicated(["key", "test_set", "metric"]).any()  # Tables 7 and 9 repeat SWiFT
    assert set(numbers[numbers["key"] == "swift"]["table"]) == {3}
    assert set(numbers["table"]) == {3, 7, 9}
    row = numbers[(numbers["key"] == "swift") & (numbers["test_set"] == "chexpert") & (numbers["metric"] == "eodds")]
    assert (row["mean"].item(), row["std"].item()) == (0.025, 0.008)
    assert len(numbers) == 10 * 2 * 3 + 3 * 3
    assert published("cxr-age:preset=paper", "resnet50").equals(numbers)
    assert published("phantom-cxr-age", "small").empty


def test_sets_of_a_fold_are_those_of_the_text() -> None:
    """Training and validation images are all of a source: 56,863 and 76,878 (`docs/datasets.md`)."""
    for task in TASKS:
        if TASKS[task].source.dataset in ("isic", "mimic_cxr"):
            found = sizes(f"{task}:preset=paper")
            whole = {"isic": 56_863, "mimic_cxr": 76_878}[TASKS[task].source.dataset]
            assert found["train"] + found["val"] == whole
            assert ("external" in found) is not TASKS[task].attribute.grouped
    assert sizes("phantom-cxr-age") == {}
    assert sizes("cxr-age")["external"] == 10_360
    assert sizes()["chexpert"] == 21_040


@pytest.mark.skipif(not PAPER.is_file(), reason=f"the paper's text is not at {PAPER}")
def test_sizes_of_sets_are_printed_in_the_paper() -> None:
    text = PAPER.read_text(encoding="utf-8").replace(",", "")
    for task in ("", "skin-tone", "skin-gender", "cxr-gender", "cxr-age"):
        for n in sizes(task).values():
            assert str(n) in text


@pytest.mark.parametrize(
    ("name", "synthetic", "paper"), [("cxr-age:preset=paper", False, 10_360), ("cxr-age", True, 0)]
)
def test_the_doctor_sets_the_sets_of_a_fold_beside_those_of_the_paper(name: str, synthetic: bool, paper: int) -> None:
    def split(part: str, fold: int) -> range:
        return range({"train": 80, "val": 20, "external": 10}[part] + fold)

    data: Any = SimpleNamespace(synthetic=synthetic, task=SimpleNamespace(name=name, folds=5), split=split)
    found = {line["set"]: (line["low"], line["high"], line["paper"]) for line in part_sizes(data)}
    assert found.get("external") == ((10, 14, paper) if paper else None)
    assert len(found) == (3 if paper else 0)
