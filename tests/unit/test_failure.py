"""Kinds of failure: of errors, of ends of processes, of states of SLURM jobs."""

import dataclasses
import json
import signal
import subprocess
import sys
from typing import get_args

import pytest
import torch

from bench.cells.identity import Cell
from bench.errors import DataInvalid, DataMissing, EmptyGroup, NonFinite, NotWritten, PluginBroken, UndeclaredSplit
from bench.running.attempt import FailureKind, attempt, classify
from bench.running.history import as_record
from bench.running.launchers.local.pool import kind_of_exit
from bench.running.launchers.slurm.queue import kind_of_state
from bench.running.launchers.slurm.worker import ATTEMPTS
from bench.running.plan import PlannedCell
from bench.settings import Settings

ERRORS = [
    (MemoryError(), "oom"),
    (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
    (DataMissing("a.csv", get_it="from there"), "data"),
    (DataInvalid("row 3"), "data"),
    (EmptyGroup("fold 2"), "data"),
    (NonFinite("head"), "nan"),
    (PluginBroken("fit returned int"), "bug"),
    (UndeclaredSplit("train"), "bug"),
    (RuntimeError("anything"), "bug"),
    (OSError(12, "Cannot allocate memory"), "oom"),
    (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "oom"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
def test_errors_have_a_kind(error, kind):
    assert classify(error) == kind


def test_what_torch_raises_on_a_cpu_without_memory_is_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert classify(caught.value) == "oom"


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGKILL, "oom"), (signal.SIGTERM, "cancelled"), (signal.SIGSEGV, "bug")]
)
def test_a_process_that_a_signal_ended_has_a_kind(number, kind):
    ended = subprocess.run([sys.executable, "-c", f"import os; os.kill(os.getpid(), {number:d})"], check=False)
    assert kind_of_exit(ended.returncode) == kind


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("TIMEOUT", "timeout"),
        ("NODE_FAIL", "node"),
        ("PREEMPTED", "preempted"),
        ("OUT_OF_MEMORY", "oom"),
        ("OUT_OF_ME+", "oom"),
        ("CANCELLED by 1000", "cancelled"),
        ("CANCELLED+", "cancelled"),
        ("FAILED", "bug"),
        ("COMPLETED", None),
        ("RUNNING", None),
        ("", None),
    ],
)
def test_a_state_of_slurm_has_a_kind(state, kind):
    assert kind_of_state(state) == kind


def test_only_what_says_nothing_of_the_cell_is_tried_again_by_itself():
    assert {kind for kind in get_args(FailureKind) if ATTEMPTS.get(kind, 1) > 1} == {"node", "preempted", "timeout"}


TOLD_TWICE = """
import os, signal, sys, time
from pathlib import Path
from bench.running.launchers.slurm import worker

def told(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1e-3)

def saved_meanwhile(*args, **named):
    told()
    save(*args, **named)

save, worker.save_failure, worker._one = worker.save_failure, saved_meanwhile, told
sys.exit(worker.main(Path(sys.argv[1])))
"""


def test_a_job_that_is_told_twice_that_its_time_is_over_still_says_so(tmp_path):
    """SLURM tells the step, then the job: the second signal came while the first was being written down."""
    settings = Settings("t", tmp_path / "results", tmp_path / "cache", None)
    cell = {**dataclasses.asdict(Cell("t", "small", "swift", 0, 0)), "hash": "h", "origin": "o", "run": 0}
    intent = {
        "runs": [{**as_record(settings), "results": str(settings.results)}],
        "code": {},
        "tasks": [[cell]],
        "minutes": 0,
    }
    (tmp_path / "intent.json").write_text(json.dumps(intent))
    done = subprocess.run(
        [sys.executable, "-c", TOLD_TWICE, str(tmp_path / "intent.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    record = json.loads((tmp_path / "results/cells/t/small/swift/f0-s0.failed.json").read_text())
    assert record["error"]["kind"] == "timeout"


def test_a_library_that_cannot_be_loaded_fails_the_cell_and_ends_no_worker(tmp_path, monkeypatch):
    """As where there is too little memory for torch."""
    settings = Settings("phantom-cxr-age", tmp_path / "results", tmp_path / "cache", None)
    planned = PlannedCell(Cell("phantom-cxr-age", "small", "baseline", 0, 0), "ab", settings)
    monkeypatch.setitem(sys.modules, "bench.running.compute_cell", None)
    event = attempt(planned)
    assert (event.kind, event.error.name) == ("failed", "ModuleNotFoundError")
    assert (tmp_path / "results/cells/phantom-cxr-age/small/baseline/f0-s0.failed.json").is_file()


def test_a_folder_in_the_place_of_the_failure_is_said_to_be_that(tmp_path, monkeypatch):
    settings = Settings("phantom-cxr-age", tmp_path / "results", tmp_path / "cache", None)
    planned = PlannedCell(Cell("phantom-cxr-age", "small", "baseline", 0, 0), "ab", settings)
    monkeypatch.setitem(sys.modules, "bench.running.compute_cell", None)
    (tmp_path / "results/cells/phantom-cxr-age/small/baseline/f0-s0.failed.json").mkdir(parents=True)
    with pytest.raises(NotWritten, match=r"f0-s0\.failed\.json is a folder"):
        attempt(planned)
