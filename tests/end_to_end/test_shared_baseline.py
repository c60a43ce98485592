"""Two tasks of one table, by sex and by age, in one cache: one baseline, and images of unknown attribute in no group."""

import dataclasses
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench.cells.identity import baselines_folder, log_file, predictions_file
from bench.lease import lease
from bench.reporting.task_results import read
from bench.reporting.words.notes import partial
from bench.running import compute_cell
from bench.running.plan import checkpoint_file
from bench.running.run_task import plan_run
from bench.settings import Settings
from bench.taskfile import resolve
from tests.prose import sentences_with
from tests.task_texts import RECIPE

TASK = """
folds = 2
image_size = 16
channels = 1
[source]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = {{ site = ["A"] }}
[ood.b]
dataset = "manifest:csv=films.csv,patient_column=patient"
where = {{ site = ["B"] }}
[label]
column = "ill"
names = ["well", "ill"]
[attribute]
{attribute}
""" + RECIPE.format(epochs=1, batch=16)
ATTRIBUTES = {
    "sex": 'column = "sex"\none = ["F"]\nzero = ["M"]\nnames = ["men", "women"]',
    "age": 'column = "age"\nabove = 65\nnames = ["young", "old"]',
}
PEEK = '''"""Peek: for tests."""

from dataclasses import dataclass

from bench.api import Method


@dataclass(frozen=True, kw_only=True)
class Peek(Method):
    """Tells the groups and the number of the images that it is given, and returns the baseline."""

    title = "Peek"
    uses = frozenset({"train", "val", "external"})

    def fit(self, run):
        for name in ("train", "val", "external"):
            split = run.split(name)
            run.log(**{name: [int(split.a.min()), int(split.a.max()), len(split)]})
        return run.model
'''


