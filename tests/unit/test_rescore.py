"""`bench metrics --recompute`: what old cells gain, what stays as it is, and what is left alone and named."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench.cells import store
from bench.cli import main
from bench.lease import lease
from bench.run.plan import SCHEMA, Cell
from bench.score.definitions import METRICS, VERSION
from bench.score.metrics import score_sets
from tests.factory import record
from tests.prose import lines_with, plain

GROUPS = ("younger", "older", "Unknown")
"""Not in the order in which JSON keeps them."""
FIRST = ("auc", "spd", "eodds", "eodds_max", "eodds_sum", "eodds_signed", "eopp", "tpr_gap", "fpr_gap", "min_auc")
OLD = {*FIRST, "gap_auc", "degenerate", "n", "groups"}
OLD_COUNTS = {
    *("n", "positives", "negatives", "true_positives", "false_positives", "selection_rate", "tpr", "fpr", "auc"),
}


def predictions(seed: int, groups: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for name, n in (("val", 90), ("near", 120), ("far", 60)):
        a, y = rng.integers(0, groups, n), rng.integers(0, 2, n)
        logit = rng.normal(0.8 * y - 0.3 * a - 0.4, 1).astype("float32")
        ids = [f"{name}-{i}" for i in range(n)]
        columns = {"set": name, "image_id": ids, "y": y.astype("int8"), "a": a.astype("int8"), "logit": logit}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def scores_of(table: pd.DataFrame, groups: int = 3) -> dict:
    sets = {
        str(name): tuple(rows[key].to_numpy() for key in ("logit", "y", "a")) for name, rows in table.groupby("set")
    }
    return score_sets(sets, GROUPS[:groups])


def old(scores: dict) -> dict:
    """The scores as they were before there was more than one version."""
    kept = {name: {key: one[key] for key in OLD} for name, one in scores.items()}
    for one in kept.values():
        one["groups"] = {g: {key: counts[key] for key in OLD_COUNTS} for g, counts in one["groups"].items()}
    return kept


def save(results: Path, fold: int = 0, task: str = "phantom-cxr-age", groups: int = 3) -> Path:
    cell, table = Cell(task, "small", "swift", fold, 0), predictions(fold, groups)
    scores, log = old(scores_of(table, groups)), {"gamma": float("nan")}
    stored = record("swift", fold, task=task, hash="ab12", metrics_version=1, scores=scores, log=log)
    store.save_cell(results, cell, stored, table, b"")
    return store.cell_file(results, cell)


def read(file: Path) -> dict:
    return json.loads(file.read_text())


def change(file: Path, **values: object) -> None:
    store.write_json(file, {**read(file), **values})


def recompute(results: Path, *words: str) -> int:
    return main(["metrics", "--recompute", "--results", str(results), *words])


@pytest.mark.parametrize("groups", [2, 3])
def test_an_old_cell_gains_the_new_metrics_and_nothing_else_of_it_moves(tmp_path, capsys, groups):
    files = [save(tmp_path, fold, groups=groups) for fold in range(3)]
    before = [read(file) for file in files]
    assert recompute(tmp_path) == 0
    assert capsys.readouterr().out == snapshot("3 of 3 cells have new scores, 0 left as they are\n")
    for fold, (file, was) in enumerate(zip(files, before, strict=True)):
        now = read(file)
        assert now.pop("metrics_version") == VERSION > was.pop("metrics_version")
        scores = now.pop("scores")
        assert repr(old(scores)) != repr(scores)
        assert json.dumps(old(scores), sort_keys=True) == json.dumps(was.pop("scores"), sort_keys=True), (
            "to the last bit"
        )
        assert json.dumps(now) == json.dumps(was)
        fresh = scores_of(predictions(fold, groups), groups)
        assert json.dumps(scores, sort_keys=True) == json.dumps(fresh, sort_keys=True), "as a run would store them"
        assert set(METRICS) <= set(scores["near"])


def test_again_changes_nothing(tmp_path, capsys):
    file = save(tmp_path)
    recompute(tmp_path)
    stamp, content = file.stat().st_mtime_ns, file.read_bytes()
    assert recompute(tmp_path) == 0
    assert lines_with(capsys.readouterr().out, "1") == snapshot(
        ["1 of 1 cells have new scores, 0 left as they are", "0 of 1 cells have new scores, 0 left as they are"]
    )
    assert (file.stat().st_mtime_ns, file.read_bytes()) == (stamp, content)
    assert sorted(path.name for path in file.parent.iterdir()) == ["f0-s0.json", "f0-s0.parquet"], "no lease is left"


def test_one_task_alone(tmp_path):
    mine, other = save(tmp_path), save(tmp_path, task="phantom-derm-tone")
    assert recompute(tmp_path, "--task", "phantom-cxr-age") == 0
    assert (read(mine)["metrics_version"], read(other)["metrics_version"]) == (VERSION, 1)


def missing(file):
    file.with_suffix(".parquet").unlink()


def damaged(file):
    content = bytearray(file.with_suffix(".parquet").read_bytes())
    content[len(content) // 2] ^= 1
    file.with_suffix(".parquet").write_bytes(content)


def of_another_run(file):
    save(file.parents[4], fold=7)
    file.with_suffix(".parquet").write_bytes(file.with_name("f7-s0.parquet").read_bytes())


def other_counts(file):
    scores = read(file)["scores"]
    scores["near"]["groups"]["older"]["true_positives"] += 1
    change(file, scores=scores)


def other_sets(file):
    scores = read(file)["scores"]
    change(file, scores={name: scores[name] for name in ("val", "near")})


def half_written(file):
    file.write_bytes(file.read_bytes()[:-40])


def of_somebody_else(file):
    file.write_text('{"name": "no cell"}')


def without_counts(file):
    change(file, scores=dict.fromkeys(("val", "near", "far"), 3))


def other_schema(file):
    change(file, schema=SCHEMA + 1)


def of_no_version(file):
    change(file, metrics_version="two")


def newer(file):
    change(file, metrics_version=VERSION + 1)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            missing,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: its predictions f0-s0.parquet not found. `bench run --force` makes them anew.\n"
            ),
        ),
        (
            damaged,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: its predictions are damaged or of another run: `bench run --force` makes them anew\n"
            ),
        ),
        (
            of_another_run,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: its predictions are damaged or of another run: `bench run --force` makes them anew\n"
            ),
        ),
        (
            other_counts,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: its counts are not those of its predictions: `bench run --force` makes both anew\n"
            ),
        ),
        (
            other_sets,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: predictions of far, near, val, scores of near, val\n"
            ),
        ),
        (
            half_written,
            snapshot("left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: not a whole result\n"),
        ),
        (
            of_somebody_else,
            snapshot("left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: not a whole result\n"),
        ),
        (
            without_counts,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: not a whole result: TypeError(\"'int' object is not subscriptable\")\n"
            ),
        ),
        (
            other_schema,
            snapshot("left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: schema 2, 1 expected\n"),
        ),
        (
            of_no_version,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: not a whole result: metrics_version 'two'\n"
            ),
        ),
        (
            newer,
            snapshot(
                "left as it is: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: scored by a newer bench: its metrics have version 3, these 2\n"
            ),
        ),
    ],
)
def test_a_cell_that_cannot_be_scored_is_named_and_left_and_the_rest_is_done(tmp_path, capsys, harm, says):
    file, sound = save(tmp_path), save(tmp_path, fold=1)
    harm(file)
    content = file.read_bytes()
    assert recompute(tmp_path) == 1
    out, err = capsys.readouterr()
    assert plain(err, tmp_path) == says
    assert re.findall(r"\d+", out)[-1] == "1"
    assert file.read_bytes() == content
    assert read(sound)["metrics_version"] == VERSION


def test_a_cell_that_another_process_computes_is_not_touched(tmp_path, capsys):
    file, sound = save(tmp_path), save(tmp_path, fold=1)
    with lease(file.with_suffix("")) as other:
        assert other is None
        assert recompute(tmp_path) == 0
    assert f"not now: {file}: process {os.getpid()} on" in capsys.readouterr().err
    assert [read(one)["metrics_version"] for one in (file, sound)] == [1, VERSION]


def test_failures_are_no_cells_and_without_cells_it_says_so(tmp_path, capsys):
    file = save(tmp_path)
    file.rename(file.with_suffix(".failed.json"))
    assert recompute(tmp_path) == 1
    assert "no cells in" in capsys.readouterr().err
    assert main(["metrics", "--results", str(tmp_path)]) == 2
    assert "bench ls metrics" in capsys.readouterr().err


def test_killed_half_way_it_leaves_whole_cells_and_goes_on(tmp_path):
    files = [save(tmp_path, fold) for fold in range(40)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.cli", "metrics", "--recompute", "--results", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None and read(files[0])["metrics_version"] == 1:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    versions = [read(file)["metrics_version"] for file in files]
    assert versions == sorted(versions, reverse=True), "every one is whole, old or new"
    assert recompute(tmp_path) == 0
    assert {read(file)["metrics_version"] for file in files} == {VERSION}


def test_it_imports_no_torch(tmp_path):
    save(tmp_path)
    code = f"""
import sys
from bench.cli import main
main(["metrics", "--recompute", "--results", {str(tmp_path)!r}])
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
