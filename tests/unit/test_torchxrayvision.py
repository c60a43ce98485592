"""The example of a backbone from another package, held against the package itself with random weights."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import registry
from bench.backbones import package
from bench.checks import BACKBONE_CHECKS, run_check
from bench.checks.backbone_checks import Network
from bench.data.augment import normalise
from bench.errors import DataError
from bench.learn.network import build_net

if find_spec("torchxrayvision") is None:
    pytest.skip("torchxrayvision is not installed: pip install torchxrayvision", allow_module_level=True)
PLUGINS = (Path(__file__).parents[2] / "docs/examples/torchxrayvision_backbone.py",)
NAME = "torchxrayvision_backbone"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def xrv():
    return package("torchxrayvision", "")


@pytest.fixture(scope="module")
def saved(xrv, tmp_path_factory):
    torch.manual_seed(0)
    model = xrv.models.DenseNet().eval()
    file = tmp_path_factory.mktemp("weights") / "xrv.pth"
    torch.save(model.state_dict(), file)
    return model, file


def test_logits_are_those_of_one_output_of_the_package(xrv, saved):
    model, file = saved
    backbone = registry.backbone(f"{NAME}:finding=Effusion", str(file), PLUGINS)
    net, image = build_net(backbone), np.random.default_rng(0).integers(0, 256, (2, 224, 224), dtype=np.uint8)
    theirs = torch.from_numpy(np.stack([xrv.datasets.normalize(one, 255) for one in image]))[:, None]
    ours = normalise(torch.from_numpy(image)[:, None], backbone.input)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(net.features(ours), model.features2(theirs), rtol=1e-4, atol=1e-4)
        at = model.targets.index("Effusion")
        torch.testing.assert_close(net(ours), model(theirs)[:, at], rtol=1e-4, atol=1e-4)


def test_the_findings_are_those_of_the_package(xrv):
    for finding in xrv.datasets.default_pathologies:
        registry.backbone(f"{NAME}:finding={finding}", "none", PLUGINS)


def test_it_passes_the_checks_of_backbones():
    subject = Network(NAME, PLUGINS)
    assert {check.__name__: says for check in BACKBONE_CHECKS if (says := run_check(check, subject))} == {}


def test_other_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="does not hold the weights of torchxrayvision's DenseNet"):
        build_net(registry.backbone(NAME, str(tmp_path / "other.pth"), PLUGINS))
