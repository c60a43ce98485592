"""Cells that fail: out of memory, killed, alike. The others are done, and the same command resumes."""

import json
import os
import signal
import subprocess
import time

import pytest
from inline_snapshot import snapshot

from tests.end_to_end.test_run import PLUGIN
from tests.prose import lines_with

SWALLOW = "import resource, torch; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, -1)); torch.ones(8 << 30)"
"""Memory really runs out: within a limit of the process, so that nothing else of the machine is in want."""


def failure(place, method, fold=0):
    return json.loads((place.folder / f"results/cells/tiny/small/{method}/f{fold}-s0.failed.json").read_text())["error"]


def test_a_cell_without_memory_fails_alone(place):
    (place.folder / "swallower.py").write_text(PLUGIN.format(name="Swallower", body=SWALLOW))
    (place.folder / "killer.py").write_text(
        PLUGIN.format(name="Killer", body="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    )
    plugins = ("--plugin", "swallower.py", "--plugin", "killer.py")
    done = place.bench(
        "run", "--task", "tiny.toml", "--methods", "swallower,killer,llft", "--folds", "0", *plugins, code=1
    )
    assert place.ended(done.stdout) == {"done": 2, "cells": 4, "failed": 2, "computed": 2, "recomputed": 0}
    assert place.told(done.stdout) == snapshot(
        "2 of 4 cells done, 2 failed, 2 computed, 0 recomputed. `bench report --task tiny.toml --plugin swallower.py --plugin killer.py` makes the tables.\n"
    )
    for method in ("swallower", "killer"):
        assert failure(place, method)["kind"] == "oom", method
    assert failure(place, "killer")["class"] == "WorkerDied"
    assert lines_with(place.told(done.stderr), "tiny/small/killer/f0-s0", "SIGKILL") == snapshot(
        [
            "failed: tiny/small/killer/f0-s0: WorkerDied: the worker ended with signal SIGKILL; the system sends it when memory runs out (traceback in <tmp>/results/cells/tiny/small/killer/f0-s0.failed.json)"
        ]
    )
    assert failure(place, "swallower")["traceback"]


def test_a_method_whose_first_three_cells_fail_alike_is_not_started_again_in_this_run(place):
    text = (place.folder / "tiny.toml").read_text().replace("folds = 2", "folds = 4")
    (place.folder / "tiny.toml").write_text(text)
    (place.folder / "raises.py").write_text(PLUGIN.format(name="Raises", body="raise RuntimeError(f'{run}')"))
    words = ("run", "--task", "tiny.toml", "--methods", "raises", "--plugin", "raises.py")
    done = place.bench(*words, "--jobs", "1", code=1)
    ended = {"done": 4, "cells": 8, "failed": 3, "not started": 1, "computed": 4, "recomputed": 0}
    assert place.ended(done.stdout) == ended
    assert place.told(done.stdout) == snapshot(
        "4 of 8 cells done, 3 failed, 1 not started, 4 computed, 0 recomputed. `bench report --task tiny.toml --plugin raises.py` makes the tables.\n"
    )
    why = [line for line in place.told(done.stderr).splitlines() if "raises" in line and "tiny/" not in line]
    assert why == snapshot(
        [
            "not started: 1 cell, the first 3 cells of raises failed alike: RuntimeError; run the same command again to retry"
        ]
    )
    (place.folder / "raises.py").write_text(PLUGIN.format(name="Raises", body="pass"))
    assert place.ended(place.bench(*words).stdout) == {"done": 8, "cells": 8, "computed": 4, "recomputed": 0}


@pytest.mark.slow
def test_pre_training_that_is_killed_goes_on_from_its_checkpoint(place, new_place):
    """SIGKILL of all processes while a fold is pre-trained; weights and results are those of a run left alone."""
    other = new_place("uninterrupted")
    for one in (place, other):
        text = (one.folder / "tiny.toml").read_text().replace("pretrain_epochs = 1", "pretrain_epochs = 8")
        (one.folder / "tiny.toml").write_text(text)
    words, hurry = ("run", "--task", "tiny.toml", "--methods", "swift", "--folds", "0"), {"BENCH_CHECKPOINT_EVERY": "0"}
    other.bench(*words)
    process = subprocess.Popen(
        place.command(*words),
        cwd=place.folder,
        start_new_session=True,
        env={**os.environ, **hurry},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = place.folder / "results/cells/tiny/small/baseline/f0-s0.log"
    while process.poll() is None and not (log.is_file() and "epoch 4/8" in log.read_text()):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [file.suffix for file in (place.folder / ".cache/baselines").glob("[!.]*")] == [".checkpoint"]
    assert place.ended(place.bench(*words).stdout) == {"done": 2, "cells": 2, "computed": 2, "recomputed": 0}

    second = log.read_text().partition("resumed at epoch ")[2]
    assert second
    assert "epoch 1/8" not in second
    assert "epoch 2/8" not in second
    assert log.read_text().count("epoch 1/8") == 1
    weights = [{f.name: f.read_bytes() for f in (one.folder / ".cache/baselines").iterdir()} for one in (place, other)]
    assert weights[0] == weights[1]
    for name, one in place.records().items():
        whole = other.records()[name]
        for key in ("hash", "scores", "predictions_sha256", "baseline_sha256", "data"):
            assert one[key] == whole[key], (name, key)
