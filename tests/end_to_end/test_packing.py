"""Cells that share a GPU: put back where memory is short beside others, failed where it is short alone.

The memory that is short is said to be so by the cells themselves; processes, pool and files are the real ones.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from inline_snapshot import snapshot

from bench.errors import UsageError
from bench.running.launchers.local import Local, visible_gpus
from bench.running.launchers.slurm import submit
from bench.running.run_cells import at_a_time
from bench.running.run_task import prepare_runs
from bench.settings import Settings
from tests.end_to_end.test_run import PLUGIN
from tests.prose import lines_with

TIMED = """import os, pathlib, time, torch
        here, log = pathlib.Path(os.environ["SEEN"]), pathlib.Path("results/cells/tiny/small/greedy/f0-s0.log")
        begun = time.time()

        def until(true):
            for _ in range(2400):
                if true():
                    return
                time.sleep(0.05)
            raise AssertionError("waited in vain")

        try:
            {does}
        finally:
            with (here / type(self).__name__).open("a") as file:
                file.write(f"{{begun}} {{time.time()}} {{os.getpid()}} {{os.environ['CUDA_VISIBLE_DEVICES']}}\\n")
"""
DOES = {
    "Greedy": """until(lambda: (here / "beside").exists())
            if not (here / "Neighbour").exists():
                raise torch.OutOfMemoryError("no room beside the neighbour")""",
    "Neighbour": """(here / "beside").touch()
            until(lambda: log.exists() and "put back" in log.read_text())
            time.sleep(0.5)""",
    "Third": "pass",
    "Glutton": 'raise torch.OutOfMemoryError("no room anywhere")',
}
BASELINES = (
    PLUGIN.format(name="Patches", body="pass")
    + '''

import os
import pathlib
import time

import torch

from bench.running import compute_cell as cell

here, train = pathlib.Path(os.environ["SEEN"]), cell.train_baseline
log = pathlib.Path("results/cells/tiny/small/baseline/f0-s0.log")


def short(file, planned, *others, **more):
    """Fold 0 has no memory while fold 1 is beside it."""
    if planned.fold == 1:
        (here / "beside").touch()
        while not (log.exists() and "put back" in log.read_text()):  # either may be first
            time.sleep(0.05)
    elif not (here / "tried").exists():
        while not (here / "beside").exists():
            time.sleep(0.05)
        (here / "tried").touch()
        raise torch.OutOfMemoryError("no room beside another fold")
    train(file, planned, *others, **more)


cell.train_baseline = short
'''
)


def intervals(place, name):
    lines = (place.folder / "seen" / name).read_text().splitlines()
    return [(float(begun), float(ended), pid, gpu) for begun, ended, pid, gpu in map(str.split, lines)]


def attempts(place, method):
    return (place.folder / f"results/cells/tiny/small/{method}/f0-s0.log").read_text().count("attempt on")


def files(plugins):
    return [word for name in plugins for word in ("--plugin", f"{name.lower()}.py")]


def run(place, methods, plugins, *words, code=0):
    (place.folder / "seen").mkdir()
    return place.bench(
        "run",
        "--task",
        "tiny.toml",
        "--methods",
        methods,
        *files(plugins),
        "--gpus",
        "0",
        "--per-gpu",
        "2",
        *words,
        code=code,
        SEEN=str(place.folder / "seen"),
    )


@pytest.mark.slow
def test_a_cell_without_memory_beside_others_runs_again_when_the_gpu_is_its_own(place):
    for name, does in DOES.items():
        (place.folder / f"{name.lower()}.py").write_text(PLUGIN.format(name=name, body=TIMED.format(does=does)))
    done = run(place, "greedy,neighbour,third,glutton", DOES, "--folds", "0", code=1)
    assert place.ended(done.stdout) == {"done": 4, "cells": 5, "failed": 1, "computed": 4, "recomputed": 0}
    assert lines_with(place.told(done.stderr), "tiny/small/glutton/f0-s0") == snapshot(
        [
            "failed: tiny/small/glutton/f0-s0: OutOfMemoryError: no room anywhere (traceback in <tmp>/results/cells/tiny/small/glutton/f0-s0.failed.json)"
        ]
    )

    (first, again), (beside,), (third,) = (intervals(place, name) for name in ("Greedy", "Neighbour", "Third"))
    assert first[0] < beside[1]
    assert beside[0] < first[1]
    assert again[0] > beside[1]
    assert again[2] not in (first[2], beside[2])  # what old processes held of the GPU is free
    assert third[0] > again[1]  # nothing was started on the GPU that the cell waited for and had
    assert {gpu for *_, gpu in (first, again, beside, third)} == {"0"}
    assert attempts(place, "greedy") == 2
    assert attempts(place, "glutton") == 2
    folder = place.folder / "results/cells/tiny/small"
    assert not (folder / "greedy/f0-s0.failed.json").exists()
    failure = json.loads((folder / "glutton/f0-s0.failed.json").read_text())
    assert (failure["error"]["kind"], failure.get("attempt", 1)) == ("oom", 1)
    assert lines_with(place.told(place.bench("status", *files(DOES)).stdout), "tiny/small/glutton/f0-s0") == snapshot(
        [
            "failed    tiny/small/glutton/f0-s0  oom: OutOfMemoryError: no room anywhere",
            "`bench logs tiny/small/glutton/f0-s0` shows the first; `bench retry --failed --task tiny --plugin greedy.py --plugin neighbour.py --plugin third.py --plugin glutton.py` runs the failed cells again",
        ]
    )


@pytest.mark.slow
def test_a_baseline_without_memory_beside_another_is_put_back_too(place):
    (place.folder / "patches.py").write_text(BASELINES)
    done = run(place, "baseline", ["Patches"], "--folds", "0,1")
    assert place.ended(done.stdout) == {"done": 2, "cells": 2, "computed": 2, "recomputed": 0}
    assert attempts(place, "baseline") == 2
    assert (place.folder / "seen/tried").exists()


def test_gpus_that_are_not_there_are_asked_for_by_name(place):
    words = ("run", "--task", "tiny.toml", "--per-gpu", "2")
    done = place.bench(*words, code=2, CUDA_VISIBLE_DEVICES="")
    assert place.told(done.stderr) == snapshot(
        "bench: --per-gpu: no GPU is visible (CUDA_VISIBLE_DEVICES is ''): name GPUs with --gpus 0,1, or omit --per-gpu; without a GPU, --jobs sets the number of cells at a time\n"
    )
    done = place.bench(*words, "--on", "slurm", code=2)
    assert place.told(done.stderr) == snapshot(
        "bench: --per-gpu 2 on SLURM needs --group-by fold: with one job per cell, each GPU serves a single cell\n"
    )
    assert not (place.folder / "results").exists()


def test_visible_gpus_are_those_of_the_environment_or_of_nvidia_smi(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: One (UUID: GPU-a)'; echo 'GPU 1: One (UUID: GPU-b)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 4,GPU-c")
    assert visible_gpus() == ("3", "4", "GPU-c")
    # CUDA stops at the first entry that names no GPU.
    for given, seen in (("0,-1,1", "0"), ("1,NoDevFiles", "1"), ("MIG-1/2,GPU-a", "MIG-1/2 GPU-a"), ("2,2", "2")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert visible_gpus() == tuple(seen.split())
    for given in ("-1", "NoDevFiles", ""):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        with pytest.raises(UsageError, match="no GPU is visible"):
            visible_gpus()
    asked = Settings(task="t", gpus=("0", "5"))
    for given, known in (("0,1", "0, 1"), ("", "none"), (None, "0, 1")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given) if given is not None else monkeypatch.delenv(
            "CUDA_VISIBLE_DEVICES"
        )
        with pytest.raises(UsageError, match=rf"--gpus .*5: not visible here .*; visible: {known}$"):
            Local().accept(asked)
    assert visible_gpus() == ("0", "1")


def test_as_many_cells_share_the_gpus_as_cores_allow(monkeypatch, capsys):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    for jobs, per_gpu, expected in ((None, None, 2), (None, 2, 4), (3, 2, 3), (5, 2, 4), (5, None, 5)):
        assert at_a_time(Settings("t", jobs=jobs, gpus=("0", "1"), per_gpu=per_gpu), 1) == expected
    assert not capsys.readouterr().err
    assert at_a_time(Settings("t", gpus=("0", "1"), per_gpu=4), 2) == 3
    assert capsys.readouterr().err == snapshot(
        "8 cells on 2 GPUs: reduced to 3 at a time, because each cell uses 2 threads\n"
    )


BESIDE = """import os, pathlib, time
        here = pathlib.Path(os.environ["SEEN"])
        (here / f"{type(self).__name__} {os.getpid()}").touch()
        while len(list(here.glob("O*"))) < 2 or os.environ.get("FOREVER"):
            time.sleep(0.05)"""


@pytest.fixture
def job(place):
    """What a SLURM job of one fold runs: a baseline, then two methods that wait for each other, two at a time."""
    for name in ("One", "Other"):
        (place.folder / f"{name.lower()}.py").write_text(PLUGIN.format(name=name, body=BESIDE))
    (place.folder / "seen").mkdir()
    plugins = tuple(place.folder / f"{name}.py" for name in ("one", "other"))
    folders = str(place.folder / "tiny.toml"), place.folder / "results", place.folder / ".cache", None, plugins
    settings = Settings(*folders, methods="one,other", folds=(0,), per_gpu=2)
    todo = prepare_runs([settings], print)[0].todo
    intent = submit.intent(submit.Array("baseline", (todo,), "", 60))
    (place.folder / "intent.json").write_text(json.dumps(intent))

    def start(**environment):
        return subprocess.Popen(
            [sys.executable, "-m", "bench.running.launchers.slurm.worker", str(place.folder / "intent.json")],
            cwd=place.folder,
            env={**os.environ, "SEEN": str(place.folder / "seen"), **environment},
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return start


@pytest.mark.slow
def test_the_job_of_a_fold_computes_its_cells_beside_each_other_after_its_baseline(place, job):
    process = job()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    lines = [line.split()[:2] for line in said.splitlines() if line.startswith("tiny/")]
    assert lines[0] == ["tiny/small/baseline/f0-s0", "done"]
    assert sorted(lines[1:]) == [["tiny/small/one/f0-s0", "done"], ["tiny/small/other/f0-s0", "done"]]
    assert len({file.name.split()[1] for file in (place.folder / "seen").iterdir()}) == 2


@pytest.mark.slow
def test_when_slurm_ends_such_a_job_all_that_ran_is_noted_and_no_process_is_left(place, job):
    process, seen = job(FOREVER="1"), place.folder / "seen"
    while process.poll() is None and len(list(seen.iterdir())) < 2:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGUSR2)  # as SLURM does: every process of the step hears it
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    for method in ("one", "other"):
        error = json.loads((place.folder / f"results/cells/tiny/small/{method}/f0-s0.failed.json").read_text())["error"]
        assert (error["kind"], error["class"]) == ("preempted", "JobEnded")
    for file in seen.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.name.split()[1]), 0)
    assert not list((place.folder / "results").rglob("*.lease.*"))


@pytest.mark.slow
def test_a_job_of_two_gpus_computes_a_cell_on_each(place, job):
    """Without --per-gpu; the two methods wait for each other, so one after the other they would never end."""
    intent = place.folder / "intent.json"
    intent.write_text(intent.read_text().replace('"per_gpu": 2', '"per_gpu": null'))
    process = job(CUDA_VISIBLE_DEVICES="0,1")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert len(list((place.folder / "seen").iterdir())) == 2
