"""`[baseline]`: the preprocessing that a person's own model was trained with."""

import dataclasses

import pytest
import torch
from inline_snapshot import snapshot

from bench import taskfile
from bench.api import Input, Preprocessing
from bench.cells.identity import Cell
from bench.data.augment import normalise
from bench.data.task_data import task_data
from bench.errors import UsageError
from bench.running import pretraining
from bench.running.plan import baseline_identity
from bench.share.task_toml import from_toml, to_toml

TASK = """
image_size = 16
channels = 1
folds = 2
[source]
dataset = "phantom:family=chest,hospital=source,images=80,size=16"
[ood.far]
dataset = "phantom:family=chest,hospital=ood_neutral,images=40,size=16"
[label]
column = "pneumothorax"
names = ["no", "yes"]
[attribute]
column = "age"
above = 65
names = ["young", "old"]
"""


@pytest.fixture
def task(tmp_path):
    def resolved(text=""):
        (tmp_path / "mine.toml").write_text(TASK + text)
        return taskfile.resolve(str(tmp_path / "mine.toml"))

    return resolved


def opened(task, tmp_path, *, given=True):
    (tmp_path / "model.pt").write_bytes(b"weights")
    return task_data(task, None, baseline=tmp_path / "model.pt" if given else None)


def test_what_is_stated_by_hand(task, tmp_path):
    """On a scale from 0 to 255, 51 of 255 is 51; less 127.5, over 127.5, that is -0.6."""
    stated = task('[baseline]\nmean = [127.5]\nstd = [127.5]\nrange = [0, 255]\nresize = "bilinear"')
    given = opened(stated, tmp_path).input
    x = normalise(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1), given)
    torch.testing.assert_close(x[:, 1].flatten(), torch.tensor([-1.0, -0.6, 1.0]))
    assert opened(stated, tmp_path).pixels("source", tmp_path).interpolation == "bilinear"
    assert opened(stated, tmp_path, given=False).input == dataclasses.replace(Input(), size=16)


def test_it_is_part_of_the_identity_of_the_model_alone(task, tmp_path):
    cell = Cell("mine", "small", "baseline", 0, 0)
    plain, stated = task(), task("[baseline]\nmean = [0.5]")
    assert baseline_identity(cell, opened(plain, tmp_path)) != baseline_identity(cell, opened(stated, tmp_path))
    one, other = (baseline_identity(cell, opened(t, tmp_path, given=False)) for t in (plain, stated))
    assert one == other


def test_a_task_with_it_reads_back(task):
    stated = task("[baseline]\nstd = [0.5]\nrange = [-1, 1]")
    assert stated.baseline == Preprocessing(std=(0.5,), range=(-1.0, 1.0))
    assert from_toml(to_toml(stated), "here").baseline == stated.baseline
    assert "[baseline]" not in to_toml(task())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('resize = "bilinaer"', "did you mean bilinear"),
        ("maen = [1.0]", "did you mean mean"),
        ('mean = ["a"]', "float expected"),
    ],
)
def test_what_is_not_allowed_in_it(task, text, says):
    with pytest.raises(UsageError, match=says):
        task(f"[baseline]\n{text}")


@pytest.mark.parametrize(
    "text", ["range = [1, 0]", "range = [1]", "std = [0.0]", "mean = [1.0, 2.0]", "mean = [nan]", "std = [nan]"]
)
def test_numbers_that_scale_nothing_are_refused(task, tmp_path, text):
    with pytest.raises(UsageError, match=r"^\[baseline\] "):
        _ = opened(task(f"[baseline]\n{text}"), tmp_path).input


class Run:
    def __init__(self):
        self.facts, self.warnings = {}, []

    def log(self, **facts):
        self.facts |= facts

    def warn(self, text):
        self.warnings.append(text)


def test_a_model_that_ranks_its_own_images_badly_is_warned_of():
    """Of 3 x 2 pairs of a positive and a negative image, 3 are in order: .5, and 4 of 6 is above .6."""
    y = torch.tensor([1, 1, 1, 0, 0]).numpy()
    poor, fair = Run(), Run()
    pretraining.judge_given(poor, torch.tensor([1.0, 4.0, 2.0, 3.0, 1.5]).numpy(), y, Input())
    pretraining.judge_given(fair, torch.tensor([1.0, 4.0, 3.5, 3.0, 1.5]).numpy(), y, Input())
    assert (poor.facts["user_checkpoint_auc"], fair.facts["user_checkpoint_auc"]) == (0.5, pytest.approx(4 / 6))
    assert fair.warnings == []
    assert poor.warnings == snapshot(
        [
            "the model of --baseline has an AUC of 0.500 on its own validation part: were its images preprocessed in another way? It was given 3 channels from 0 (black) to 1 (white), less the mean 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225, resized to 224 x 224 (lanczos). [baseline] in the task states mean, std, range and resize"
        ]
    )
