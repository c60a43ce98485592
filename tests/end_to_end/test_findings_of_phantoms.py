"""Two further findings of a phantom, tied to sex: mitigating one of them leaves the others as they were planted."""

import pandas as pd
import pytest

from bench.interface import predictions
from bench.scoring.statistics import holm
from tests.end_to_end.conftest import server
from tests.task_texts import RECIPE, SEX

TASK = (
    """
name = "films"
says = "small films with three findings"
folds = 2
image_size = 32
channels = 1
crop = "none"
labels = ["pneumothorax", "effusion", "nodule"]

[source]
dataset = "phantom:family=chest,hospital=source,images=1200,size=32,findings=true"
[ood.neutral]
dataset = "phantom:family=chest,hospital=ood_neutral,images=600,size=32,findings=true"
[attribute]
"""
    + SEX
    + "\n"
    + RECIPE.format(epochs=10, batch=32).replace("pretrain_epochs = 1", "pretrain_epochs = 8")
)


def shifts(found):
    """The mean logit of women less that of men, over images of one class, averaged over both classes, by finding."""
    neutral = found[found["set"] == "neutral"]
    means = neutral.groupby(["fold", "y", "a"])["logit"].mean().unstack("a")
    return float((means[1] - means[0]).mean())


@pytest.mark.slow
def test_mitigating_one_finding_leaves_the_others_as_planted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.toml").write_text(TASK)

    def bench(*words):
        return server().run(words, tmp_path).returncode

    assert bench("run", "--task", "films.toml", "--methods", "baseline") == 0
    assert len(list((tmp_path / ".cache" / "baselines").glob("*.pt"))) == 2, "a fold has one baseline for all findings"
    of = {name: f"films.toml:label={name}" for name in ("pneumothorax", "effusion", "nodule")}
    before = {name: shifts(predictions(task, "baseline")) for name, task in of.items()}
    # Effusion is planted with women, nodules with men, and pneumothorax with neither.
    assert before["effusion"] > abs(before["pneumothorax"])
    assert before["nodule"] < -abs(before["pneumothorax"])
    files = {name: sorted((tmp_path / "results" / "cells").glob(f"*label-{name}*/**/*.parquet")) for name in of}
    content = {file: file.read_bytes() for some in files.values() for file in some}
    assert bench("run", "--task", of["effusion"], "--methods", "llft") == 0
    assert abs(shifts(predictions(of["effusion"], "llft"))) < abs(before["effusion"])
    assert {name: shifts(predictions(task, "baseline")) for name, task in of.items()} == before
    assert all(file.read_bytes() == old for file, old in content.items())
    assert bench("run", "--task", "films.toml", "--methods", "llft") == 0
    assert bench("report", "--task", "films.toml") == 0
    table = pd.read_csv(tmp_path / "reports" / "films" / "findings.csv")
    p = table["p"].dropna().tolist()
    # LLFT in EOdds and AUC of three findings; a claim that cannot be tested counts as one that was not found.
    assert table["p_holm"].dropna().tolist() == pytest.approx(holm([*p, *[1.0] * (6 - len(p))])[: len(p)])
    assert (tmp_path / "reports" / "films" / "findings-map.pdf").is_file()
    assert "../films+label-effusion/index.html" in (tmp_path / "reports" / "films" / "index.html").read_text().replace(
        "%2B", "+"
    )
    # With all tasks, the findings keep their one family; alone, from an archive, a finding is a family of its own.
    over = (tmp_path / "reports" / "films" / "findings.csv").read_bytes()
    assert bench("report", "--all", "--reports", "all") == 0
    assert (tmp_path / "all" / "films" / "findings.csv").read_bytes() == over
    assert set(pd.read_csv(tmp_path / "all" / "all.csv")["task"]) == {f"films:label={name}" for name in of}
    assert bench("export", "--task", of["nodule"], "--out", "nodule.tar.gz") == 0
    assert bench("report", "--from", "nodule.tar.gz", "--reports", "received") == 0
    received, own = (
        pd.read_csv(tmp_path / folder / "films+label-nodule" / "main.csv") for folder in ("received", "all")
    )
    assert received["difference"].equals(own["difference"])
