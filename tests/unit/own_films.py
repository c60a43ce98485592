"""A folder of films of one's own with its table and its task, as a user has it."""

import csv

import numpy as np
from PIL import Image

from bench.data.task_data import open_data
from bench.settings import Settings

TASK = """
image_size = 16
channels = 1
folds = 2
[source]
dataset = "manifest:csv=films.csv,path_column=file,patient_column=patient"
where = { hospital = ["A"] }
[ood.b]
dataset = "manifest:csv=films.csv,path_column=file,patient_column=patient"
where = { hospital = ["B"] }
[label]
column = "finding"
one = ["opacity"]
zero = ["none"]
names = ["none", "opacity"]
[attribute]
column = "sex"
one = ["F"]
zero = ["M"]
names = ["men", "women"]
"""
ROWS = [
    {"file": f"f{i:02}.png", "patient": f"p{i // 2}", "hospital": "AAB"[i // 2 % 3], "sex": "FM"[i // 2 % 2]}
    | {"finding": ("none", "opacity")[i % 2], "age": str(20 + i)}
    for i in range(48)
]


def own_films(folder):
    """A folder of 48 films, each another grey, with their table and their task."""
    for i, row in enumerate(ROWS):
        Image.fromarray(np.full((8, 8), i, dtype=np.uint8)).save(folder / row["file"])
    write(folder)
    return folder


def write(folder, rows=ROWS, task=TASK):
    with (folder / "films.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "films.toml").write_text(task)


def opened(folder, **changes):
    task = str(folder / "films.toml")
    return open_data(Settings(task=task, data=folder, cache=folder / "cache", results=folder / "r", **changes))
