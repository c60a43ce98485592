"""Checkpoints from elsewhere: what is accepted gives the same logits, what is not is named key by key."""

import pickle

import pytest
import torch
from inline_snapshot import snapshot
from torch import nn

from bench import registry
from bench.backbones._torchvision_without_operators import models
from bench.data.user_checkpoint import UserCheckpoint
from bench.errors import DataError, DataMissing
from bench.learn.load_checkpoint import user_checkpoint_state
from bench.learn.network import build_net
from tests.prose import plain


@pytest.fixture
def saved(tmp_path):
    def save(content):
        torch.save(content, tmp_path / "model.pt")
        return tmp_path / "model.pt"

    return save


def loaded(file, backbone):
    """The network that a user's checkpoint becomes, in evaluation mode."""
    net = build_net(backbone)
    net.load_state_dict(user_checkpoint_state(file, backbone).state)
    return net


def images(size=64):
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"checkpoint": 1, "model": {"state_dict": state}},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"model": {f"model.module.{name}": value for name, value in state.items()}},
        lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
        lambda state: {f"net._orig_mod.{name}": value for name, value in state.items()},
        lambda state: {name.replace("features.", "features._orig_mod."): value for name, value in state.items()},
        lambda state: {f"a.b.c.{name}": value for name, value in state.items()},
        lambda state: {
            name.replace("features.", "encoder.").replace("head.1", "decision"): value for name, value in state.items()
        },
        lambda state: {name: value.double() for name, value in state.items()},
    ],
    ids=[
        "bare",
        "nested",
        "twice",
        "data parallel",
        "both",
        "compiled",
        "inside",
        "a part",
        "any",
        "renamed",
        "double",
    ],
)
def test_own_names_in_every_wrapping(saved, wrap):
    net = build_net("small")
    own = loaded(saved(wrap(net.state_dict())), "small")
    torch.testing.assert_close(own(images()), net(images()), rtol=0, atol=0)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_half_precision_is_widened(saved, kind):
    state = {
        name: value.to(kind) if value.is_floating_point() else value
        for name, value in build_net("small").state_dict().items()
    }
    found = user_checkpoint_state(saved(state), "small").state
    assert all(torch.equal(found[name], value.float()) for name, value in state.items() if value.is_floating_point())
    assert {value.dtype for value in found.values()} == {torch.float32, torch.int64}


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    net = build_net("small")
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, tmp_path / "m.safetensors")
    assert torch.equal(loaded(tmp_path / "m.safetensors", "small")(images()), net(images()))
    (tmp_path / "m.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read as a state dict"):
        loaded(tmp_path / "m.safetensors", "small")


def test_a_file_is_read_by_its_content_whatever_its_suffix(tmp_path):
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in build_net("small").state_dict().items()}
    save_file(state, tmp_path / "m.pt")
    torch.save(state, tmp_path / "m.safetensors")
    for name in ("m.pt", "m.safetensors"):
        found = user_checkpoint_state(tmp_path / name, "small").state
        assert all(torch.equal(found[key], value) for key, value in state.items())


