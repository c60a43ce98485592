"""Which table a row stands in, and the files of ablations."""

import pytest
from inline_snapshot import snapshot

from bench.methods.swift import SWiFT
from bench.reporting.numbers.ablations import ablated, split
from bench.reporting.numbers.task_info import label_of
from bench.reporting.reports import write
from bench.tasks import TASKS
from tests import factory
from tests.factory import task_info
from tests.prose import lines_with
from tests.unit.fabricated import task_results

TASK = TASKS["phantom-cxr-age"]
INFO = task_info(says="Finding on demo images.", ood=("near",))
OWN = '''"""Own: a method from outside.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass
from typing import Literal

from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class Own(Method):
    """From outside."""

    title = "Own"
    uses = frozenset({"external"})
    mask: Literal["hard", "soft"] = option("hard", "A choice.")

    def fit(self, run):
        return run.model
'''


def cells(*specs, folds=2):
    sets = {name: factory.scores() for name in ("near", "val")}
    return [factory.record(spec, fold, row=1, scores=sets) for spec in specs for fold in range(folds)]


def failure(spec):
    return factory.failure(*cells(spec, folds=1))


def rows(tables):
    return {table.name: sorted({item.cell.spec for item in [*table.cells, *table.failures]}) for table in tables}


def test_a_single_choice_is_an_ablation_and_a_number_is_not():
    assert ablated("swift") == []
    assert ablated("swift:apply=update") == ["apply"]
    assert ablated("diff_prune:dynamic=False") == ["dynamic"]
    assert ablated("swift:epsilon=0.3") == []
    assert ablated("swift:epsilon=0.3,apply=update") == []
    assert ablated("swift:apply=nonsense") == ablated("gone:apply=update") == []


def test_named_settings_are_those_of_an_ablation(monkeypatch):
    monkeypatch.setattr(SWiFT, "ablations", {"epsilon": ("epsilon=0.3", "apply=update, epsilon=0.5"), "apply": ()})
    assert ablated("swift:epsilon=0.3") == ["epsilon"]
    assert ablated("swift:epsilon=0.5,apply=update") == ["epsilon"]
    assert ablated("swift:epsilon=0.7") == []
    assert ablated("swift:apply=update") == [], "the parameter names its settings, and this is none of them"


def test_settings_of_an_ablation_stand_beside_baseline_and_the_defaults():
    found = cells("baseline", "swift", "diff_prune", "swift:steps=first", "swift:epsilon=0.3")
    assert rows(split(found, [], TASK)) == {
        "main": ["baseline", "diff_prune", "swift", "swift:epsilon=0.3"],
        "ablation-swift-steps": ["baseline", "swift", "swift:steps=first"],
    }
    assert [table.part for table in split(found, [], TASK)] == ["", "SWiFT, steps"]
    assert rows(split(cells("baseline", "swift"), [], TASK)) == {"main": ["baseline", "swift"]}


def test_a_setting_that_only_failed_is_named_in_its_own_table():
    tables = split(cells("baseline", "swift"), [failure("swift:steps=first"), failure("swift")], TASK)
    assert [len(table.failures) for table in tables] == [1, 2]


def test_companions_stay_in_the_main_table_and_alone_make_no_other(monkeypatch):
    monkeypatch.setattr(SWiFT, "companions", lambda self, recipe: ("apply=update",))
    found = cells("baseline", "swift", "swift:apply=update")
    assert rows(split(found, [], TASK)) == {"main": ["baseline", "swift", "swift:apply=update"]}


def test_a_plugin_from_outside_stays_in_the_main_table(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    found = cells("baseline", "own", "own:mask=soft")
    assert list(rows(split(found, [], TASK, (tmp_path / "own.py",)))) == ["main"]


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ("swift", "SWiFT"),
        ("swift:mask=hard,rate=0.5", "SWiFT (mask hard, rate 0.5)"),
        ("diff_prune:dynamic=False", "DiffPrune (dynamic no)"),
        ("swift:keep_rate=None", "SWiFT (keep rate None)"),
    ],
)
def test_labels_name_parameters_in_words(spec, label):
    assert label_of(factory.changed(*cells(spec.partition(":")[0], folds=1), spec=spec).cell) == label


def test_files_of_ablations(tmp_path):
    found = cells("baseline", "swift", "diff_prune", "swift:steps=first")
    files = write(task_results(found, [], INFO), tmp_path)
    named = [file.name for file in files if file.name.startswith("ablation-")]
    assert named == [f"ablation-swift-steps.{kind}" for kind in ("tex", "md", "csv")]
    text = (tmp_path / "ablation-swift-steps.md").read_text()
    assert text.startswith("# demo: SWiFT, steps\n\n**SYNTHETIC")
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")][:4] == [
        "| method",
        "| ---",
        "| Baseline",
        "| SWiFT",
    ]
    assert "| SWiFT (steps first) |" in text
    assert "DiffPrune" not in text
    assert lines_with(text, "## ") == snapshot(
        [
            "## small backbone",
            "### near: out-of-distribution (n 200)",
            "### val: in-domain, partly seen by the methods; not a test (n 200)",
            "## How to read this",
            "## What is supported",
        ]
    )
    assert "steps first" not in (tmp_path / "main.md").read_text()
    labels = [
        (tmp_path / f"{name}.tex").read_text().partition("\\label{")[2].partition("}")[0]
        for name in ("main", "ablation-swift-steps")
    ]
    assert labels == ["tab:demo-small", "tab:demo-small-SWiFT-steps"]
    before = {file: file.read_bytes() for file in files}
    write(task_results(found[::-1], [], INFO), tmp_path)
    assert {file: file.read_bytes() for file in files} == before

    # Without its settings there is no such table any more.
    (tmp_path / "notes.md").write_text("mine")
    write(task_results(split(found, [], TASK)[0].cells, [], INFO), tmp_path)
    assert not list(tmp_path.glob("ablation-*"))
    assert (tmp_path / "notes.md").exists()
    assert (tmp_path / "main.md").read_bytes() == before[tmp_path / "main.md"]
