"""`bench prepare --features`: the task on the vectors asks what the task on the images asked."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.task_data import open_data
from bench.errors import UsageError
from bench.settings import Settings
from bench.share.features_file import write_features
from tests.unit.several_labels import SETS

N = 48
TASK = (
    """
folds = 2
image_size = 16
channels = 1
unit = "exam"
polarity = "clinical"
labels = ["Effusion", "Edema"]
"""
    + SETS
    + """\
[attribute]
column = "age"
cuts = [40, 60]
names = ["young", "middle", "old"]
[also.sex]
column = "sex"
zero = ["M"]
one = ["F"]
names = ["men", "women"]
primary = true
"""
)


@pytest.fixture
def hospital(tmp_path):
    """Two films of each exam; the sex of each tenth patient is not known."""
    draw, patient = np.random.default_rng(0), np.arange(N) // 2
    for k in range(N):
        Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8)).save(tmp_path / f"{k:03}.png")
    table = pd.DataFrame(
        {
            "path": [f"{k:03}.png" for k in range(N)],
            "patient": [f"p{k}" for k in patient],
            "exam": [f"e{k}" for k in patient],
            "site": np.where(patient % 4 == 3, "B", "A"),
            "age": 30 + patient % 3 * 20,
            "sex": np.where(patient % 10 == 0, "", np.where(patient % 2, "F", "M")),
            "Effusion": patient // 2 % 2,
            "Edema": (draw.random(N // 2) < 0.4).astype(int).repeat(2),
        }
    )
    table.to_csv(tmp_path / "films.csv", index=False)
    (tmp_path / "films.toml").write_text(TASK)
    return tmp_path


def settings(folder, task, **more):
    return Settings(str(folder / task), folder / "results", folder / "cache", folder, jobs=1, **more)


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_labels_groups_and_units_are_those_of_the_images(hospital, suffix):
    images = settings(hospital, "films.toml:label=Edema")
    write_features(images, "small", hospital / f"vectors.{suffix}")
    asked, found = open_data(images), open_data(settings(hospital, "vectors.toml"))
    for name in ("source", "b"):
        one, other = (data.tables[name].set_index("unit")[["y", "a", "also_sex"]] for data in (asked, found))
        pd.testing.assert_frame_equal(other.sort_index(), one.sort_index(), check_dtype=False)
    swapped = {data.split("b", 0)["y"].sum() for data in (asked, found)}
    assert swapped == {(asked.tables["b"]["y"] == 0).sum()}
    assert set(found.tables["source"]["also_sex"]) == {-1, 0, 1}
    assert found.task.also["sex"].primary
    assert (found.task.unit, found.task.labels) == ("exam", {})


def test_two_columns_of_one_name_are_refused(hospital):
    (hospital / "films.toml").write_text(TASK.replace("[also.sex]", "[also.exam]"))
    with pytest.raises(UsageError, match="'exam' names two columns of the file of features"):
        write_features(settings(hospital, "films.toml:label=Edema"), "small", hospital / "vectors.npz")
    assert not (hospital / "vectors.npz").exists()


def test_features_of_images_under_an_agreement_stay_under_it(hospital):
    (hospital / "films.toml").write_text(TASK.replace("manifest:", "manifest:agreement=yes,"))
    write_features(settings(hospital, "films.toml:label=Edema"), "small", hospital / "vectors.npz")
    assert (hospital / "vectors.npz").stat().st_mode & 0o077 == 0
    data = open_data(settings(hospital, "vectors.toml"))
    assert all(source.dataset.credentialed for source in data.sources.values())
    (hospital / "films.toml").write_text(TASK)
    write_features(settings(hospital, "films.toml:label=Edema"), "small", hospital / "open.npz")
    data = open_data(settings(hospital, "open.toml"))
    assert not any(source.dataset.credentialed for source in data.sources.values())


def test_a_task_that_is_there_already_is_kept_and_said_to_differ(hospital, capsys):
    images, task = settings(hospital, "films.toml:label=Edema"), hospital / "vectors.toml"

    def told():
        write_features(images, "small", hospital / "vectors.npz")
        return capsys.readouterr().out.splitlines()[-1]

    assert told() == str(task)
    assert told() == str(task)
    own = task.read_text() + "# mine\n"
    task.write_text(own)
    assert told().startswith(f"{task} exists and is kept")
    assert task.read_text() == own