def test_a_sparse_tensor_is_its_dense_one(saved):
    state = build_net("small").state_dict()
    sparse = {name: value.to_sparse() if value.ndim == 2 else value for name, value in state.items()}
    assert torch.equal(user_checkpoint_state(saved(sparse), "small").state["head.1.weight"], state["head.1.weight"])


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "densenet121", "efficientnet_b3"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_torchvision_models_with_another_last_layer(saved, backbone, outputs):
    torch.manual_seed(0)
    theirs = getattr(models, backbone)(weights=None).eval()
    if hasattr(theirs, "fc"):
        theirs.fc = nn.Linear(theirs.fc.in_features, outputs)
    elif isinstance(theirs.classifier, nn.Linear):
        theirs.classifier = nn.Linear(theirs.classifier.in_features, outputs)
    else:
        theirs.classifier[-1] = nn.Linear(theirs.classifier[-1].in_features, outputs)
    with torch.no_grad():
        z = theirs(images())
        wanted = z[:, 1] - z[:, 0] if outputs == 2 else z[:, 0]
        found = loaded(saved(theirs.state_dict()), backbone)(images())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_head_behind_a_dropout_is_the_last_layer(saved):
    theirs = models.resnet18(weights=None).eval()
    theirs.fc = nn.Sequential(nn.Dropout(0.3), nn.Linear(512, 1))
    theirs.eval()
    found = loaded(saved(theirs.state_dict()), "resnet18")(images())
    torch.testing.assert_close(found, theirs(images())[:, 0], rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_named_as_the_file_names_it(saved, tmp_path):
    state = {f"net.{name}": value for name, value in build_net("small").state_dict().items()}
    state["net.features.3.wieght"] = state.pop("net.features.3.weight")
    state["net.features.0.weight"] = torch.zeros(16, 1, 3, 3)
    with pytest.raises(DataError) as told:
        user_checkpoint_state(saved(state), "small")
    assert plain(told.value, tmp_path) == snapshot("""\
<tmp>/model.pt does not hold the weights of this backbone:
  missing: net.features.3.weight (is it net.features.3.wieght?)
  not used: net.head.1.weight (1, 128)
  not used: net.head.1.bias (1,)
  not used: net.features.3.wieght (32, 16, 3, 3)
  net.features.0.weight: (16, 1, 3, 3), (16, 3, 3, 3) expected
  in all 1 missing, 3 not used, 1 of another shape
  the file has 26 tensors: net.features.0.weight, net.features.1.weight, net.features.1.bias, net.features.1.running_mean, net.features.1.running_var and 21 more; is --backbone right?\
""")
    state = build_net("small").state_dict()
    state["features.1.running_var"] = torch.full((16,), float("inf"))
    with pytest.raises(DataError, match=r"features.1.running_var is NaN or infinite"):
        user_checkpoint_state(saved(state), "small")


def test_tensors_of_a_loss_or_a_metric_are_left_out_and_named(saved):
    """As Lightning stores BCEWithLogitsLoss(pos_weight=...) and a metric of torchmetrics beside the network."""
    state = {f"net.{name}": value for name, value in build_net("small").state_dict().items()}
    extra = {"criterion.pos_weight": torch.ones(1), "val_auc.preds": torch.zeros(0), "loss_fn.weight": torch.ones(2)}
    found = user_checkpoint_state(saved({"state_dict": {**state, **extra}}), "small")
    assert found.left_out == ("criterion.pos_weight (1,)", "val_auc.preds (0,)", "loss_fn.weight (2,)")
    assert torch.equal(found.state["head.1.weight"], state["net.head.1.weight"])


def test_of_an_average_of_weights_the_counter_is_left_out(saved):
    average = torch.optim.swa_utils.AveragedModel(net := build_net("small"))
    found = user_checkpoint_state(saved(average.state_dict()), "small")
    assert found.left_out == ("n_averaged ()",)
    assert torch.equal(found.state["features.0.weight"], net.features[0].weight)


def test_only_tensors_of_no_layer_are_proposed_for_deletion(saved):
    """Without its norm before the last layer a network gives other logits."""
    state = dict(build_net("small").state_dict())
    for more, proposed in (("normalise.mean", "'normalise.mean'"), ("head.0.weight", "NAME")):
        with pytest.raises(DataError, match=rf"as in state\.pop\({proposed}\)"):
            user_checkpoint_state(saved(state | {more: torch.zeros(3)}), "small")


@pytest.mark.parametrize(("first", "second"), [("model", "ema"), ("state_dict", "state_dict_ema"), ("net", "teacher")])
def test_two_sets_of_weights_in_one_file_are_refused_and_an_optimiser_is_none(saved, first, second):
    """The first was taken without a word; timm writes both, and scores the second."""
    net = build_net("small")
    optimiser = torch.optim.Adam(net.parameters())
    net(images()).sum().backward()
    optimiser.step()
    content = {first: {"state_dict": net.state_dict()}, "optimizer": optimiser.state_dict()}
    user_checkpoint_state(saved(content), "small")
    with pytest.raises(DataError, match=f"2 sets of weights, under '{first}', '{second}': save the one that counts"):
        user_checkpoint_state(saved(content | {second: build_net("small").state_dict()}), "small")


@pytest.mark.parametrize(
    ("head", "left"),
    [
        (nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 1)), "fc.0.weight (64, 512)"),
        (nn.Sequential(nn.LayerNorm(512), nn.Linear(512, 1)), "fc.0.weight (512,)"),
        (nn.Sequential(nn.Linear(512, 1), nn.BatchNorm1d(1)), "fc.1.running_mean (1,)"),
    ],
    ids=["two linear layers", "a norm before", "a norm after"],
)
def test_a_head_of_several_layers_is_refused_with_every_tensor(saved, head, left):
    """Its first layer was dropped without a word: a linear layer of the right width, or none with the last."""
    theirs = models.resnet18(weights=None)
    theirs.fc = head
    with pytest.raises(DataError) as told:
        user_checkpoint_state(saved(theirs.state_dict()), "resnet18")
    text = str(told.value)
    assert f"\n  {left}\n" in text
    assert all(f"  fc.{name} " in text for name in head.state_dict())


