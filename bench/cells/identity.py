"""Which cell is which, and where each file of it is: the only place that knows paths below `results/` and the cache.

<results>/cells/<task>/<backbone>/<method>/f0-s0.json          the cell (`bench.cells.record`)
                                          f0-s0.scores.json    its scores, which `bench metrics --recompute` rebuilds
                                          f0-s0.parquet        its predictions (`bench.cells.predictions`)
                                          f0-s0.pictures.npz   activation maps and strips (`bench.run.pictures`)
                                          f0-s0.log            the log of all attempts
                                          f0-s0.failed.json    why it failed, with the traceback
<results>/tuning/cells/...                                     trials and choices of `bench tune`
<results>/runs/<task>.json                                     which runs were asked for
<results>/splits/<task>.csv                                    the folds that were used
<results>/slurm/<name>/                                        submissions to a cluster
<cache>/baselines/<hash>.pt                                    weights of baselines
<cache>/shared/<hash>                                          values that cells of a fold share
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

SCHEMA = 2
"""Of a stored cell; raised when its fields change, or the harness changes in a way that moves numbers."""
BASELINE = "baseline"
"""The spec of the model that all methods start from and are compared with."""
ENDINGS = (".json", ".scores.json", ".parquet", ".pictures.npz", ".log", ".failed.json")
"""How the names of the files of a cell end."""
CELL_FILE = re.compile(r"f\d+-s\d+(" + "|".join(map(re.escape, ENDINGS)) + ")")
"""Names of the files of a cell, which are in <backbone>/<method>/ of the folder of the task."""


@dataclass(frozen=True)
class Cell:
    """One method on one fold: all that a worker is told."""

    task: str
    backbone: str
    spec: str
    """The canonical spec, such as `swift:epsilon=0.2` or `swift@tuned`."""
    fold: int
    seed: int
    choice: str = ""
    """What `bench tune` chose for a tuned spec, as JSON (see `bench.run.plan`)."""

    @property
    def runs(self) -> str:
        """The spec of the parameters that it runs with."""
        return json.loads(self.choice)["chosen"] if self.choice else self.spec

    @cached_property
    def path(self) -> Path:
        """The cell's place below `results/cells`, without ending."""
        return Path(slug(self.task), self.within)

    @cached_property
    def within(self) -> str:
        """The cell's place in the folder of its task, without ending: `small/swift/f0-s0`."""
        return f"{self.backbone}/{slug(self.spec)}/f{self.fold}-s{self.seed}"

    def __str__(self) -> str:
        return str(self.path)


@cache
def slug(spec: str) -> str:
    """Return the name of the folder of a method or task: `swift+epsilon-0.2`."""
    return re.sub(r"[^\w.+@-]", "_", spec.replace(":", "+").replace("=", "-").replace(",", "+"))


def cells_folder(results: Path, task: str = "") -> Path:
    """Return the folder of the cells of a task, or of all tasks."""
    return results / "cells" / slug(task)


def results_of(file: Path) -> Path:
    """Return the folder of results that a cell's file is in."""
    return file.parents[4]


def cell_place(results: Path, cell: Cell) -> Path:
    """Return the place of a cell's files, without ending; its lease is taken on it."""
    return results / "cells" / cell.path


def cell_file(results: Path, cell: Cell, ending: str = ".json") -> Path:
    """Return the JSON file of a cell, or that with another of `ENDINGS`."""
    place = cell_place(results, cell)
    return place.with_name(place.name + ending)


def scores_file(file: Path) -> Path:
    """Return the file of the scores of the cell whose JSON is `file`."""
    return file.with_suffix(".scores.json")


def failure_file(results: Path, cell: Cell) -> Path:
    """Return the file that says why a cell failed."""
    return cell_file(results, cell, ".failed.json")


def predictions_file(results: Path, cell: Cell) -> Path:
    """Return the file of the predictions of a cell."""
    return cell_file(results, cell, ".parquet")


def pictures_file(results: Path, cell: Cell) -> Path:
    """Return the file of the pictures of a cell, which not every cell has."""
    return cell_file(results, cell, ".pictures.npz")


def log_file(results: Path, cell: Cell) -> Path:
    """Return the log of a cell: all of its attempts, the last one at the end."""
    return cell_file(results, cell, ".log")


def tuning_results(results: Path) -> Path:
    """Return the folder of the trials of `bench tune`, which no report reads."""
    return results / "tuning"


def runs_folder(results: Path) -> Path:
    """Return the folder of the files of runs."""
    return results / "runs"


def runs_file(results: Path, task: str) -> Path:
    """Return the file of the runs of a task that were asked for."""
    return runs_folder(results) / f"{slug(task)}.json"


def splits_file(results: Path, task: str) -> Path:
    """Return the split manifest that a run of a task writes."""
    return results / "splits" / f"{slug(task)}.csv"


def slurm_folder(results: Path) -> Path:
    """Return the folder of the submissions to a cluster."""
    return results / "slurm"


def baselines_folder(cache: Path) -> Path:
    """Return the folder of the weights of baselines."""
    return cache / "baselines"


def shared_folder(cache: Path) -> Path:
    """Return the folder of the shared cache of cells."""
    return cache / "shared"
