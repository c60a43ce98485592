"""The identity of a cell, and all paths below `results/` and the cache; no other module knows these paths.

<results>/cells/<task>/<backbone>/<method>/f0-s0.json          the cell (`bench.cells.record`)
                                          f0-s0.scores.json    its scores, which `bench metrics --recompute` rebuilds
                                          f0-s0.parquet        its predictions (`bench.cells.predictions`)
                                          f0-s0.pictures.npz   activation maps and strips (`bench.running.pictures`)
                                          f0-s0.safetensors    its weights, with `bench run --keep-models`
                                          f0-s0.log            the log of all attempts
                                          f0-s0.failed.json    why it failed, with the traceback
<results>/tuning/cells/...                                     trials and choices of `bench tune`
<results>/runs/<task>.json                                     the settings of the runs
<results>/plans/<name>.toml                                    the plans of several runs, in full
<results>/scored/<task>.toml                                   the tasks of predictions made elsewhere (`bench score`)
<results>/splits/<task>.csv                                    the folds that were used
<results>/attributes/<task>.parquet                            the groups of images in further attributes
<results>/slurm/<name>/                                        submissions to a cluster
<cache>/baselines/<hash>.pt                                    weights of baselines
<cache>/shared/<hash>                                          values that cells of a fold share
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

SCHEMA = 3
"""Schema of a stored cell; raised if its fields change, or if the harness changes numbers."""
BASELINE = "baseline"
"""The spec of the model that all methods start from and are compared with."""
ELSEWHERE = "elsewhere"
"""The backbone of predictions that were made elsewhere (`bench score`)."""
ENDINGS = (".json", ".scores.json", ".parquet", ".pictures.npz", ".safetensors", ".log", ".failed.json")
"""Endings of the names of the files of a cell."""
CELL_FILE = re.compile(r"f\d+-s\d+(" + "|".join(map(re.escape, ENDINGS)) + ")")
"""Matches names of files of a cell, which are in <backbone>/<method>/ in the folder of the task."""


@dataclass(frozen=True)
class Cell:
    """One method on one fold with one seed, as a worker receives it."""

    task: str
    backbone: str
    spec: str
    """The canonical spec, such as `swift:epsilon=0.2` or `swift@tuned`."""
    fold: int
    seed: int
    choice: str = ""
    """The choice of `bench tune` for a tuned spec, as JSON (see `bench.running.plan`)."""

    @property
    def runs(self) -> str:
        """The spec with the parameters of the run."""
        return json.loads(self.choice)["chosen"] if self.choice else self.spec

    @cached_property
    def path(self) -> Path:
        """The path of the cell below `results/cells`, without ending."""
        return Path(slug(self.task), self.within)

    @cached_property
    def within(self) -> str:
        """The path of the cell in the folder of its task, without ending: `small/swift/f0-s0`."""
        return f"{slug(self.backbone)}/{slug(self.spec)}/f{self.fold}-s{self.seed}"

    def __str__(self) -> str:
        return str(self.path)


_HASHED = re.compile(r"^\.|\+|(^|-)[0-9a-f]{8}$")
LONGEST = 150
"""Bytes of the name of a folder; file systems allow 255. A letter of Chinese has three."""


@cache
def slug(spec: str) -> str:
    """Return the name of the folder of a method or task: `swift+epsilon-0.2`.

    A name with other signs or a plus, with capitals, of many letters, with a dot in front or with such an end of its
    own gets a hash, so that no two share a folder, also where the disk does not tell `A` from `a`, and none is outside
    of its own.
    """
    plain = spec.replace(":", "+").replace("=", "-").replace(",", "+")
    name = re.sub(r"[^\w.+@-]", "_", plain)
    folded = unicodedata.normalize("NFC", spec).casefold()
    if name == plain and spec == folded and len(name.encode()) <= LONGEST and not _HASHED.search(spec):
        return name
    start = name.encode()[:LONGEST].decode(errors="ignore")
    return f"{start.lstrip('.')}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}".lstrip("-")


def only_elsewhere(results: Path, task: str) -> bool:
    """Return whether all results of a task are of predictions that were made elsewhere."""
    folder = cells_folder(results, task)
    return folder.is_dir() and [file.name for file in folder.glob("[!.]*")] == [ELSEWHERE]


def cells_folder(results: Path, task: str = "") -> Path:
    """Return the folder of the cells of a task, or of all tasks."""
    return results / "cells" / slug(task)


def results_of(file: Path) -> Path:
    """Return the folder of results that a cell's file is in."""
    return file.parents[4]


def cell_place(results: Path, cell: Cell) -> Path:
    """Return the path of the files of a cell, without ending; its lease is taken on this path."""
    return results / "cells" / cell.path


def cell_file(results: Path, cell: Cell, ending: str = ".json") -> Path:
    """Return the JSON file of a cell, or the file with another of `ENDINGS`."""
    place = cell_place(results, cell)
    return place.with_name(place.name + ending)


def scores_file(file: Path) -> Path:
    """Return the file of the scores of the cell whose JSON is `file`."""
    return file.with_suffix(".scores.json")


failure_file = partial(cell_file, ending=".failed.json")
"""The file that says why a cell failed."""
predictions_file = partial(cell_file, ending=".parquet")
"""The file of the predictions of a cell."""
pictures_file = partial(cell_file, ending=".pictures.npz")
"""The file of the pictures of a cell, which not every cell has."""
weights_file = partial(cell_file, ending=".safetensors")
"""The file of the weights of a cell, which `bench run --keep-models` writes."""
log_file = partial(cell_file, ending=".log")
"""The log of a cell: all of its attempts, the last one at the end."""


def tuning_results(results: Path) -> Path:
    """Return the folder of the trials of `bench tune`, which no report reads."""
    return results / "tuning"


def runs_folder(results: Path) -> Path:
    """Return the folder of the files of runs."""
    return results / "runs"


def runs_file(results: Path, task: str) -> Path:
    """Return the file with the settings of the runs of a task."""
    return runs_folder(results) / f"{slug(task)}.json"


def plans_file(results: Path, name: str) -> Path:
    """Return the file of a plan of `bench run`, in full."""
    return results / "plans" / f"{slug(name)}.toml"


def scored_folder(results: Path) -> Path:
    """Return the folder of the task files of predictions that were made elsewhere."""
    return results / "scored"


def splits_file(results: Path, task: str) -> Path:
    """Return the split manifest that a run of a task writes."""
    return results / "splits" / f"{slug(task)}.csv"


def groups_file(results: Path, task: str) -> Path:
    """Return the file of the groups of the images of a task in further attributes."""
    return results / "attributes" / f"{slug(task)}.parquet"


def slurm_folder(results: Path) -> Path:
    """Return the folder of the submissions to a cluster."""
    return results / "slurm"


def baselines_folder(cache: Path) -> Path:
    """Return the folder of the weights of baselines."""
    return cache / "baselines"


def shared_folder(cache: Path) -> Path:
    """Return the folder of the shared cache of cells."""
    return cache / "shared"
