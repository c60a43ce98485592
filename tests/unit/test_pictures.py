"""What a cell stores for figures: activation maps, the images they are of, and masks in strips."""

from functools import partial

import numpy as np
import pytest
import torch
from inline_snapshot import snapshot
from torch import nn

from bench.cells.identity import Cell, pictures_file
from bench.cells.store import save_cell
from bench.checks.subject import random_net, random_split
from bench.data.image_split import ImageSplit
from bench.errors import PluginBroken
from bench.learn.activation import activation_maps
from bench.learn.network import build_net
from bench.methods._masked_layers import mask_layers, set_masks
from bench.running import pictures
from tests.factory import record

from .nets import settled

BLOCKS = {
    "small": "stem block1 block2 block3",
    "resnet18": "stem layer1 layer2 layer3 layer4",
    "resnet50": "stem layer1 layer2 layer3 layer4",
    "densenet121": "stem denseblock1 transition1 denseblock2 transition2 denseblock3 transition3 denseblock4",
    "efficientnet_b3": "stem block1 block2 block3 block4 block5 block6 block7 block8",
}


def images(n=3, size=64):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backbone", BLOCKS)
def test_the_mean_of_a_map_plus_the_bias_is_the_logit(backbone):
    net, x = settled(partial(build_net, backbone)), images()
    with torch.no_grad():
        net.linear.bias.fill_(0.7)
        maps, z = activation_maps(net, x), net(x)
    assert maps.shape == (3, *((4, 4) if backbone == "small" else (2, 2)))
    torch.testing.assert_close(maps.mean((1, 2)) + 0.7, z, rtol=1e-5, atol=1e-5)
    assert (maps.std((1, 2)) > 0).all()


def test_a_map_weighs_the_last_channels_by_the_head():
    net, x = random_net().eval(), images(size=32)
    with torch.no_grad():
        channels = net.features[:-2](x)
        expected = sum(w * channels[:, k] for k, w in enumerate(net.linear.weight[0]))
    torch.testing.assert_close(activation_maps(net, x), expected)


class Shifted(nn.Module):
    """A network whose logit is not that of its head."""

    def __init__(self, net, shift):
        super().__init__()
        self.features, self.head, self.shift = net.features, net.head, shift

    def forward(self, x):
        return self.head(self.features(x)).squeeze(1) + self.shift


class Pooled(nn.Module):
    """A network with the linear layer before the pool, and no head."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(3, 1, 1)

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(input=self.last(x), output_size=1).flatten()


def test_where_the_head_is_not_linear_on_pooled_maps_there_are_none():
    x, deep = images(size=32), random_net().eval()
    assert activation_maps(Shifted(random_net(), 0.0).eval(), x) is not None
    assert activation_maps(Shifted(random_net(), 1.0).eval(), x) is None
    deep.head = nn.Sequential(nn.Linear(128, 8), nn.ReLU(), nn.Linear(8, 1))
    assert activation_maps(deep, x) is None
    assert activation_maps(Pooled(), x) is None


def test_a_mask_inside_the_network_counts():
    """As DiffPrune returns one."""
    net, x = random_net().eval(), images(size=32)
    before, layers = activation_maps(net, x), mask_layers(net, x[:1])
    assert torch.equal(activation_maps(net, x), before)
    set_masks(layers, (torch.arange(layers[0].mask.numel()) % 2).float())
    maps = activation_maps(net, x)
    with torch.no_grad():
        torch.testing.assert_close(maps.mean((1, 2)) + net.linear.bias, net(x))
    assert not torch.equal(maps, before)


def split_of(a, y, uids):
    return ImageSplit("test", np.zeros((len(a), 8, 8, 1), np.uint8), range(len(a)), y, a, uids)


def test_one_image_per_group_and_class_is_shown_and_its_id_alone_decides_which():
    a, y = np.repeat([0, 1], 50), np.tile([0, 1], 50)
    uids = np.array([f"set:{i}" for i in range(100)])
    turned = np.random.default_rng(0).permutation(100)
    at = pictures.chosen(split_of(a, y, uids))
    assert [*zip(a[at], y[at], strict=True)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    again = pictures.chosen(split_of(a[turned], y[turned], uids[turned]))
    assert (uids[turned][again] == uids[at]).all()
    others = np.delete(np.arange(100), at)
    assert len(pictures.chosen(split_of(a[others], y[others], uids[others]))) == 4
    # No image of the rarest cell: one fewer; of nine groups: the first six.
    assert len(pictures.chosen(split_of([0, 0, 1], [0, 1, 1], uids[:3]))) == 3
    many = pictures.chosen(split_of(np.repeat(range(9), 2), np.tile([0, 1], 9), uids[:18]))
    assert many.tolist() == list(range(12))


def test_maps_draw_nothing_and_take_the_logits_that_are_stored():
    split, logits = random_split("test", size=32), np.arange(96, dtype="float32")
    before = torch.get_rng_state()
    found = pictures.maps(random_net().train(), split, logits)
    assert torch.equal(torch.get_rng_state(), before)
    assert found["cam/logit"].tolist() == pictures.chosen(split).tolist()
    assert found["cam/image_id"].tolist() == split.uids[pictures.chosen(split)].tolist()


@pytest.mark.parametrize("backbone", BLOCKS)
def test_blocks_hold_every_parameter_of_the_extractor_once_and_in_order(backbone):
    parameters = {name: p.ndim for name, p in build_net(backbone).named_parameters()}
    blocks = pictures.blocks(parameters)
    assert list(blocks) == BLOCKS[backbone].split()
    assert [name for names in blocks.values() for name in names] == [n for n in parameters if not n.startswith("head.")]


def test_a_strip_is_the_entries_of_a_block_or_means_of_runs_of_them():
    values = {
        "features.0.weight": torch.arange(9.0).reshape(1, 1, 3, 3),
        "features.1.bias": torch.tensor([7.0]),
        "features.3.weight": torch.arange(1024.0).reshape(16, 16, 2, 2),
        "head.1.weight": torch.ones(1, 2),
    }
    strips = pictures.strips("mask", values)
    assert list(strips) == ["strip/mask/stem", "strip/mask/block1"]
    assert strips["strip/mask/stem"].tolist() == [*range(9), 7]
    assert strips["strip/mask/block1"].tolist() == [2 * i + 0.5 for i in range(512)]
    assert strips["strip/mask/block1"].dtype == "float32"
    uneven = pictures.strips("bias", {"features.0.weight": torch.ones(1000, 1, 1, 1)})["strip/bias/stem"]
    assert uneven.tolist() == [1.0] * 512
    with pytest.raises(PluginBroken) as error:
        pictures.strips("masks", values)
    assert str(error.value) == snapshot("run.keep('masks', ...): one of bias, prediction, mask expected")


def test_pictures_are_the_same_bytes_whenever_they_are_written(tmp_path, monkeypatch):
    content = {"cam/image_id": np.array(["a", "bc"]), "cam/map": np.random.default_rng(0).random((2, 3, 4))}
    first = pictures.packed(content)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert pictures.packed(content) == first
    (tmp_path / "x.npz").write_bytes(first)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in file.files} == {k: v.tolist() for k, v in content.items()}


def test_pictures_of_before_do_not_outlive_their_cell(tmp_path):
    import pandas as pd

    cell = Cell("task", "small", "swift", 0, 0)
    for content in (b"old", b"new", b""):
        save_cell(tmp_path, cell, record("swift"), pd.DataFrame({"logit": [0.0]}), content)
        file = pictures_file(tmp_path, cell)
        assert (file.read_bytes() if file.exists() else b"") == content
