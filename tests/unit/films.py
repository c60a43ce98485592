"""A folder of films with a table, a task of two folds on it, and its split manifest; no film is opened."""

import json

import numpy as np
import pandas as pd

from bench.api import Attribute, Label, Recipe, Rows, Task
from bench.cells.identity import Cell
from bench.data import split_manifest
from bench.data.task_data import task_data
from bench.running.plan import cell_hash

SPEC = "manifest:csv=films.csv,patient_column=patient"
TASK = Task(
    name="own",
    says="",
    source=Rows(dataset=SPEC, where={"site": ("A",)}),
    ood={"b": Rows(dataset=SPEC, where={"site": ("B",)})},
    label=Label(column="ill", names=("well", "ill")),
    attribute=Attribute(column="old", names=("young", "old")),
    image_size=16,
    channels=3,
    crop="none",
    folds=2,
    recipe=Recipe(
        pretrain_optimiser="sgd",
        pretrain_lr=1e-2,
        pretrain_epochs=1,
        optimiser="sgd",
        lr_extractor=1e-3,
        lr_head=1e-2,
        epochs=2,
        epsilon=0.1,
    ),
)
N = 120


def films(root, order=range(N), *, age=False):
    """Two films of each patient, three in four of site A; the old are fewer and more often ill. No file is opened."""
    i = np.array(list(order))
    table = pd.DataFrame(
        {
            "path": [f"{k:03}.png" for k in i],
            "patient": [f"p{k // 2}" for k in i],
            "site": np.where(i // 2 % 4 == 3, "B", "A"),
            "ill": i // 2 % 3 // 2,
            "old": (i // 2 % 5 > 2).astype(int),
        }
    )
    if age:
        table["age"] = 30 + i // 2 % 5 * 12
    return put_films(root, table)


def put_films(root, table):
    """Write a table of films as `films.csv`, and an empty file for each."""
    root.mkdir(parents=True, exist_ok=True)
    for name in table["path"]:
        (root / name).touch()
    table.to_csv(root / "films.csv", index=False)
    return root


def written(root, task=TASK):
    file = root.parent / "splits.csv"
    file.write_text(split_manifest.manifest(task, task_data(task, root).cut()), encoding="utf-8")
    return file


def frame(file):
    return pd.read_csv(file, comment="#")


def rewritten(file, cut, *, signed=True, task=TASK):
    """A manifest of other rows; unsigned, its first line has neither n nor sha256."""
    cut = cut.assign(external=cut["external"].fillna(-1).astype(int))
    text = split_manifest.manifest(task, cut)
    if not signed:
        line, rest = text.split("\n", 1)
        header = json.loads(line[2:])
        text = "# " + json.dumps({k: v for k, v in header.items() if k not in ("n", "sha256")}) + "\n" + rest
    file.write_text(text, encoding="utf-8")
    return file


def hashes(data, methods=("baseline", "swift", "fullft_reg")):
    return [cell_hash(Cell(data.task.name, "small", m, fold, 0), data) for m in methods for fold in (0, 1)]
