"""What a stored model may be: the modules of every method are built again from the names of their tensors."""

import copy

import pytest
import torch
from safetensors.torch import load
from torch import nn

from bench import registry
from bench.checks.subject import Subject, fit, logits, random_net, trained_net
from bench.errors import PluginBroken
from bench.learn.network import build_net
from bench.learn.wrappers import GroupShift, MaskedLayer, check_storable, rebuilt
from bench.weights import load_exactly, written

SHORT = {"diff_prune": {"max_steps": 1, "step": 0.05, "accuracy_drop": 1.0, "accuracy_least": 0.0}}


@pytest.mark.parametrize("name", sorted(registry.METHODS.catalogue()))
def test_the_module_of_every_method_is_built_again_from_its_bytes(name, tmp_path):
    method = type(Subject(name).method)(**SHORT.get(name, {}))
    done = fit(method, name)
    check_storable(done.model, done.baseline)
    content = written(done.model)
    state = load(content)
    again = rebuilt(random_net(seed=5), state)
    load_exactly(again, state, tmp_path, name)
    assert torch.equal(logits(again, grouped=done.grouped), done.logits)
    assert written(again) == content
    if name == "diff_prune":
        masks = [module for module in again.modules() if isinstance(module, MaskedLayer)]
        assert [int((layer.mask == 0).sum()) > 0 for layer in masks] == [True]


def test_masks_inside_of_a_shift_and_on_layers_without_weights():
    net = trained_net()
    features = net.get_submodule("features")
    features[2] = MaskedLayer(features[2], (torch.rand(16, 1, 1) > 0.5).float())
    model = GroupShift(net, torch.tensor([0.5, -0.5, 0.1]))
    check_storable(model, trained_net())
    again = rebuilt(random_net(), model.state_dict())
    again.load_state_dict(model.state_dict())
    assert torch.equal(logits(again, grouped=True), logits(model, grouped=True))


class Around(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net


class Scaled(nn.ReLU):
    """It has no tensors, so that only its class tells it from another activation."""


def deeper(net):
    net.head = nn.Sequential(net.head[0], nn.Linear(128, 8), nn.Linear(8, 1))
    return net


def scaled(net):
    net.get_submodule("features")[2] = Scaled()
    return net


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (Around, "the module itself (Around)"),
        (deeper, "the module head.2 (Linear)"),
        (scaled, "the module features.2 (Scaled)"),
    ],
)
def test_any_other_module_is_refused_and_named(change, says):
    with pytest.raises(PluginBroken) as error:
        check_storable(change(trained_net()), trained_net())
    assert says in str(error.value)


def test_a_buffer_of_a_network_that_is_called_mask_is_no_wrapper():
    net = build_net("small")
    features = net.get_submodule("features")
    features[0].register_buffer("mask", torch.ones(1))
    state = copy.deepcopy(net.state_dict())
    assert rebuilt(net, state) is net
    assert not any(isinstance(module, MaskedLayer) for module in net.modules())