def test_how_a_head_of_several_layers_is_refused(saved, tmp_path):
    theirs = models.resnet18(weights=None)
    theirs.fc = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 1))
    with pytest.raises(DataError) as told:
        user_checkpoint_state(saved(theirs.state_dict()), "resnet18")
    assert plain(told.value, tmp_path) == snapshot("""\
<tmp>/model.pt: one linear layer of 512 inputs and one or two outputs is expected beside the extractor, but these 4 tensors are left:
  fc.0.weight (64, 512)
  fc.0.bias (64,)
  fc.2.weight (1, 64)
  fc.2.bias (1,)
Is --backbone right? If these are layers of the head, all but the last belong to the extractor: `bench new backbone my-net` writes a backbone, whose `build` returns your network without its last layer; name it in the task and with --plugin. Delete tensors that the forward pass does not use, as in state.pop(NAME). See docs/your-model.md\
""")


def test_layers_of_the_head_that_a_backbone_has_in_its_extractor_are_used(saved, tmp_path):
    """The cure that the message names: all but the last layer belong to the extractor."""
    (tmp_path / "deep.py").write_text(
        '"""A ResNet-18 with a hidden layer in its head."""\n'
        "from dataclasses import dataclass\nfrom torch import nn\nfrom bench.api import Backbone, Input\n"
        "from bench.backbones._torchvision_without_operators import models\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Deep(Backbone):\n"
        "    @property\n    def input(self):\n        return Input()\n"
        "    def build(self, size, weights):\n        model = models.resnet18(weights=None)\n"
        "        model.fc = nn.Sequential(nn.Linear(512, 64), nn.ReLU())\n        return model, 64\n"
    )
    theirs = models.resnet18(weights=None).eval()
    theirs.fc = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 1))
    backbone = registry.backbone("deep", "none", (tmp_path / "deep.py",))
    with torch.no_grad():
        found = loaded(saved(theirs.state_dict()), backbone)(images())
        torch.testing.assert_close(found, theirs(images())[:, 0], rtol=1e-4, atol=1e-5)


