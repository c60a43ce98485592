"""Checkpoints from elsewhere: what is accepted gives the same logits, what is not is named key by key."""

import pickle

import pytest
import torch
from inline_snapshot import snapshot
from torch import nn

from bench.data.user_checkpoint import UserCheckpoint
from bench.errors import DataError, DataMissing
from bench.learn._torchvision_without_operators import models
from bench.learn.load_checkpoint import user_checkpoint_state
from bench.learn.network import build_net
from tests.prose import lines_with, plain, sentences_with


@pytest.fixture
def saved(tmp_path):
    def save(content):
        torch.save(content, tmp_path / "model.pt")
        return tmp_path / "model.pt"

    return save


def loaded(file, backbone):
    """The network that a user's checkpoint becomes, in evaluation mode."""
    net = build_net(backbone)
    net.load_state_dict(user_checkpoint_state(file, backbone))
    return net


def images(size=64):
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"model": {f"model.module.{name}": value for name, value in state.items()}},
        lambda state: {name: value.double() for name, value in state.items()},
    ],
    ids=["bare", "nested", "data parallel", "both", "double"],
)
def test_own_names_in_every_wrapping(saved, wrap):
    net = build_net("small")
    own = loaded(saved(wrap(net.state_dict())), "small")
    torch.testing.assert_close(own(images()), net(images()), rtol=0, atol=0)


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


def test_what_does_not_fit_is_named_with_the_nearest_spelling(saved):
    state = dict(build_net("small").state_dict())
    state["features.3.wieght"] = state.pop("features.3.weight")
    state["features.0.weight"] = torch.zeros(16, 1, 3, 3)
    with pytest.raises(DataError) as told:
        user_checkpoint_state(saved(state), "small")
    text = str(told.value)
    assert sentences_with(text, "features.3.weight") == snapshot(
        ["missing: features.3.weight (is it features.3.wieght?)"]
    )
    assert "not expected: features.3.wieght" in text
    assert "features.0.weight: (16, 1, 3, 3), (16, 3, 3, 3) expected" in text
    assert lines_with(text, "1 missing") == snapshot(["  in all 1 missing, 1 not expected, 1 of another shape"])


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
        "<tmp>/model.pt: its last layer has 1000 outputs; one logit or two classes expected. Keep the row of the label: state['fc.weight'] = state['fc.weight'][k : k + 1], and the same for the bias"
    )


def test_whole_models_and_other_files_are_not_opened(saved, tmp_path):
    for content in (build_net("small"), [1, 2]):
        with pytest.raises(DataError, match="state dict"):
            user_checkpoint_state(saved(content), "small")

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
