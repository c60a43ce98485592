"""A network of timm and a backbone from a file, from the dry run to the report."""

import json
import os
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from inline_snapshot import snapshot

from tests.prose import lines_with

with_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed: pip install timm")

PLUGIN = '''"""Two convolutions on one channel of 16 bits, of which the lower half is blackened."""
from dataclasses import dataclass
import numpy as np
from torch import nn
from bench.api import Backbone, Input

@dataclass(frozen=True, kw_only=True)
class Half(Backbone):
    prepares = 1
    lacks = {}

    @property
    def input(self):
        return Input(size=32, channels=1, low=-1024, high=1024, mean=(0.0,), std=(512.0,), bits=16)

    def prepare(self, image):
        image = image.copy()
        image[len(image) // 2 :] = 0
        return image

    def build(self, size, weights):
        layers = [nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 8
'''


def with_backbones(place, *specs, more=""):
    task = (place.folder / "tiny.toml").read_text()
    text = f"backbones = {json.dumps(specs)}\n{more}"
    (place.folder / "tiny.toml").write_text(task.replace("folds = 2\n", f"folds = 2\n{text}"))


@pytest.mark.slow
def test_unknown_names_are_refused_by_the_dry_run_and_the_doctor(place):
    with_backbones(place, "resnet19")
    for words in (("run", "--task", "tiny.toml", "--dry-run"), ("doctor", "tiny.toml"), ("prepare", "tiny.toml")):
        done = place.bench(*words, code=2)
        assert lines_with(done.stderr, "resnet19") == snapshot(
            [
                "bench: unknown backbone 'resnet19': did you mean resnet18 or resnet50 or densenet121? allowed: densenet121, efficientnet_b3, resnet18, resnet50, small, timm, vector"
            ]
        )


@pytest.mark.slow
@with_timm
def test_unknown_names_of_timm_and_weights_are_refused(place):
    with_backbones(place, "timm:test_vit", more='weights = "imagnet"\n')
    for words in (("run", "--task", "tiny.toml", "--dry-run"), ("doctor", "tiny.toml")):
        assert lines_with(place.bench(*words, code=2).stderr, "imagnet") == snapshot(
            [
                "bench: unknown weights 'imagnet': did you mean imagenet? allowed: none, imagenet, r160_in1k, FILE.safetensors, FILE.pth"
            ]
        )
    text = (place.folder / "tiny.toml").read_text().replace("test_vit", "test_vyt")
    (place.folder / "tiny.toml").write_text(text)
    done = place.bench("run", "--task", "tiny.toml:weights=none", "--dry-run", code=2)
    assert "did you mean timm:test_vit" in done.stderr


@pytest.mark.slow
def test_without_timm_its_networks_are_refused_by_the_dry_run(place):
    with_backbones(place, "timm:resnet18")
    (place.folder / "hidden" / "timm").mkdir(parents=True)
    (place.folder / "hidden" / "timm" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'timm'\")"
    )
    path = os.pathsep.join([str(place.folder / "hidden"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = place.bench("run", "--task", "tiny.toml", "--dry-run", code=3, PYTHONPATH=path)
    assert lines_with(done.stderr, "package timm") == snapshot(
        [
            "bench: package timm (No module named 'timm') not found. Install it: pip install \"debias-bench[timm]\", or pip install timm."
        ]
    )


@pytest.mark.slow
def test_a_backbone_from_a_file_prepares_images_of_16_bits_of_one_channel(place):
    (place.folder / "half.py").write_text(PLUGIN)
    with_backbones(place, "half", "small")
    words = ("--task", "tiny.toml", "--plugin", "half.py")
    place.bench("run", *words, "--backbone", "all", "--methods", "llft,diff_prune", "--jobs", "1")
    arrays = {file: np.load(file, mmap_mode="r") for file in (place.folder / ".cache/images").rglob("images.npy")}
    assert {(array.dtype.name, array.shape[1:]) for array in arrays.values()} == {
        ("uint16", (32, 32, 1)),
        ("uint8", (32, 32, 1)),
    }
    for array in arrays.values():
        assert (array[:, 16:].max() == 0) == (array.dtype == np.uint16)
    assert len({name.split("/")[1] for name in place.records()}) == 2
    for file in (place.folder / ".cache/baselines").glob("*.pt"):
        assert torch.load(file, weights_only=True)["features.0.weight"].shape[1] in (1, 3)
    # Another version of `prepare` is another cache and another baseline; the network of the suite is not concerned.
    (place.folder / "half.py").write_text(PLUGIN.replace("prepares = 1", "prepares = 2"))
    assert place.bench("run", *words, "--methods", "llft", "--dry-run").stdout.count("stale") == 4
    assert place.bench("run", *words, "--methods", "llft", "--backbone", "small", "--dry-run").stdout.count("done") > 0
    place.bench("report", *words, "--only", "main")


@pytest.mark.slow
@pytest.mark.long  # tests/unit/test_timm.py fits all methods on all kinds of network
@with_timm
def test_all_methods_on_a_transformer_and_a_dash_with_its_reason_where_one_is_not_defined(place):
    with_backbones(place, "timm:test_vit", "timm:test_resnet,channels=1")
    run = ("run", "--task", "tiny.toml", "--folds", "0", "--jobs", "1")
    done = place.bench(*run, "--methods", "all", timeout=900)
    why = "it needs a first convolution whose outputs are maps, and the only convolution of the network cuts the image into patches"
    assert f"left out: diff_prune is not defined for timm:test_vit: {why}" in done.stderr
    assert place.ended(done.stdout)["cells"] == 10  # nine methods, and one more setting of SWiFT under Adam
    place.bench(*run, "--methods", "llft,diff_prune", "--backbone", "all", timeout=900)
    cells = place.folder / "results/cells/tiny"
    assert (cells / "timm+test_resnet+channels-1/diff_prune/f0-s0.json").is_file()
    assert (cells / "timm+test_vit/swift/f0-s0.json").is_file()
    place.bench("report", "--task", "tiny.toml", timeout=900)
    text = (place.folder / "reports/tiny/main.md").read_text().replace("\\", "")
    assert f"Not defined on timm:test_vit: DiffPrune: {why}." in text
    rows = [line for line in text.splitlines() if line.startswith("| DiffPrune")]
    dashes = [set(row.split("|")[2:-1]) == {" – "} for row in rows]
    assert True in dashes  # on the transformer
    assert False in dashes
