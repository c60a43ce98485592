"""Ten thousand images by 55 cells, scored from their predictions."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from bench.cells import store
from bench.cells.identity import Cell
from bench.scoring.metrics import score_sets
from tests.factory import record

GROUPS = ("up to 65", "over 65")
SETS = {"val": 2000, "ood_neutral": 4000, "ood_reversed": 4000}
METHODS = 11


@pytest.fixture
def cells(tmp_path):
    """Cells of version 1 of the metrics: eleven methods on five folds, 10,000 images each."""
    for method in range(METHODS):
        for fold in range(5):
            rng, tables = np.random.default_rng([method, fold]), []
            for name, n in SETS.items():
                y, a = rng.integers(0, 2, n).astype("int8"), rng.integers(0, 2, n).astype("int8")
                ids = [f"phantom:chest:{name}:{i:06d}" for i in range(n)]
                logit = rng.normal(y - 0.4 * a, 1).astype("float32")
                tables.append(pd.DataFrame({"set": name, "image_id": ids, "y": y, "a": a, "logit": logit}))
            table = pd.concat(tables, ignore_index=True)
            sets = {
                str(name): tuple(rows[key].to_numpy() for key in ("logit", "y", "a"))
                for name, rows in table.groupby("set")
            }
            scores = score_sets(sets, GROUPS)
            for one in scores.values():
                del one["min_tpr"]
            cell = Cell("phantom-cxr-age", "small", f"m{method}", fold, 0)
            stored = record(cell.spec, fold, task=cell.task, metrics_version=1, scores=scores)
            table = table.rename(columns={"a": "a_age"}).assign(cluster=range(len(table)))
            store.save_cell(tmp_path, cell, stored, table, b"")
    return tmp_path


def test_ten_thousand_images_of_55_cells_are_scored_in_ten_seconds(cells):
    command = [sys.executable, "-m", "bench.cli", "metrics", "--recompute", "--results", str(cells)]
    for what, said in (("written", "55 of 55"), ("again", "0 of 55")):
        begun = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begun
        assert said in done.stdout
        print(f"\nbench metrics --recompute, 55 cells of 10,000 images, {what}: {seconds:.2f} s on the wall (10 s)")
        assert seconds < 10
