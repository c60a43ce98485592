"""Sources of vectors: what a file holds, what is refused, and what a network of vectors is."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from inline_snapshot import snapshot
from sklearn.linear_model import LogisticRegression

from bench import registry
from bench.api import Question
from bench.data.image_split import ImageSplit
from bench.data.task_data import open_data
from bench.errors import DataError, DataInvalid, DataMissing, UsageError
from bench.learn.network import build_net
from bench.net import Net
from bench.settings import Settings
from bench.share.privacy import leaving_task
from tests.prose import plain
from tests.task_texts import AGE, CHEST, RECIPE

TASK = """
name = "embedded"
says = "vectors"
folds = 2
image_size = 1
channels = 1
backbones = ["vector"]
[source]
dataset = "embeddings:here.parquet"
[ood.far]
dataset = "embeddings:there.npz"
[label]
column = "ill"
names = ["no", "yes"]
[attribute]
column = "sex"
one = ["F"]
zero = ["M"]
names = ["men", "women"]
""" + RECIPE.format(epochs=1, batch=32)


def films(seed=0, n=40, width=6):
    rng = np.random.default_rng(seed)
    columns = {
        "id": np.arange(n),
        "patient": np.arange(n) // 2,
        "ill": np.arange(n) // 2 % 2,
        "sex": ["F", "M"] * (n // 2),
    }
    return pd.DataFrame(columns), rng.normal(size=(n, width)).astype(np.float32)


def write(file, table, vectors):
    if file.suffix == ".npz":
        np.savez(file, vector=vectors, **{name: np.array(table[name].tolist()) for name in table.columns})
    else:
        table.assign(vector=list(vectors)).to_parquet(file)


@pytest.fixture
def opened(tmp_path):
    """Opens the task on two files; `given` replaces the columns and vectors of the first."""

    def run(task=TASK, there=None, **given):
        table, vectors = films()
        vectors = given.pop("vector", vectors)
        write(tmp_path / "here.parquet", table.assign(**given), vectors)
        write(tmp_path / "there.npz", *(there or films(1)))
        (tmp_path / "embedded.toml").write_text(task)
        return open_data(Settings(str(tmp_path / "embedded.toml"), tmp_path, tmp_path / "cache", tmp_path))

    return run


def test_vectors_reach_the_head_as_they_are_in_the_file(opened, tmp_path):
    data = opened()
    cache = data.caches(tmp_path / "cache")["source"]
    split = data.split("train", 0)
    images = ImageSplit(
        "train", cache.array, cache.rows(split["uid"]), split["y"], split["a"], split["uid"], "cpu", "none"
    )
    x = images.images(torch.arange(len(images)), torch.zeros(len(images), dtype=torch.int64))
    wanted = films()[1][[int(path) for path in split["path"]]]
    assert torch.equal(x, torch.from_numpy(wanted))
    assert images.augmentations == 1
    drawn = [
        augmentation for _, augmentation in images.index_batches(8, shuffle=True, augment=True, rng=torch.Generator())
    ]
    assert not torch.cat(drawn).any()
    net = build_net(data.network)
    assert net.linear.in_features == 6
    assert not list(net.features.parameters())
    assert torch.equal(net(x), net.linear(x).squeeze(1))
    assert data.split("far", 0)["y"].sum() == 20
    assert set(split["patient"].str.partition(":")[0]) == {"here"}


def test_another_number_in_a_vector_is_other_data(opened):
    before, vectors = opened().fingerprint("train", 0), films()[1]
    contents = opened().contents["source"]
    assert contents == {str(number): hashlib.sha256(row.tobytes()).hexdigest() for number, row in enumerate(vectors)}
    vectors[:, 0] += 1e-6
    assert opened(vector=vectors).fingerprint("train", 0) != before
    assert opened().fingerprint("train", 0) == before


def test_only_methods_that_leave_the_network_alone_are_defined():
    every = {
        name: registry.METHODS.build(name).undefined(Question(vector=True)) for name in registry.METHODS.catalogue()
    }
    assert {name for name, why in every.items() if not why} == {
        "afr",
        "baseline",
        "dfr",
        "group_thresholds",
        "leace",
        "llft",
        "oxonfair",
    }
    assert registry.METHODS.build("fullft_rw:params=head").undefined(Question(vector=True)) == ""
    assert sorted(set(every.values())) == snapshot(
        [
            "",
            "it changes the extractor and the statistics, and a vector has no network",
            "it changes the extractor, and a vector has no network",
        ]
    )


LAST = [1.0] * 6


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"vector": [*films()[1][:-1], np.ones(7, np.float32)]}, DataInvalid),
        ({"vector": [*films()[1][:-1], np.array([*LAST[1:], np.nan])]}, DataInvalid),
        ({"vector": [*films()[1][:-1], None]}, DataInvalid),
        ({"vector": ["a"] * 40}, DataInvalid),
        ({"id": [*range(39), None]}, DataInvalid),
        ({"id": [*range(39), 0]}, DataInvalid),
        ({"drop": [""] * 40}, DataInvalid),
        ({"there": films(1, width=7)}, DataInvalid),
        ({"there": films()}, DataInvalid),
        ({"task": TASK.replace("here.parquet", "nowhere.parquet")}, DataMissing),
        ({"task": TASK.replace("embeddings:here.parquet", "phantom:images=40,size=32")}, DataError),
        ({"task": TASK.replace('"ill"', '"il"')}, DataInvalid),
    ],
)
def test_what_is_refused_is_named(opened, given, kind, tmp_path):
    with pytest.raises(kind) as error:
        opened(**given)
    assert error.value.exit_code == 3


def test_what_the_messages_say(opened, tmp_path):
    told = []
    for given in (
        {"vector": [*films()[1][:-1], np.ones(7, np.float32)]},
        {"vector": [*films()[1][:-1], np.array([*LAST[1:], np.nan])]},
        {"id": [*range(39), None]},
        {"id": [*range(39), 0]},
        {"there": films(1, width=7)},
    ):
        with pytest.raises(DataError) as error:
            opened(**given)
        told.append(plain(str(error.value), tmp_path))
    images = CHEST.format(name="tiny", images=40, attribute=AGE).replace(
        "folds = 2", 'folds = 2\nbackbones = ["vector"]'
    )
    for task in (TASK.replace('"vector"', '"small"'), images):
        with pytest.raises(UsageError) as usage:
            opened(task=task)
        told.append(plain(str(usage.value), tmp_path))
    assert told == snapshot(
        [
            "<tmp>/here.parquet: row 40, id '39', has a vector of another length than 6 (1 such rows)",
            "<tmp>/here.parquet: row 40, id '39', has NaN or an infinite number in its vector (1 such rows)",
            "<tmp>/here.parquet: row 40, id '', has no id (1 such rows)",
            "<tmp>/here.parquet: row 40, column 'uid': 'embeddings:here/0' occurs twice",
            "vectors of different lengths: source 6, far 7: all sets of a task are made by one network",
            'backbone small is for images, and the source holds vectors: backbones = ["vector"] in the task',
            "backbone vector is for vectors, and the source holds images",
        ]
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_damaged_file_is_named(tmp_path, content):
    for name in ("here.npz", "here.parquet"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataInvalid, match=name):
            registry.DATASETS.build(f"embeddings:{name}").table(tmp_path)
    np.savez(tmp_path / "here.npz", id=np.array([None, {}], dtype=object), vector=np.ones((2, 3)))
    with pytest.raises(DataInvalid, match="here"):
        registry.DATASETS.build("embeddings:here.npz").table(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "here.csv").write_text("id,vector\n")
    with pytest.raises(DataInvalid, match=r"\.npz"):
        registry.DATASETS.build("embeddings:here.csv").table(tmp_path)


def test_the_name_of_the_file_does_not_leave(opened):
    task = leaving_task(opened().task)
    assert [rows.dataset for rows in (task.source, *task.ood.values())] == ["embeddings", "embeddings"]


def test_the_head_is_a_logistic_regression_but_for_dropout():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = (x @ [1.0, -0.5, 0.2] + rng.logistic(size=400) > 0).astype(float)
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(x, y)
    net = Net(torch.nn.Identity(), 3)
    net.linear.weight.data = torch.tensor(fitted.coef_, dtype=torch.float32)
    net.linear.bias.data = torch.tensor(fitted.intercept_, dtype=torch.float32)

    def slope(times):
        """The mean gradient of the loss at these weights, along them."""
        given, wanted = (torch.tensor(np.concatenate([one] * times), dtype=torch.float32) for one in (x, y))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(given), wanted)
        (found,) = torch.autograd.grad(loss, net.linear.weight)
        return (found * net.linear.weight).sum().item()

    net.eval()
    assert slope(1) == pytest.approx(0, abs=1e-5)
    net.train()
    assert slope(200) > 0.05  # smaller weights are better under dropout
