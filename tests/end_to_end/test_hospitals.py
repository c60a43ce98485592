"""The paper's sources as tasks: generated trees in the official layouts, from `bench run` to the report."""

from tests import official_trees as trees
import pytest

TASK = """
image_size = 32
channels = {channels}
crop = "centre"
folds = 2
[source]
dataset = "{source}"
[ood.near]
dataset = "{near}"
[ood.far]
dataset = "{far}"
[label]
{label}
[attribute]
{attribute}
[recipe]
pretrain_optimiser = "adam"
pretrain_lr = 1e-3
pretrain_epochs = 1
optimiser = "adam"
lr_extractor = 1e-4
lr_head = 1e-3
epochs = 2
epsilon = 0.1
batch = 32
"""
SKIN = {
    "n": 80 + 4,  # four of five rows have a file, one of them is light only because its type is unknown
    "channels": 3,
    "source": "isic",
    "near": "fitzpatrick17k:unknown=light",
    "far": "ddi",
    "label": 'column = "melanoma"\none = ["0"]\nzero = ["1"]\nnames = ["melanoma", "other lesion"]',
    "attribute": 'column = "dark"\nnames = ["light", "dark"]',
}
CHEST = {
    "n": 80 + 2,  # three of seven films are in use, one of unknown age
    "channels": 1,
    "source": "mimic_cxr",
    "near": "chexpert",
    "far": "nih_cxr14",
    "label": 'column = "pneumothorax"\nnames = ["no finding", "pneumothorax"]',
    "attribute": 'column = "age"\nabove = 65\nnames = ["up to 65", "over 65"]',
}


@pytest.mark.parametrize("given", [SKIN, CHEST], ids=["skin-tone", "cxr-age"])
def test_official_trees_run_from_files_to_report(place, given):
    for spec in (given["source"], given["near"], given["far"]):
        name = spec.partition(":")[0]
        extra = {"tones": True} if name == "isic" else {}
        trees.TREES[name](place.folder / "data" / name, more=80, **extra)
    (place.folder / "own.toml").write_text(TASK.format(**given))
    done = place.bench("run", "--task", "own.toml", "--methods", "baseline,llft", "--data", "data")
    assert "4 of 4 cells done" in done.stdout, done.stdout
    place.bench("report", "--task", "own.toml", "--data", "data")
    text = (place.folder / "reports/own/main.md").read_text()
    assert "LLFT" in text
    assert f"near: out-of-distribution (n {given['n']})" in text
