"""A table of a million rows: the doctor and a dry run, before anything is decoded."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.perf.perf_cells import spent

ROWS, FOLDERS, HOSPITALS = 1_000_000, 200, 4
TASK = """image_size = 32
channels = 1
crop = "none"
recipe = "small"
backbones = ["small"]
folds = 5
[label]
column = "finding"
one = ["disease"]
zero = ["none"]
names = ["none", "disease"]
[attribute]
column = "age"
above = 65
names = ["up to 65", "over 65"]
[source]
dataset = "manifest:patient_column=patient"
where = { hospital = ["0", "1", "2"] }
[ood.far]
dataset = "manifest:patient_column=patient"
where = { hospital = ["3"] }
"""


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """A million small PNG files in 200 folders, no two alike (4 GB), and their table: a patient has five images."""
    folder, rng = tmp_path_factory.mktemp("million"), np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (24, 24), dtype=np.uint8)).save(folder / "film.png")
    content = (folder / "film.png").read_bytes()
    (folder / "film.png").unlink()
    names = [f"films/{number * FOLDERS // ROWS:03}/{number:07}.png" for number in range(ROWS)]
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True) if number % (ROWS // FOLDERS) == 0 else None
        file.write_bytes(content + number.to_bytes(4, "little"))  # behind the last chunk of the PNG
    patient, age = np.arange(ROWS) // 5, rng.integers(18, 95, ROWS)
    sick = np.where(rng.random(ROWS) < 0.1 + 0.003 * age, "disease", "none")
    table = {"path": names, "patient": patient, "hospital": patient % HOSPITALS, "age": age, "finding": sick}
    pd.DataFrame(table).to_csv(folder / "manifest.csv", index=False)
    (folder / "films.toml").write_text(TASK)
    return folder


@pytest.mark.parametrize("what", ["a first dry run", "the doctor", "a second dry run"])
def test_a_table_of_a_million_rows_takes_a_minute(million, what):
    words = ("doctor", "films.toml") if what == "the doctor" else ("run", "--dry-run", "--task", "films.toml")
    seconds, memory, said, code = spent((*words, "--data", ".", "--cache", "cache"), million)
    print(f"\n{what} of {ROWS:,} rows: {seconds:.1f} CPU s (60 s), {memory:.0f} MB")
    assert code == 0, said[-500:]
    assert (f"rows {ROWS}" if words[0] == "doctor" else "55 cells to compute") in " ".join(said.split()), said[-500:]
    assert seconds < 60
