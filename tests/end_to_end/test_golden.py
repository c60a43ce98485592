"""The golden run against the parent commit, and that it sees what it is there to see."""

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from tests import golden


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder with one cell, one table and one figure, as a golden run leaves it."""
    folder = tmp_path_factory.mktemp("golden")
    cell = folder / "results/cells/golden/small/swift/f0-s0"
    cell.parent.mkdir(parents=True)
    table = pd.DataFrame({"set": ["val", "val"], "image_id": ["a", "b"], "y": [0, 1], "logit": [0.5, 1e-7]})
    table.to_parquet(cell.with_suffix(".parquet"), index=False)
    record = {"hash": "ab", "scores": {"val": {"auc": 1.0, "eodds": None}}, "cost": {"seconds": 1.0}}
    cell.with_suffix(".json").write_text(json.dumps(record))
    report = folder / "reports/golden"
    report.mkdir(parents=True)
    (report / "main.md").write_text("The best of 3.\n\n| method | AUC |\n| --- | --- |\n| SWiFT | .51 ± .02 |\n")
    (report / "main.csv").write_text("method,auc\nswift,0.51\n")
    image.imsave(report / "figure-3.png", np.zeros((4, 4)))
    return folder


def _rewrite(file, old, new):
    file.write_text(file.read_text().replace(old, new))


def _logit(file):
    table = pd.read_parquet(file)
    table.loc[1, "logit"] = 2e-7
    table.to_parquet(file, index=False)


CHANGES = {
    "f0-s0.parquet": _logit,
    "f0-s0.json": lambda file: _rewrite(file, "1.0}", "1.5}") or _rewrite(file, '"auc": 1.0', '"auc": 0.75'),
    "main.md": lambda file: _rewrite(file, ".02 |", ".03 |"),
    "main.csv": lambda file: _rewrite(file, "auc", "spd"),
    "figure-3.png": lambda file: image.imsave(file, np.eye(4)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_any_piece_is_seen(stored, tmp_path, name):
    shutil.copytree(stored, tmp_path / "after")
    before = golden.collect(stored)
    assert golden.differences(before, golden.collect(tmp_path / "after")) == []
    (file,) = (tmp_path / "after").rglob(name)
    CHANGES[name](file)
    assert len(golden.differences(before, golden.collect(tmp_path / "after"))) == 1


def test_sentences_times_and_hashes_may_change(stored, tmp_path):
    shutil.copytree(stored, tmp_path / "after")
    _rewrite(tmp_path / "after/reports/golden/main.md", "The best of 3.", "SWiFT is the best of 4.")
    (record,) = (tmp_path / "after").rglob("f0-s0.json")
    _rewrite(record, '"ab"', '"cd"')
    _rewrite(record, '"seconds": 1.0', '"seconds": 2.0')
    assert golden.differences(golden.collect(stored), golden.collect(tmp_path / "after")) == []


@pytest.mark.slow
def test_numbers_are_those_of_the_parent_commit(tmp_path):
    parent = subprocess.run(
        ["git", "-C", str(golden.ROOT), "rev-parse", "--verify", "HEAD~1"], capture_output=True, text=True, check=False
    )
    if parent.returncode:
        pytest.skip("the parent commit is not in this clone")
    pieces, found = golden.compare(parent.stdout.strip(), tmp_path / "runs")
    assert pieces > 100
    assert found == []
