"""Backbones as plugins: what they declare, how a spec names them, and what is refused."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from inline_snapshot import snapshot
from PIL import Image

from bench import cli, registry
from bench.api import Dataset, Input, Question
from bench.backbones import lacking
from bench.checks import BACKBONE_CHECKS, run_check
from bench.checks.backbone_checks import Network
from bench.data.augment import normalise
from bench.data.image_split import ImageSplit
from bench.data.sources import Source, require_depth
from bench.decode import fit
from bench.errors import DataError, DataInvalid, DataMissing, PluginBroken, UnknownName, UsageError
from bench.learn.network import build_net
from bench.running.plan import build_method
from bench.templates import write_plugin
from bench.weights import without_folder
from tests.prose import plain
from tests.task_texts import AGE, CHEST

BUILT_IN = ("small", "resnet18", "resnet50", "efficientnet_b3", "densenet121")


@pytest.fixture
def plugin(tmp_path):
    """Write a backbone of one convolution as a plugin, with more lines in its class."""

    def written(name="mine", members="", build="return features, 4", docs="A network of one convolution."):
        file = tmp_path / f"{name}.py"
        file.write_text(
            f'"""{docs}"""\n'
            "from dataclasses import dataclass\nfrom pathlib import Path\nimport numpy as np\nimport torch\n"
            "from torch import nn\nfrom bench.api import Backbone, Input, option\n"
            "from bench.weights import load_exactly, read_tensors\n\n\n"
            "@dataclass(frozen=True, kw_only=True)\nclass Mine(Backbone):\n"
            f"    {members or 'pass'}\n"
            + (
                ""
                if "def input" in members
                else "    @property\n    def input(self):\n        return Input(size=16, mean=(0.5,), std=(0.5,))\n"
            )
            + "    def build(self, size, weights):\n"
            "        features = nn.Sequential(nn.Conv2d(self.input.channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
            "        if weights is not None:\n            load_exactly(features, read_tensors(weights), weights, 'mine')\n"
            f"        {build}\n",
            encoding="utf-8",
        )
        return (file,)

    return written


def failed(name, plugins):
    """The checks that a backbone fails, and what they say."""
    subject = Network(name, plugins)
    return {check.__name__: says for check in BACKBONE_CHECKS if (says := run_check(check, subject))}


@pytest.mark.parametrize("check", BACKBONE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["small", "resnet18", "vector"])
def test_built_in_backbones_pass_their_checks(name, check):
    assert run_check(check, Network(name)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN[2:])
def test_large_backbones_pass_their_checks(name):
    assert failed(name, ()) == {}


def test_the_catalogue_and_what_is_unknown():
    assert set(BUILT_IN) | {"timm", "vector"} == set(registry.BACKBONES.catalogue())
    with pytest.raises(UnknownName) as told:
        registry.backbone("resnet19")
    assert str(told.value) == snapshot(
        "unknown backbone 'resnet19': did you mean resnet18 or resnet50 or densenet121? allowed: densenet121, efficientnet_b3, resnet18, resnet50, small, timm, vector"
    )
    with pytest.raises(UnknownName) as told:
        registry.backbone("resnet18", "imagnet")
    assert str(told.value) == snapshot(
        "unknown weights 'imagnet': did you mean imagenet or imagenet_v1? allowed: none, imagenet, imagenet_v1, FILE.safetensors, FILE.pth"
    )


def test_the_weights_of_a_spec_win_over_those_of_the_task():
    assert registry.backbone("resnet18", "imagenet").weights == "imagenet"
    assert registry.backbone("resnet18:weights=none", "imagenet").weights == "none"


def test_built_in_networks_want_what_they_always_were_given():
    for name in BUILT_IN:
        given = registry.backbone(name).input
        assert dataclasses.replace(given, size=224) == Input()
        assert lacking(registry.backbone(name)) == {}
    assert (Input().mean, Input().std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_plugin_passes_its_checks_and_trains_on_what_it_asks_for(plugin):
    plugins = plugin()
    assert failed("mine", plugins) == {}
    net = build_net(registry.backbone("mine", "none", plugins))
    assert net.linear.in_features == 4


@pytest.mark.parametrize(
    ("how", "check"),
    [
        ({"docs": ""}, "check_docstring"),
        ({"build": "return features[:2], 4"}, "check_features"),
        ({"build": "return features, 5"}, "check_features"),
        (
            {"build": "return nn.Sequential(features, nn.BatchNorm1d(4, track_running_stats=False)), 4"},
            "check_images_apart",
        ),
        (
            {"build": "import random; nn.init.constant_(features[0].bias, random.random()); return features, 4"},
            "check_repeats",
        ),
        ({"build": "features.extra = nn.Parameter(torch.ones(2)); return features, 4"}, "check_gradients"),
        ({"build": "return nn.Sequential(features, nn.Linear(4, 1000)), 1000"}, "check_last"),
        ({"members": "prepares = 1"}, "check_preparation"),
        ({"members": "def prepare(self, image): return image"}, "check_preparation"),
        (
            {"members": "prepares = 1\n    def prepare(self, image):\n        image[0] = 0\n        return image"},
            "check_preparation",
        ),
        ({"members": "prepares = 1\n    def prepare(self, image): return np.random.rand(8, 8)"}, "check_preparation"),
        ({"members": "prepares = 1\n    def prepare(self, image): return image.astype(int)"}, "check_preparation"),
    ],
)
def test_each_check_finds_its_fault(plugin, how, check):
    assert next(iter(failed("mine", plugin(**how)))) == check


def test_a_build_that_returns_something_else_is_named(plugin):
    with pytest.raises(PluginBroken, match=r"Mine.build returned Sequential: module and width expected"):
        build_net(registry.backbone("mine", "none", plugin(build="return features")))


def test_the_head_may_start_from_a_layer_of_the_backbone(plugin):
    plugins = plugin(build="last = nn.Linear(4, 1); nn.init.constant_(last.weight, 0.25); return features, last")
    assert build_net(registry.backbone("mine", "none", plugins)).linear.weight.tolist() == [[0.25] * 4]


def test_weights_from_a_file_are_loaded_exactly_or_refused(plugin, tmp_path):
    from safetensors.torch import save_file

    plugins = plugin()
    first = build_net(registry.backbone("mine", "none", plugins)).features
    save_file({name: value.contiguous() for name, value in first.state_dict().items()}, tmp_path / "w.safetensors")
    torch.save({"model": first.state_dict()}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        net = build_net(registry.backbone("mine", str(tmp_path / name), plugins))
        torch.testing.assert_close(net.features.state_dict(), first.state_dict(), rtol=0, atol=0)
    state = first.state_dict()
    state["0.bais"] = state.pop("0.bias")
    state["0.weight"] = torch.zeros(4, 1, 3, 3)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(DataError) as told:
        build_net(registry.backbone("mine", str(tmp_path / "other.pth"), plugins))
    assert plain(told.value, tmp_path) == snapshot("""\
