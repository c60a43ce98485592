"""Grids of settings on the command line, their ablation tables, and the file of all numbers."""

import pytest

from bench.errors import UsageError
from bench.reporting.numbers.ablations import split
from bench.reporting.tables import tidy_table
from bench.running.plan import method_specs
from bench.spec import split_specs
from bench.tasks import TASKS
from tests.factory import record, scores, task_info
from tests.unit.fabricated import task_results

TASK = TASKS["phantom-cxr-age"]


def test_a_grid_is_a_spec_for_each_combination():
    assert split_specs("swift:epsilon=[0.05,0.1],mask=hard,rate=[0.2, 0.4],bmft") == [
        "swift:epsilon=0.05,mask=hard,rate=0.2",
        "swift:epsilon=0.05,mask=hard,rate=0.4",
        "swift:epsilon=0.1,mask=hard,rate=0.2",
        "swift:epsilon=0.1,mask=hard,rate=0.4",
        "bmft",
    ]
    assert split_specs("swift:epsilon=[0.05,0.2]@tuned") == ["swift:epsilon=0.05@tuned", "swift:epsilon=0.2@tuned"]
    assert method_specs("llft,swift:mask=[soft,random]") == ["llft", "swift", "swift:mask=random"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "swift:epsilon=[]",
            r"epsilon=\[\] in 'swift:epsilon=\[\]': a list of values expected, such as epsilon=\[1,2\]",
        ),
        ("swift:epsilon=[0.1,]", "a list of values expected"),
        ("swift:epsilon=[0.1,0.2", "a list of values expected|write parameter=value|unknown"),
        ("swift:epsilon=[0.1,0.1]", "gives a value twice"),
        (f"swift:epsilon=[{','.join(map(str, range(101)))}]", "has 101 settings; at most 100"),
        ("swift:epsilon=[0.1,2]", "a number from 0 to 1 expected"),
        ("swift:epsilonn=[0.1,0.2]", "did you mean epsilon"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(text, says):
    with pytest.raises(UsageError, match=says):
        method_specs(text)


def cells(*specs):
    by_set = {name: scores() for name in ("near", "far", "val")}
    return [record(spec, fold, seed=seed, scores=by_set) for spec in specs for fold in (0, 1) for seed in (0, 1)]


def tables(*specs):
    return {one.name: sorted({item.cell.spec for item in one.cells}) for one in split(cells(*specs), [], TASK)}


def test_settings_of_a_grid_have_a_table_of_their_own():
    found = tables("baseline", "swift", "llft", "swift:epsilon=0.05", "swift:epsilon=0.2", "swift:epochs=7")
    assert found == {
        "main": ["baseline", "llft", "swift", "swift:epochs=7"],
        "ablation-swift-epsilon": ["baseline", "swift", "swift:epsilon=0.05", "swift:epsilon=0.2"],
    }


def test_a_grid_of_two_parameters_and_of_a_plugin_has_one_too():
    found = tables("baseline", "mine", "mine:k=1,p=0.1", "mine:k=2,p=0.1", "mine:k=3")
    assert found == {
        "main": ["baseline", "mine", "mine:k=3"],
        "ablation-mine-k-p": ["baseline", "mine", "mine:k=1,p=0.1", "mine:k=2,p=0.1"],
    }


def test_more_settings_of_a_declared_ablation_are_in_its_table():
    found = tables("baseline", "swift", "swift:reset_share=0.1", "swift:reset_share=0.15", "swift:reset_share=0.25")
    assert list(found) == ["main", "ablation-swift-reset_share"]
    assert len(found["ablation-swift-reset_share"]) == 5


def test_the_file_of_all_numbers_has_each_seed_and_setting_once():
    found = cells("baseline", "swift:epsilon=0.05", "swift:epsilon=0.2")
    results = task_results(found, [], task_info())
    rows = tidy_table.records(results)
    keys = {tuple(row[name] for name in ("backbone", "spec", "fold", "seed", "set", "metric")) for row in rows}
    assert len(keys) == len(rows)
    auc = [row for row in rows if (row["metric"], row["set"]) == ("auc", "far")]
    assert sorted((row["spec"], row["fold"], row["seed"]) for row in auc) == sorted(
        (item.cell.spec, item.cell.fold, item.cell.seed) for item in found
    )
    assert {(row["value"], row["role"], row["task"], row["attribute"]) for row in auc} == {(0.5, "ood", "demo", "age")}
    limited = tidy_table.records(task_results(found, [], task_info(min_cell=1000)))
    assert {row["why"] for row in limited if row["metric"] == "eodds"} == {"suppressed"}
    assert all(row["value"] != row["value"] for row in limited if row["metric"] == "eodds")