EXACT = ("integers", "complex", "integer head", "meta", "arrays")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state | {"normalise.mean": torch.zeros(3)}, "normalise.mean (3,)"),
        (lambda state: {k: v for k, v in state.items() if "head" not in k}, "is it a network without its last layer?"),
        (lambda state: {k: v for k, v in state.items() if k != "head.1.bias"}, "missing: head.1.bias"),
        (lambda state: state | {"head.1.weight": torch.zeros(1, 64)}, "found head.1.weight (1, 64)"),
        (lambda state: state | {"head.1.weight": torch.full((1, 128), torch.nan)}, "head.1.weight (1, 128): finite"),
        (lambda state: {f"{p}.{k}": v for k, v in state.items() for p in ("model", "ema")}, "2 copies of the network"),
        (lambda state: {"a.0.weight": torch.zeros(2)}, "missing: a.1.weight"),
        (lambda state: {"a.scale": torch.zeros(2)}, "has no tensor of this backbone"),
        (lambda state: {"epoch": 3, "lr": 0.1}, "the file has the keys epoch, lr"),
        (lambda state: {}, "an empty dict"),
        (lambda state: {k: v.to(torch.int8) for k, v in state.items()}, "values of int8, floating-point numbers"),
        (
            lambda state: {k: v.to(torch.cfloat) if v.ndim else v for k, v in state.items()},
            "values of complex64, float",
        ),
        (lambda state: state | {"head.1.bias": torch.tensor([1])}, "head.1.bias (1,): finite numbers"),
        (lambda state: {k: v.to("meta") for k, v in state.items()}, "floating-point numbers expected"),
        (lambda state: {k: v.numpy() for k, v in state.items()}, "it holds numpy"),
    ],
    ids=["input", "no head", "no bias", "width", "nan", "copies", "ending", "foreign", "numbers", "empty", *EXACT],
)
def test_what_else_is_refused(saved, change, says):
    with pytest.raises(DataError) as told:
        user_checkpoint_state(saved(change(dict(build_net("small").state_dict()))), "small")
    assert says in str(told.value)


def test_another_backbone_is_asked_for(saved):
    theirs = models.resnet18(weights=None)
    theirs.fc = nn.Linear(512, 1)
    with pytest.raises(DataError, match="is --backbone right"):
        user_checkpoint_state(saved(theirs.state_dict()), "resnet50")


def test_many_outputs_are_refused_with_the_cure(saved, tmp_path):
    theirs = models.resnet18(weights=None)
    with pytest.raises(DataError) as error:
        user_checkpoint_state(saved(theirs.state_dict()), "resnet18")
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/model.pt: fc, its last layer, has 1000 outputs; one logit or two classes expected. Keep the row of the label: state['fc.weight'] = state['fc.weight'][k : k + 1], and the same for the bias. If it is not the last layer, see docs/your-model.md"
    )


def test_whole_models_and_other_files_are_not_opened(saved, tmp_path):
    for content in (build_net("small"), [1, 2]):
        with pytest.raises(DataError, match="state dict"):
            user_checkpoint_state(saved(content), "small")

    for content, says in (
        (b"", "it is empty"),
        (b"<!DOCTYPE html>", "it is a web page"),
        (b"PK\3\4cut", "zip archive"),
    ):
        (tmp_path / "other.pt").write_bytes(content)
        with pytest.raises(DataError, match=says):
            user_checkpoint_state(tmp_path / "other.pt", "small")

    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"save it with torch.save\(model.state_dict"):
        user_checkpoint_state(tmp_path / "evil.pt", "small")
    assert not (tmp_path / "ran").exists()


def test_a_file_per_fold_and_one_for_all(tmp_path):
    for fold in (0, 1):
        (tmp_path / f"f{fold}.pt").write_text(str(fold))
    each = UserCheckpoint(tmp_path / "f{fold}.pt")
    assert each.file(1) == tmp_path / "f1.pt"
    assert (each.shared, UserCheckpoint(tmp_path / "f0.pt").shared) == (False, True)
    assert each.sha256(0) != each.sha256(1)
    with pytest.raises(DataMissing, match=r"f2.pt not found"):
        each.file(2)
