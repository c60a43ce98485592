"""Kinds of failure: of errors, of ends of processes, of states of SLURM jobs."""

import signal
import subprocess
import sys

import pytest
import torch

from bench.errors import DataInvalid, DataMissing, EmptyGroup, NonFinite, PluginBroken, UndeclaredSplit
from bench.run.failure import ATTEMPTS, KINDS, classify, of_exit, of_slurm

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
    assert of_exit(ended.returncode) == kind


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("TIMEOUT", "timeout"), ("NODE_FAIL", "node"), ("PREEMPTED", "preempted"), ("OUT_OF_MEMORY", "oom"),
        ("OUT_OF_ME+", "oom"), ("CANCELLED by 1000", "cancelled"), ("CANCELLED+", "cancelled"), ("FAILED", "bug"),
        ("COMPLETED", None), ("RUNNING", None), ("", None),
    ],
)  # fmt: skip
def test_a_state_of_slurm_has_a_kind(state, kind):
    assert of_slurm(state) == kind


def test_only_what_says_nothing_of_the_cell_is_tried_again_by_itself():
    assert {kind for kind in KINDS if ATTEMPTS.get(kind, 1) > 1} == {"node", "preempted", "timeout"}
