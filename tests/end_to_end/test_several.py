"""Several tasks in one run: one queue, one baseline for tasks that share it; and a preset from the run to the report."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from inline_snapshot import snapshot

from tests.prose import lines_with
from tests.task_texts import CHEST, SEX

BOTH = ("run", "--task", "tiny.toml", "--task", "sex.toml", "--methods", "llft", "--jobs", "1")


@pytest.fixture
def both(place):
    """Two tasks of one source and label, and of two attributes."""
    (place.folder / "sex.toml").write_text(CHEST.format(name="sex", images=240, attribute=SEX))
    return place


def trained(place):
    """How many baselines were trained, by the logs of their cells."""
    logs = (place.folder / "results/cells").rglob("baseline/*.log")
    return sum("pre-training, epoch 1/1" in file.read_text() for file in logs)


@pytest.mark.slow
def test_two_tasks_are_one_run_and_train_their_baselines_once(both):
    shown = lines_with(both.bench(*BOTH, "--dry-run").stdout, "pending")
    assert len(shown) == len(set(shown)) == 8
    assert not (both.folder / "results").exists()
    done = both.bench(*BOTH)
    assert both.ended(done.stdout) == {"done": 8, "cells": 8, "computed": 8, "recomputed": 0}
    assert re.findall(r"^\[(\d+)/8\] ", done.stderr, re.MULTILINE) == [str(n) for n in range(1, 9)]
    assert both.told(done.stdout).split(". ", 1)[1] == snapshot(
        "`bench report --task tiny.toml` and `bench report --task sex.toml` make the tables.\n"
    )
    assert trained(both) == 2
    assert len(list((both.folder / ".cache/baselines").glob("*.pt"))) == 2
    again = both.bench(*BOTH)
    assert both.ended(again.stdout) == {"done": 8, "cells": 8, "computed": 0, "recomputed": 0}
    status = both.bench("status").stdout
    assert [line.split()[:2] for line in status.splitlines() if line.startswith(("tiny", "sex", "all"))] == snapshot(
        [["sex", "done"], ["all", "4"], ["tiny", "done"], ["all", "4"]]
    )

    # A cell of two runs, and a baseline whose weights only the second run needs.
    for file in (both.folder / ".cache/baselines").iterdir():
        file.unlink()
    (both.folder / "mine.toml").write_text(
        'task = "tiny.toml"\nfolds = 0\n[[run]]\nmethods = "llft"\n[[run]]\nmethods = "llft,fullft_rw"\n'
    )
    more = both.bench("run", "mine.toml")
    assert both.ended(more.stdout) == {"done": 3, "cells": 3, "computed": 2, "recomputed": 1}
    kept = both.folder / "results/plans/mine.toml"
    assert both.ended(both.bench("run", str(kept)).stdout)["computed"] == 0


@pytest.mark.slow
def test_an_interrupted_run_of_two_tasks_is_resumed_by_the_same_command(both):
    process = subprocess.Popen(both.command(*BOTH), cwd=both.folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while len(both.cells()) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130, said
    before = both.cells()
    assert 3 <= len(before) < 8
    done = both.ended(both.bench(*BOTH).stdout)
    assert (done["done"], done["computed"]) == (8, 8 - len(before))
    assert before.items() <= both.cells().items()
    assert trained(both) == 2


@pytest.mark.slow
def test_methods_of_both_tasks_wait_for_the_baseline_that_failed_in_vain(both):
    """Neither of the two tasks can train the baseline of fold 0."""
    folds = (*BOTH, "--folds", "0")
    (both.folder / "broken.py").write_text(
        "from bench.running import compute_cell\n\n\ndef fails(*_, **__):\n    raise ValueError('no baseline')\n\n\n"
        "compute_cell.train_baseline = fails\n"
    )
    (both.folder / "sitecustomize.py").write_text("import broken\n")
    path = f"{both.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    failed = both.bench(*folds, code=1, PYTHONPATH=path)
    assert lines_with(both.told(failed.stderr), "not started") == snapshot(
        ["not started: 2 cells, its baseline failed; run the same command again to retry"]
    )
    assert lines_with(both.told(failed.stderr), "failed:", "traceback") == snapshot(
        [
            "failed: tiny/small/baseline/f0-s0: ValueError: no baseline (traceback in <tmp>/results/cells/tiny/small/baseline/f0-s0.failed.json)",
            "failed: sex/small/baseline/f0-s0: ValueError: no baseline (traceback in <tmp>/results/cells/sex/small/baseline/f0-s0.failed.json)",
        ]
    )
    assert both.told(failed.stdout) == snapshot(
        "0 of 4 cells done, 2 failed, 2 not started, 0 computed, 0 recomputed.\n"
    )  # nothing is there of which a report could be made
    healed = both.ended(both.bench("retry", "--failed").stdout)
    assert healed["computed"] > 0
    assert both.ended(both.bench(*folds).stdout)["done"] == 4


@pytest.mark.slow
def test_a_task_under_a_preset_from_the_run_to_its_report_and_archive(place):
    """Rows are called as in the suite; the specs of the cells say what was run; a cell that is retried is the same."""
    task, methods = "tiny.toml:preset=paper", "llft:budget=converge,swift,swift:reinit=none,swift:reset_share=0.3"
    done = place.bench("run", "--task", "tiny.toml", "--preset", "paper", "--methods", methods, "--folds", "0")
    assert place.ended(done.stdout)["computed"] == 5
    assert lines_with(place.told(done.stdout), "report") == snapshot(
        ["5 of 5 cells done, 5 computed, 0 recomputed. `bench report --task tiny.toml:preset=paper` makes the tables."]
    )
    specs = {json.loads(data)["cell"]["spec"] for data in place.cells().values()}
    assert specs == snapshot(
        {
            "baseline",
            "llft",
            "swift:scope=module,reinit=none",
            "swift:scope=module,reinit_scope=head_all",
            "swift:scope=module,reset_share=0.3",
        }
    )
    place.bench("report", "--task", task)
    (folder,) = (place.folder / "reports").iterdir()
    main = (folder / "main.md").read_text()
    rows = {line.split("|")[1].strip() for line in main.splitlines() if line.startswith("| ")}
    assert {"Baseline", "SWiFT", "LLFT (budget converge)"} <= rows
    assert not any("scope" in row for row in rows)
    assert sorted(file.stem for file in folder.glob("*-swift-*.md")) == snapshot(
        ["ablation-swift-reinit", "ablation-swift-reset_share"]
    )
    listed = place.bench("report", "--task", task, "--list").stdout
    assert "reinit_scope" not in listed
    place.bench("export", "--task", task, "--out", "site.tar.gz")
    place.bench("report", "--from", "site.tar.gz", "--reports", "theirs")
    (theirs,) = (place.folder / "theirs").iterdir()
    assert (theirs / "main.csv").read_bytes() == (folder / "main.csv").read_bytes()
    for file in (place.folder / "results/cells").rglob("*none*/f0-s0.json"):
        file.unlink()
    before = place.cells()
    place.bench("retry", "--task", task, "reinit-none")
    assert {*before} < {*place.cells()}
    assert len(place.cells()) == 5