def hospital(folder):
    """120 films of 60 patients and their tasks; the sex of one patient in six is not said, nor the age of one in five."""
    rng = np.random.default_rng(0)
    k = np.arange(120)
    p = k // 2
    table = pd.DataFrame({"path": [f"{i:03}.png" for i in k], "patient": [f"p{i}" for i in p]})
    table["site"], table["ill"] = np.where(p % 4 == 3, "B", "A"), (p // 4 + p) % 2
    table["sex"] = ["" if i % 6 == 5 else "FM"[i // 3 % 2] for i in p]
    table["age"] = ["" if i % 5 == 4 else str(40 + i // 2 % 2 * 40) for i in p]
    for path, ill in zip(table["path"], table["ill"], strict=True):
        Image.fromarray((rng.integers(0, 200, (16, 16)) + 50 * ill).astype(np.uint8)).save(folder / path)
    table.to_csv(folder / "films.csv", index=False)
    for name, attribute in ATTRIBUTES.items():
        (folder / f"{name}.toml").write_text(TASK.format(attribute=attribute))
    (folder / "peek.py").write_text(PEEK)
    return table


def settings_of(folder, name, cache="cache"):
    file, plugins = str(folder / f"{name}.toml"), (folder / "peek.py",)
    places = folder / "results", folder / cache
    return Settings(file, *places, folder, plugins, methods="peek", backbone="small", folds=(0,))


def run(settings):
    """Compute the cells of a run in this process; return their records by method."""
    return {p.cell.spec: compute_cell.run_cell(p) for p in plan_run(settings)[1]}


def baselines(settings):
    return {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in baselines_folder(settings.cache).iterdir()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder, its table, the records of both tasks, and the files of weights after the first and after the second."""
    folder = tmp_path_factory.mktemp("hospital")
    table, records, files = hospital(folder), {}, []
    for name in ATTRIBUTES:
        records[name] = run(settings_of(folder, name))
        files.append(baselines(settings_of(folder, name)))
    return folder, table, records, files


def test_the_weights_are_trained_once(world):
    folder, _, records, (after_first, after_second) = world
    assert len(after_first) == 1
    assert after_second == after_first, "neither trained again nor touched, and no lease is left"
    shas = {record.baseline_sha256 for of_task in records.values() for record in of_task.values()}
    assert len(shas) == 1
    own = settings_of(folder, "age", cache="own")
    alone = run(dataclasses.replace(own, results=folder / "alone", methods="baseline"))
    assert baselines(own).keys() == after_first.keys()
    assert {alone["baseline"].baseline_sha256} == shas, "the task that comes first does not matter"


def test_every_baseline_knows_what_its_training_took_and_no_method_does(world):
    for name, of_task in world[2].items():
        train, epochs = (
            of_task["baseline"].data["train"].n,
            resolve(str(world[0] / f"{name}.toml")).recipe.pretrain_epochs,
        )
        assert of_task["baseline"].cost.pretraining_images == train * epochs > 0
        assert of_task["peek"].cost.pretraining_images is None


def test_methods_see_no_image_without_a_group_and_all_others(world):
    _, table, records, _ = world
    for name, of_task in records.items():
        log, unknown = of_task["peek"].log, table.loc[table["site"] == "A", name].eq("").sum()
        assert [log[split][:2] for split in ("train", "val", "external")] == [[0, 1]] * 3
        assert unknown > 0
        assert log["train"][2] + log["val"][2] == (table["site"] == "A").sum() - unknown
        assert of_task["baseline"].data["train"].n + of_task["baseline"].data["val"].n == (table["site"] == "A").sum()


def test_predictions_and_scores_hold_them(world):
    folder, table, records, _ = world
    logits = {}
    for name, of_task in records.items():
        record = of_task["baseline"]
        found = pd.read_parquet(predictions_file(folder / "results", record.cell.identity))
        kept = found[found["set"] == "b"]
        known = table[table["site"] == "B"].set_index("path")[name]
        unknown = kept["image_id"].str.removeprefix("manifest:").map(known).eq("")
        assert unknown.any()
        np.testing.assert_array_equal(kept[f"a_{name}"] == -1, unknown)
        assert record.scores["b"].n == len(known)
        assert sum(group.n for group in record.scores["b"].groups.values()) == (~unknown).sum()
        logits[name] = kept["logit"].tolist()
        sites = table.groupby("site")[name].apply(lambda values: int((values == "").sum()))
        assert record.without_group == {
            "source": {"ATTRIBUTE_MISSING": sites["A"]},
            "b": {"ATTRIBUTE_MISSING": sites["B"]},
        }
    assert logits["sex"] == logits["age"]
    aucs = {name: of_task["baseline"].scores["b"].metric("auc") for name, of_task in records.items()}
    assert aucs["sex"] == aucs["age"], "one model has one AUC, as in the paper's tables"


def test_the_report_says_so(world):
    results = read(settings_of(world[0], "sex"))
    assert len(results.cells) == 2
    assert sentences_with("\n".join(partial(results.results)), "group") == snapshot(
        [
            "Without a group in source: the attribute is not known: 10.",
            "Without a group in b: the attribute is not known: 10.",
        ]
    )


def test_a_cell_waits_for_the_baseline_that_another_task_trains(world, monkeypatch):
    folder, _, records, (trained, _) = world
    settings = dataclasses.replace(settings_of(folder, "age", cache="waited"), results=folder / "waited-results")
    _, (planned, *_) = plan_run(settings)
    file, said = checkpoint_file(settings.cache, planned.origin), []
    monkeypatch.setattr(compute_cell, "WAIT", 0.02)
    monkeypatch.setattr(compute_cell, "train_baseline", lambda *_, **__: pytest.fail("trained a second time"))
    waiting = threading.Thread(target=lambda: compute_cell.run_cell(planned, said.append), daemon=True)
    with lease(file.with_suffix("")) as other:
        assert other is None
        waiting.start()
        while not said and waiting.is_alive():
            time.sleep(0.01)
        assert not file.exists()
        file.write_bytes(trained[file.name][0])
    waiting.join(60)
    assert not waiting.is_alive()
    assert re.sub(r"process \d+ on \S+", "process N", said[0]) == snapshot(
        "waits for the same baseline, which process N trains"
    )
    cells = compute_cell.store.read_cell(folder / f"waited-results/cells/{planned.cell.path}.json")
    assert cells.baseline_sha256 == records["age"]["baseline"].baseline_sha256


@pytest.mark.slow
def test_two_runs_at_once_train_one_baseline(tmp_path):
    hospital(tmp_path)
    for name in ATTRIBUTES:
        file = tmp_path / f"{name}.toml"
        file.write_text(file.read_text().replace("pretrain_epochs = 1", "pretrain_epochs = 60"))
    command = [sys.executable, "-m", "bench.cli", "run", "--methods", "baseline", "--folds", "0", "--task"]
    both = [
        subprocess.Popen([*command, f"{name}.toml"], cwd=tmp_path, env=os.environ, stdout=subprocess.DEVNULL)
        for name in ATTRIBUTES
    ]
    assert [process.wait(300) for process in both] == [0, 0]
    cells = [plan_run(settings_of(tmp_path, name))[1][0].cell for name in ATTRIBUTES]
    logs = [log_file(tmp_path / "results", cell).read_text() for cell in cells]
    assert sum("pre-training, epoch 1/60" in log for log in logs) == 1
    assert len(list(baselines_folder(tmp_path / ".cache").iterdir())) == 1