<tmp>/other.pth does not hold the weights of mine:
  missing: 0.bias (is it 0.bais?)
  not used: 0.bais (4,)
  0.weight: (4, 1, 3, 3), (4, 3, 3, 3) expected
  in all 1 missing, 1 not used, 1 of another shape\
""")
    torch.save({**first.state_dict(), "0.bias": torch.full((4,), float("nan"))}, tmp_path / "nan.pth")
    with pytest.raises(DataError, match=r"nan.pth: 0.bias is NaN or infinite somewhere"):
        build_net(registry.backbone("mine", str(tmp_path / "nan.pth"), plugins))
    with pytest.raises(DataMissing, match=r"weights .*gone.pth not found"):
        build_net(registry.backbone("mine", str(tmp_path / "gone.pth"), plugins))


def test_the_old_names_of_torchvision_are_read(tmp_path):
    """Its file of DenseNet-121 has `denselayer1.norm.1.weight` where the network has `denselayer1.norm1.weight`."""
    net = build_net("densenet121")
    classifier = {"classifier.weight": torch.zeros(1000, 1024), "classifier.bias": torch.zeros(1000)}
    state = net.features.state_dict() | classifier
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): value for name, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "densenet121.pth")
    found = build_net(registry.backbone("densenet121", str(tmp_path / "densenet121.pth")))
    torch.testing.assert_close(found.features.state_dict(), net.features.state_dict(), rtol=0, atol=0)


def test_a_network_that_only_cuts_patches_has_no_stem(plugin):
    patches = "return nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 4"
    lacks = lacking(registry.backbone("mine", "none", plugin(build=patches)))
    assert set(lacks) == {"stem", "stem activation"}
    assert build_method("diff_prune").undefined(Question(2, lacks)) == snapshot(
        "it needs a first convolution whose outputs are maps, and the only convolution of the network cuts the image into patches"
    )
    assert build_method("swift").undefined(Question(2, lacks)) == ""
    two = "c = nn.Conv2d; return nn.Sequential(c(3, 4, 3), nn.GELU(), c(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 4"
    lacks = lacking(registry.backbone("other", "none", plugin("other", build=two)))
    assert set(lacks) == {"stem activation"}
    assert build_method("diff_prune").undefined(Question(2, lacks)) == ""
    assert build_method("diff_prune:site=stem_activated").undefined(Question(2, lacks)) == snapshot(
        "it needs a ReLU or SiLU after its first convolution, and the network has no ReLU or SiLU"
    )


# --- what a network is given --------------------------------------------------------------------


def test_one_channel_in_its_own_range_by_hand():
    """Of 0, 51 and 255 of 255 in [-1024, 1024]: -1024, -614.4 and 1024; minus 24, over 100."""
    given = Input(channels=1, low=-1024, high=1024, mean=(24.0,), std=(100.0,))
    x = normalise(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1), given)
    assert x.shape == (3, 1, 1, 1)
    torch.testing.assert_close(x.flatten(), torch.tensor([-10.48, -6.384, 10.0]))


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (16, 65535), (32, 1)])
def test_black_and_white_are_the_same_whatever_the_cache_holds(bits, white):
    kind = {8: np.uint8, 16: np.uint16, 32: np.float32}[bits]
    array = np.array([0, white], dtype=kind).reshape(2, 1, 1, 1)
    given = Input(channels=1, low=-1.0, high=1.0, mean=(0.0,), std=(1.0,), bits=bits)
    split = ImageSplit("val", array, [0, 1], [0, 1], [0, 1], list("ab"), given=given)
    assert split.images(torch.arange(2)).flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("augmentation", ["dihedral", "chest_reference"])
def test_floats_are_augmented_without_being_rounded(augmentation):
    array = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    given = Input(channels=1, mean=(0.0,), std=(1.0,), bits=32)
    split = ImageSplit("val", array, [0, 1], [0, 1], [0, 1], list("ab"), augmentation=augmentation, given=given)
    x = split.images(torch.arange(2), torch.tensor([1, 1]))
    np.testing.assert_array_equal(x[:, 0].numpy(), array[:, :, ::-1, 0])


def test_every_source_of_image_files_hands_out_their_grey_levels(tmp_path):
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "film.png")
    for name in registry.DATASETS.catalogue():
        dataset = registry.DATASETS.build(name if name != "embeddings" else "embeddings:e.npz")
        if not dataset.synthetic and name != "embeddings":
            assert not dataset.shallow, name
            np.testing.assert_array_equal(dataset.deep_image(tmp_path, "film.png"), ramp)
            assert dataset.image(tmp_path, "film.png").dtype == np.uint8


def test_a_source_that_decodes_8_bits_itself_is_refused_where_the_backbone_wants_more():
    class Films(Dataset):
        def table(self, root):
            raise NotImplementedError

        def image(self, root, path):
            return np.zeros((4, 4), dtype=np.uint8)

    require_depth(Source(Films(), "films", Path()), 8, "deep")
    with pytest.raises(DataInvalid) as error:
        require_depth(Source(Films(), "films", Path()), 16, "deep")
    assert str(error.value) == snapshot(
        "deep wants images of 16 bits, and Films decodes them with 8: give its class a `deep_image` beside `image`, or choose another backbone"
    )


def test_images_of_16_bits_and_floats_keep_their_levels():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(fit(ramp, size=256, channels=1, crop="none", bits=16)[:, :, 0], ramp)
    floats = fit(ramp, size=256, channels=1, crop="none", bits=32)[:, :, 0]
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, ramp / 65535, rtol=1e-6)
    eight = (np.arange(256, dtype=np.uint8)).reshape(16, 16)
    np.testing.assert_array_equal(
        fit(eight, size=16, channels=1, crop="none", bits=16)[:, :, 0], eight * np.uint16(257)
    )
    prepared = np.linspace(-0.5, 1.5, 225).reshape(15, 15)
    np.testing.assert_array_equal(
        fit(prepared, size=15, channels=1, crop="none", bits=8)[:, :, 0], np.rint(prepared.clip(0, 1) * 255)
    )


def test_colour_becomes_luma_and_the_filter_is_that_of_the_backbone():
    colour = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    wide = fit(colour, size=8, channels=1, crop="none", bits=32, interpolation="bilinear")[:, :, 0]
    narrow = fit(colour, size=8, channels=1, crop="none", interpolation="bilinear")[:, :, 0]
    np.testing.assert_allclose(wide * 255, narrow, atol=1.0)
    other = fit(colour, size=8, channels=1, crop="none", interpolation="nearest")[:, :, 0]
    assert (narrow != other).any()


def test_input_refuses_what_no_image_can_be_scaled_by():
    for wrong in ({"mean": (0.5, 0.5)}, {"channels": 2}, {"std": (0.0,)}, {"low": 1.0}, {"mean": ()}):
        with pytest.raises(UsageError):
            Input(**wrong)


def test_bench_new_backbone_writes_one_that_passes(tmp_path):
    files = write_plugin("backbone", "My-Net", tmp_path)
    assert [file.name for file in files] == ["my_net.py", "test_my_net.py"]
    assert failed("my_net", (files[0],)) == {}
    with pytest.raises(UsageError, match="already has a backbone called 'resnet18'"):
        write_plugin("backbone", "resnet18", tmp_path)


def test_a_file_of_weights_of_another_network_is_told_before_anything_is_computed(tmp_path, monkeypatch, capsys):
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    save_file({"conv.weight": torch.zeros(3)}, "other.safetensors")
    text = CHEST.format(name="tiny", images=60, attribute=AGE)
    (tmp_path / "tiny.toml").write_text(f'weights = "other.safetensors"\nbackbones = ["small", "resnet18"]\n{text}')
    said = {}
    for backbone in ("small", "resnet18"):
        assert cli.main(["run", "--task", "tiny.toml", "--methods", "baseline", "--backbone", backbone]) == 3
        said[backbone] = capsys.readouterr().err
    assert "other.safetensors: the network small starts from random weights and reads no file" in said["small"]
    assert "does not hold the weights" in said["resnet18"]
    assert not (tmp_path / "results/cells").exists()


def test_of_a_file_of_weights_others_are_told_its_content_and_not_its_folder(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"weights")
    sha = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert without_folder(str(tmp_path / "mine.pth")) == f"mine.pth (sha256 {sha})"
    assert without_folder("imagenet") == "imagenet"
