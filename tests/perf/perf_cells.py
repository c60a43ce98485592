"""18,370 cells: every command but the report."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from msgspec import structs

from bench.cells.identity import cell_file, cell_place, predictions_file, scores_file
from bench.cells.intact import described, sealed
from bench.cells.predictions import ATTRIBUTE, write_predictions
from bench.cells.record import Scores, scores_identity
from bench.running.history import remember
from bench.running.run_task import plan_run
from bench.scoring.definitions import VERSION
from bench.settings import Settings
from bench.tasks import TASKS
from tests.factory import record, scores

SEEDS = tuple(range(334))
CELLS = 18_370
TASK = "phantom-cxr-age"
CACHE = Path(__file__).parents[2] / ".cache"
ASKED = ("--task", TASK, "--seeds", ",".join(map(str, SEEDS)))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Results of 18,370 done cells with records of the usual size and predictions of twelve images."""
    folder = tmp_path_factory.mktemp("many")
    settings = Settings(TASK, folder / "results", CACHE, None, seeds=SEEDS)
    _, cells = plan_run(settings)
    assert len(cells) == CELLS
    task = TASKS[TASK]
    groups = dict.fromkeys(task.attribute.names, (60, 40))
    sets = {name: scores(groups, value=0.123456789) for name in ("val", *task.ood)}
    rows = [(f"{name}-{i}", name, i, i % 2, 0.5 - i, i // 2) for name in sets for i in range(4)]
    columns = ["image_id", "set", "cluster", "y", "logit", ATTRIBUTE + task.attribute.column]
    write_predictions(folder / "one.parquet", pd.DataFrame(rows, columns=columns))
    content = (folder / "one.parquet").read_bytes()
    checksum, log = hashlib.sha256(content).hexdigest(), {f"fact {i}": 0.123456789 * i for i in range(200)}
    for planned in cells:
        cell, file = planned.cell, cell_file(settings.results, planned.cell)
        file.parent.mkdir(parents=True, exist_ok=True)
        predictions_file(settings.results, cell).write_bytes(content)
        facts = {"hash": planned.hash, "log": log, "predictions_sha256": checksum, "scores": sets}
        attributes = {task.attribute.column: task.attribute.names}
        made = record(cell.spec, cell.fold, seed=cell.seed, task=TASK, attributes=attributes, **facts)
        scored = Scores(version=VERSION, identity=scores_identity(made), sets=made.scores)
        scores_file(file).write_bytes(sealed(scored))
        beside = described(cell_place(settings.results, cell), (".parquet",))
        file.write_bytes(sealed(structs.replace(made, beside=beside, scores={}, metrics_version=0)))
    remember(settings, TASK)
    return folder


def spent(words, folder):
    """Run a command; return its CPU seconds, its largest memory in MB, and what it printed."""
    with (folder / "said").open("w") as said:
        words = [sys.executable, "-m", "bench.cli", *words]
        child = subprocess.Popen(
            words, cwd=folder, stdout=said, stderr=subprocess.STDOUT, env={**os.environ, "BENCH_CACHE": str(CACHE)}
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, (folder / "said").read_text(), child.returncode


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("status", "--verify"),
        ("run", *ASKED, "--dry-run"),
        ("run", *ASKED),
        ("retry", "--failed"),
        ("retry", "--stale"),
        ("clean", "--dry-run"),
        ("cancel",),
        ("logs", "f0-s0"),
    ],
    ids=lambda words: " ".join(word for word in words if word not in ASKED),
)
def test_a_command_on_18370_cells_takes_ten_seconds(many, words):
    seconds, memory, said, _ = spent(words, many)
    print(f"\nbench {' '.join(words)[:20]}, {CELLS:,} cells: {seconds:.1f} CPU s (10 s), {memory:.0f} MB")
    assert "Traceback" not in said
    if words[0] == "run":
        assert f"{CELLS} of {CELLS} cells done" in said or said.count("done ") >= CELLS, said[-500:]
    assert seconds < 10


def test_the_list_of_a_report_of_18370_cells_takes_a_gigabyte(many):
    seconds, memory, said, code = spent(("report", "--list", "--task", TASK), many)
    print(f"\nbench report --list, {CELLS:,} cells: {seconds:.1f} CPU s, {memory:.0f} MB (1,000)")
    assert code == 0, said[-500:]
    assert "left out" not in said
    assert memory < 1000
