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
from bench.cells.identity import SCHEMA, Cell, cell_file, scores_file
from bench.cells.record import Scores, decode
from bench.cells.rescore import set_scores
from bench.cli import main
from bench.files import to_json, write_json
from bench.lease import lease
from bench.scoring.definitions import METRICS, VERSION
from bench.scoring.metrics import score_sets
from tests.factory import record
from tests.prose import lines_with, plain

GROUPS = ("younger", "older", "Unknown")
"""Not in the order in which JSON keeps them."""
FIRST = ("auc", "spd", "eodds", "eodds_max", "eodds_sum", "eodds_signed", "eopp", "tpr_gap", "fpr_gap", "min_auc")
OLD = {*FIRST, "gap_auc", "degenerate", "n", "positives", "groups"}
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
        columns = {"set": name, "image_id": ids, "y": y.astype("int8"), "logit": logit, "a_age": a.astype("int8")}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def scores_of(table: pd.DataFrame, groups: int = 3) -> dict:
    sets = {
        str(name): tuple(rows[key].to_numpy() for key in ("logit", "y", "a_age")) for name, rows in table.groupby("set")
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
    return cell_file(results, cell)


def read(file: Path) -> Scores:
    return decode(scores_file(file).read_bytes(), Scores)


def change(file: Path, **values: object) -> None:
    write_json(file, {**json.loads(file.read_text()), **values})


def recompute(results: Path, *words: str) -> int:
    return main(["metrics", "--recompute", "--results", str(results), *words])


@pytest.mark.parametrize("groups", [2, 3])
def test_old_scores_gain_the_new_metrics_and_nothing_of_the_cell_moves(tmp_path, capsys, groups):
    files = [save(tmp_path, fold, groups=groups) for fold in range(3)]
    before = [(file.read_bytes(), read(file)) for file in files]
    assert recompute(tmp_path) == 0
    assert capsys.readouterr().out == snapshot("3 of 3 cells scored again, 0 could not be scored\n")
    for fold, (file, (content, was)) in enumerate(zip(files, before, strict=True)):
        now = read(file)
        assert file.read_bytes() == content
        assert now.version == VERSION > was.version
        for name, one in now.sets.items():
            assert list(one.groups) == list(GROUPS[:groups]), "in the order of the attribute"
            for metric in FIRST:
                assert repr(one.metric(metric)) == repr(was.sets[name].metric(metric)), "to the last bit"
        fresh = {name: set_scores(one, "age") for name, one in scores_of(predictions(fold, groups), groups).items()}
        assert {n: to_json(one) for n, one in now.sets.items()} == {n: to_json(one) for n, one in fresh.items()}
        assert all(metric in to_json(now.sets["near"]).decode() for metric in METRICS)


def no_scores(file):
    scores_file(file).unlink()


def half_scores(file):
    scores_file(file).write_bytes(scores_file(file).read_bytes()[:-40])


def other_counts(file):
    text = scores_file(file).read_text()
    scores_file(file).write_text(re.sub(r'"true_positives": (\d+)', '"true_positives": 7777', text))


def of_no_version(file):
    change(scores_file(file), version="two")


@pytest.mark.parametrize("harm", [no_scores, half_scores, other_counts, of_no_version])
def test_scores_that_are_gone_or_wrong_are_made_again(tmp_path, capsys, harm):
    file = save(tmp_path)
    recompute(tmp_path)
    content = scores_file(file).read_bytes()
    harm(file)
    assert recompute(tmp_path) == 0
    assert "1 of 1 cell scored again" in capsys.readouterr().out
    assert scores_file(file).read_bytes() == content


def test_again_changes_nothing(tmp_path, capsys):
    file = save(tmp_path)
    recompute(tmp_path)
    file = scores_file(file)
    stamp, content = file.stat().st_mtime_ns, file.read_bytes()
    assert recompute(tmp_path) == 0
    assert lines_with(capsys.readouterr().out, "1") == snapshot(
        ["1 of 1 cell scored again, 0 could not be scored", "0 of 1 cell scored again, 0 could not be scored"]
    )
    assert (file.stat().st_mtime_ns, file.read_bytes()) == (stamp, content)
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "f0-s0.json",
        "f0-s0.parquet",
        "f0-s0.scores.json",
    ], "no lease is left"


def test_one_task_alone(tmp_path):
    mine, other = save(tmp_path), save(tmp_path, task="phantom-derm-tone")
    assert recompute(tmp_path, "--task", "phantom-cxr-age") == 0
    assert (read(mine).version, read(other).version) == (VERSION, 1)


def missing(file):
    file.with_suffix(".parquet").unlink()


def damaged(file):
    content = bytearray(file.with_suffix(".parquet").read_bytes())
    content[len(content) // 2] ^= 1
    file.with_suffix(".parquet").write_bytes(content)


def of_another_run(file):
    save(file.parents[4], fold=7)
    file.with_suffix(".parquet").write_bytes(file.with_name("f7-s0.parquet").read_bytes())


def half_written(file):
    file.write_bytes(file.read_bytes()[:-40])


def of_somebody_else(file):
    file.write_text('{"name": "no cell"}')


def other_schema(file):
    change(file, schema=SCHEMA + 1)


def newer(file):
    change(scores_file(file), version=VERSION + 1)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            missing,
            snapshot(
                "not scored: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: its predictions are missing: `bench run --task phantom-cxr-age --methods swift --backbone small --folds 0 --results <tmp> --force` computes the cell again\n"
            ),
        ),
        (
            damaged,
            snapshot(
                "not scored: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: its predictions are damaged or of another run: `bench run --task phantom-cxr-age --methods swift --backbone small --folds 0 --results <tmp> --force` computes the cell again\n"
            ),
        ),
        (
            of_another_run,
            snapshot(
                "not scored: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: its predictions are damaged or of another run: `bench run --task phantom-cxr-age --methods swift --backbone small --folds 0 --results <tmp> --force` computes the cell again\n"
            ),
        ),
        (
            half_written,
            snapshot(
                "not scored: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: not a whole result: Input data was truncated\n"
            ),
        ),
        (
            of_somebody_else,
            snapshot(
                "not scored: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: not a whole result: Object contains unknown field `name`\n"
            ),
        ),
        (
            other_schema,
            snapshot("not scored: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: schema 4, 3 expected\n"),
        ),
        (
            newer,
            snapshot(
                "not scored: <tmp>/cells/phantom-cxr-age/small/swift/f0-s0.json: scored by a newer bench: its metrics have version 6, ours have version 5\n"
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
    assert read(sound).version == VERSION


def test_a_cell_that_another_process_computes_is_not_touched(tmp_path, capsys):
    file, sound = save(tmp_path), save(tmp_path, fold=1)
    with lease(file.with_suffix("")) as other:
        assert other is None
        assert recompute(tmp_path) == 0
    assert f"skipped: {file}: process {os.getpid()} on" in capsys.readouterr().err
    assert [read(one).version for one in (file, sound)] == [1, VERSION]


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
    while process.poll() is None and read(files[0]).version == 1:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    versions = [read(file).version for file in files]
    assert versions == sorted(versions, reverse=True), "every one is whole, old or new"
    assert recompute(tmp_path) == 0
    assert {read(file).version for file in files} == {VERSION}


def test_it_imports_no_torch(tmp_path):
    save(tmp_path)
    code = f"""
import sys
from bench.cli import main
main(["metrics", "--recompute", "--results", {str(tmp_path)!r}])
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
