"""A hospital whose table has several labels, and the task files that ask about them."""

import json

import numpy as np
import pandas as pd

from bench import taskfile
from bench.data.task_data import task_data
from tests.unit.films import put_films

N = 240
HEAD = """
folds = 2
image_size = 16
channels = 1
"""
SETS = """
[source]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = { site = ["A"] }
[ood.b]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = { site = ["B"] }
"""
TABLES = (
    SETS
    + """\
[attribute]
column = "old"
names = ["young", "old"]
"""
)
LIST = 'labels = ["Effusion", "Edema"]'


def hospital(folder):
    """Two films of each patient; `Edema` is unknown of each tenth film, `rare` is in one fold and `all` is 1 or unknown."""
    draw, patient = np.random.default_rng(0), np.arange(N) // 2
    effusion, edema = (draw.random(N) < share for share in (0.4, 0.3))
    table = pd.DataFrame(
        {
            "path": [f"{k:03}.png" for k in range(N)],
            "patient": [f"p{k}" for k in patient],
            "site": np.where(patient % 4 == 3, "B", "A"),
            "old": patient % 5 // 3,
            "Effusion": effusion.astype(int),
            "Edema": np.where(np.arange(N) % 10 == 0, "", edema.astype(int).astype(str)),
            "same": effusion.astype(int),
            "well": 1 - effusion.astype(int),
            "old_too": patient % 5 // 3,
            "apart": (~effusion & (draw.random(N) < 0.5)).astype(int),
            "rare": (patient == 0).astype(int),
            "none": 0,
            "dx": draw.choice(["mel", "bcc", "nv"], N),
        }
    )
    put_films(folder, table)
    for name in table["path"]:
        (folder / name).write_text(name)  # no two files are the same
    return folder


def own(folder, labels=LIST, more=""):
    (folder / "own.toml").write_text(HEAD + labels + TABLES + more)
    return str(folder / "own.toml")


def read(spec, folder):
    return task_data(taskfile.resolve(spec), folder)


def several(*names):
    return "labels = " + json.dumps(names)
