"""The suite from Python: scripts that a user would write, in processes of their own."""

import csv
import io
import subprocess
import sys
from typing import get_type_hints

import pandas as pd
import pytest

import bench
from bench.errors import UnknownName, UsageError
from bench.interface import MODEL, Options
from bench.settings import OPTIONS

SCRIPT = """
import sys
import bench

assert not {"torch", "pandas"} & {*sys.modules}, "import bench is light"
code = bench.run("tiny.toml", methods=["llft", "swift"], folds=[0], seeds=0)
found = bench.results("tiny.toml")
print(code, len(found.cells), sorted(found.cells["spec"]), found.left_out)
"""
"""At the top of a file, without `if __name__ == "__main__"`: workers must not run it again."""


def test_every_option_of_a_run_can_be_given():
    flags = {option.name for option in OPTIONS if "run" in option.field.metadata["verbs"]}
    assert get_type_hints(Options).keys() == flags - {"task"}


def test_a_script_without_a_guard_runs_once(place):
    (place.folder / "own.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "own.py"], cwd=place.folder, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.splitlines()[-1] == "0 3 ['baseline', 'llft', 'swift'] []"
    assert done.stdout.count("3 of 3 cells done, 3 computed") == 1


@pytest.fixture(scope="module")
def read(finished):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished.folder)
        yield bench.results("tiny.toml")


def test_scores_and_groups_are_those_of_the_stored_cells(finished, read):
    stored = {(one["cell"]["spec"], one["cell"]["fold"]): one for one in finished.records().values()}
    assert len(read.cells) == len(stored)
    assert list(read.scores.columns) == [*MODEL, "set", "metric", "value"]
    (found,) = read.scores.query("spec == 'swift' and fold == 1 and set == 'ood_neutral' and metric == 'auc'")["value"]
    assert found == stored["swift", 1]["scores"]["ood_neutral"]["auc"]
    one = read.groups.query("spec == 'swift' and fold == 1 and set == 'ood_neutral' and metric == 'tpr'")
    assert one["n"].sum() == stored["swift", 1]["scores"]["ood_neutral"]["n"]
    seconds = read.cells.set_index(["spec", "fold"])["seconds"]
    assert seconds["swift", 0] == stored["swift", 0]["cost"]["seconds"]


def test_differences_are_the_rows_of_the_report(finished, read):
    rows = pd.DataFrame(csv.DictReader(io.StringIO(finished.first_report["main.csv"].decode())))
    found = read.differences.query("table == 'main'")
    assert list(found["spec"]) == list(rows["spec"])
    told = pd.to_numeric(rows["difference"], errors="coerce")
    pd.testing.assert_series_equal(found["difference"].reset_index(drop=True), told, check_names=False)
    assert (found["supported"].map(str).to_numpy() == rows["supported"].to_numpy()).all()


def test_predictions_give_the_stored_auc(finished, read, monkeypatch):
    from sklearn.metrics import roc_auc_score

    monkeypatch.chdir(finished.folder)
    rows = bench.predictions("tiny.toml", "swift").query("fold == 0 and set == 'ood_neutral'")
    (auc,) = read.scores.query("spec == 'swift' and fold == 0 and set == 'ood_neutral' and metric == 'auc'")["value"]
    assert roc_auc_score(rows["y"], rows["logit"]) == pytest.approx(auc, abs=1e-12)
    with pytest.raises(UnknownName, match="did you mean swift"):
        bench.predictions("tiny.toml", "swft")


def test_the_report_has_the_bytes_of_the_command(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    files = bench.report("tiny.toml", "others")
    assert {file.name: file.read_bytes() for file in files} == finished.first_report


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"foldss": 1}, "unknown option 'foldss': did you mean folds?"),
        ({"jobs": 0}, "jobs: '0': a whole number of 1 or more expected"),
        ({"force": "yes"}, "force must be True or False, not 'yes'"),
        (
            {"folds": "a"},
            "folds: 'a': whole numbers from 0, of at most 9 digits, joined by commas expected, such as 0,1,2",
        ),
        ({"group_by": "folds"}, "unknown group_by 'folds': did you mean fold?"),
    ],
)
def test_a_wrong_option_is_refused_as_on_the_command_line(options, says):
    with pytest.raises(UsageError) as error:
        bench.run("phantom-cxr-age", **options)
    assert str(error.value).startswith(says)
