"""Pre-training: which epoch is kept, on what it is chosen, how gradients are clipped and the rate falls."""

import dataclasses

import pytest
import torch
from inline_snapshot import snapshot

from bench import taskfile
from bench.cells.identity import Cell
from bench.data.image_split import ImageSplit
from bench.data.task_data import TaskData, task_data
from bench.errors import DataMissing, EmptyGroup
from bench.learn.predict import predict
from bench.running import pretraining
from bench.running.compute_cell import open_splits, open_task
from bench.running.pretraining import train_baseline
from bench.scoring.metrics import auc_of_sorted
from bench.settings import Settings

TASK = dataclasses.replace(
    taskfile.resolve("phantom-cxr-age:pretrain_decay=false,pretrain_lr=3e-3,pretrain_epochs=4,batch=32"),
    source=dataclasses.replace(
        taskfile.resolve("phantom-cxr-age").source, dataset="phantom:family=chest,images=240,size=32"
    ),
    ood={},
    image_size=32,
    folds=2,
)
CELL = Cell(TASK.name, "small", "baseline", 0, 0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A data set of 240 phantoms and its splits."""
    data, folder = task_data(TASK, None), tmp_path_factory.mktemp("cache")
    cached = data.caches(folder)["source"]

    def split(name):
        table = data.split(name, 0)
        y, a, uids = (table[column].to_numpy() for column in ("y", "a", "uid"))
        return ImageSplit(name, cached.array, cached.rows(table["uid"]), y, a, uids)

    return data, {name: (lambda name=name: split(name)) for name in ("train", "val", "train_inner", "val_inner")}


def trained(world, folder, splits=None, **changes):
    data = world[0]
    recipe = dataclasses.replace(TASK.recipe, **changes)
    file = folder / "baseline.pt"
    train_baseline(
        file, CELL, TaskData(dataclasses.replace(TASK, recipe=recipe), data.sources, data.tables), splits or world[1]
    )
    return torch.load(file, weights_only=True)


def auc(state, split):
    net = pretraining.build_net("small")
    net.load_state_dict(state)
    z = predict(net, split).numpy()
    order = z.argsort(kind="stable")
    return auc_of_sorted(z[order], split.y.numpy()[order])


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_reference_keeps_the_epoch_with_the_best_validation_auc(world, tmp_path):
    """The rate is constant, so that a run of k epochs is the start of one of more."""
    fast = {"pretrain_lr": 0.3}  # so that the AUC wanders
    last = [trained(world, tmp_path, pretrain_epochs=k, **fast) for k in (1, 2, 3, 4)]
    aucs = [auc(state, world[1]["val"]()) for state in last]
    best = aucs.index(max(aucs))
    assert best != 3, "the last epoch is not the best here, so that the two choices differ"
    assert same(trained(world, tmp_path, pretrain_checkpoint="reference", **fast), last[best])
    assert same(trained(world, tmp_path, **fast), last[3])


def test_best_inner_neither_trains_on_the_tenth_it_chooses_on_nor_sees_validation_images(world, tmp_path):
    data, splits = world
    train, inner, held_out = (data.split(name, 0) for name in ("train", "train_inner", "val_inner"))
    assert sorted([*inner["uid"], *held_out["uid"]]) == sorted(train["uid"])
    assert not set(inner["patient"]) & set(held_out["patient"])
    assert len(held_out) == pytest.approx(0.1 * len(train), abs=2)
    only_inner = {name: splits[name] for name in ("train_inner", "val_inner")}
    kept = trained(world, tmp_path, only_inner, pretrain_checkpoint="best_inner")
    posing = {"train": splits["train_inner"], "val": splits["val_inner"]}
    assert same(kept, trained(world, tmp_path, posing, pretrain_checkpoint="reference"))


def test_an_epoch_cannot_be_chosen_on_one_class(world, tmp_path):
    val = world[1]["val"]()
    splits = {**world[1], "val": lambda: val.where(val.y == 1)}
    with pytest.raises(EmptyGroup) as error:
        trained(world, tmp_path, splits, pretrain_checkpoint="reference")
    assert str(error.value) == snapshot(
        "pretrain_checkpoint: val has images of one class only, so no epoch can be chosen on it: use pretrain_checkpoint=last or fewer folds"
    )


def test_clipping_bounds_what_training_moves(world, tmp_path):
    """Plain SGD: no step is longer than rate times clip."""
    plain = {
        "pretrain_optimiser": "sgd",
        "pretrain_momentum": 0.0,
        "pretrain_weight_decay": 0.0,
        "pretrain_epochs": 2,
        "pretrain_lr": 0.1,
    }
    start = trained(world, tmp_path, **{**plain, "pretrain_epochs": 0})
    weights = [name for name in start if "running" not in name and "num_batches" not in name]
    steps = 2 * -(-len(world[1]["train"]()) // 32)
    travelled = {}
    for clip in (None, 1e-3):
        end = trained(world, tmp_path, **plain, pretrain_clip=clip)
        travelled[clip] = sum(float((end[n] - start[n]).double().square().sum()) for n in weights) ** 0.5
    assert 0 < travelled[1e-3] <= 1.01 * 0.1 * 1e-3 * steps < travelled[None]


def test_the_plateau_watches_the_training_loss(world, tmp_path, monkeypatch):
    seen = []

    class Watched(pretraining.ReduceLROnPlateau):
        def __init__(self, optimiser, *, factor, patience):
            assert (factor, patience) == (0.1, 10)
            super().__init__(optimiser, factor=factor, patience=0, threshold=1e9, threshold_mode="abs")

        def step(self, loss):
            super().step(loss)
            seen.append((loss, self.optimizer.param_groups[0]["lr"]))

    monkeypatch.setattr(pretraining, "ReduceLROnPlateau", Watched)
    fell = trained(world, tmp_path, pretrain_plateau=True)
    losses, rates = zip(*seen, strict=True)
    assert len(set(losses)) == 4
    assert rates == pytest.approx([3e-3, 3e-4, 3e-5, 3e-6])
    assert not same(fell, trained(world, tmp_path))


def test_poses_of_the_recipe_reach_the_splits(tmp_path):
    (tmp_path / "t.toml").write_text(
        'image_size = 32\nchannels = 1\nfolds = 2\n[source]\ndataset = "phantom:images=60,size=32"\n'
        '[ood.o]\ndataset = "phantom:images=20,size=32,hospital=ood_neutral"\n'
        '[label]\ncolumn = "pneumothorax"\nnames = ["no", "yes"]\n'
        '[attribute]\ncolumn = "age"\nabove = 65\nnames = ["young", "old"]\n'
    )
    for changes, versions in (("", 8), (":augment=chest_reference", None)):
        settings = Settings(f"{tmp_path / 't.toml'}{changes}", tmp_path, tmp_path, None)
        splits = open_splits(settings, open_task(settings), 0)
        assert {name: splits[name]().augmentations for name in ("train", "val", "train_inner", "o")} == dict.fromkeys(
            ("train", "val", "train_inner", "o"), versions
        )


class Stopped(Exception):
    """A process ends here."""


class Interrupted(ImageSplit):
    """A split that counts the batches that it serves in `served`, and stops the training at one of them."""

    def images(self, index, augmentation=None):
        if self.served == self.last:
            raise Stopped
        self.served += 1
        return super().images(index, augmentation)


def interrupted(world, last):
    """Return splits of which `train` serves so many batches, and that split."""
    one = world[1]["train"]()
    split = Interrupted("train", one._array, one.rows, one.y, one.a, one.uids)
    split.served, split.last = 0, last
    return {**world[1], "train": lambda: split}, split


def impatient(monkeypatch):
    """Let the plateau lower the rate after every epoch but the first; return the list of the losses that it hears."""
    heard = []

    class Impatient(pretraining.ReduceLROnPlateau):
        def __init__(self, optimiser, *, factor, patience):
            super().__init__(optimiser, factor=factor, patience=0, threshold=1e9, threshold_mode="abs")

        def step(self, loss):
            super().step(loss)
            heard.append(loss)

    monkeypatch.setattr(pretraining, "ReduceLROnPlateau", Impatient)
    return heard


KINDS = {
    "adam, cosine": {"pretrain_decay": True},
    "sgd, clipped": {"pretrain_optimiser": "sgd", "pretrain_lr": 0.1, "pretrain_clip": 0.5},
    "plateau, best epoch": {"pretrain_plateau": True, "pretrain_checkpoint": "reference", "pretrain_lr": 0.03},
}


@pytest.mark.parametrize("stops", [(6,), (4, 5)], ids=["mid-epoch", "twice"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_is_stopped_and_resumed_ends_with_the_same_bytes(world, tmp_path, monkeypatch, kind, stops):
    monkeypatch.setattr(pretraining, "EVERY", 0.0)
    heard = impatient(monkeypatch)
    changes = {"pretrain_epochs": 3, **KINDS[kind]}
    per_epoch = -(-len(world[1]["train"]()) // 32)
    assert per_epoch == 4, "so that batch 4 starts an epoch and batches 6 and 9 are within one"
    trained(world, tmp_path, **changes)
    whole, losses = (tmp_path / "baseline.pt").read_bytes(), heard.copy()
    heard.clear()
    (tmp_path / "baseline.pt").unlink()
    served = 0
    for last in stops:
        splits, split = interrupted(world, last)
        with pytest.raises(Stopped):
            trained(world, tmp_path, splits, **changes)
        served += split.served
        assert [file.name for file in tmp_path.iterdir()] == ["baseline.checkpoint"]
    splits, split = interrupted(world, -1)
    trained(world, tmp_path, splits, **changes)
    assert (tmp_path / "baseline.pt").read_bytes() == whole
    assert served + split.served == 3 * per_epoch, "no step is done twice"
    assert heard == losses
    assert [file.name for file in tmp_path.iterdir()] == ["baseline.pt"]


@pytest.mark.parametrize("harm", ["cut", "a bit", "other code"])
def test_a_checkpoint_that_cannot_be_taken_up_is_said_and_training_starts_anew(world, tmp_path, monkeypatch, harm):
    monkeypatch.setattr(pretraining, "EVERY", 0.0)
    trained(world, tmp_path)
    whole, said = (tmp_path / "baseline.pt").read_bytes(), []
    splits, _ = interrupted(world, 6)
    with pytest.raises(Stopped):
        trained(world, tmp_path, splits)
    file = tmp_path / "baseline.checkpoint"
    content = bytearray(file.read_bytes())
    if harm == "cut":
        del content[len(content) // 2 :]
    elif harm == "a bit":
        content[len(content) // 2] ^= 1
    else:
        monkeypatch.setattr(pretraining, "_code", lambda: "of tomorrow")
    file.write_bytes(content)
    splits, split = interrupted(world, -1)
    train_baseline(tmp_path / "baseline.pt", CELL, world[0], splits, said.append)
    why = "was written by other code" if harm == "other code" else "is damaged"
    assert said[0] == f"warning: the checkpoint baseline.checkpoint {why}: pre-training starts again"
    assert split.served == 4 * 4
    assert (tmp_path / "baseline.pt").read_bytes() == whole


def test_a_checkpoint_is_taken_on_a_timer(world, tmp_path):
    """Ten minutes at most are lost, and a short training writes none."""
    assert 0 < pretraining.EVERY <= 600
    splits, _ = interrupted(world, 6)
    with pytest.raises(Stopped):
        trained(world, tmp_path, splits)
    assert list(tmp_path.iterdir()) == []


def test_lacking_imagenet_weights_name_the_command_that_fetches_them(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataMissing, match="`bench prepare mine --data 'my data'` downloads https://"):
        pretraining.build_net("resnet18", weights="imagenet", prepare="bench prepare mine --data 'my data'")
