"""The network that a run starts from: the extractor of a backbone, and a head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from bench import registry
from bench.api import Backbone, Vector
from bench.backbones import shape_of
from bench.errors import DataMissing, PluginBroken, UsageError
from bench.net import Net
from bench.weights import is_file, sha256


def build_net(
    backbone: str | Backbone,
    *,
    size: int | None = None,
    weights: str | None = None,
    prepare: str = "bench prepare TASK",
    outputs: int = 1,
) -> Net:
    """Return a new network in evaluation mode; what its weights do not say comes from the global random state.

    Args:
        backbone: a backbone, or the spec of one of the suite.
        size: pixels of each side of the images; None: those that the backbone was made for.
        weights: initial weights in place of those of the backbone. They are read from files, never downloaded.
        prepare: the command that fetches the weights, for the error.
        outputs: of the head, one for each finding; those of a head with initial weights start alike.

    Raises:
        UnknownName: the backbone is unknown, or does not know these weights.
        DataMissing: the file of the weights is not there.
        PluginBroken: the backbone does not build an extractor and its width.
    """
    if isinstance(backbone, str):
        backbone = registry.backbone(backbone)
    weights = backbone.weights if weights is None else weights
    file = initial_weights(backbone, weights, prepare)
    built = backbone.build(size or backbone.input.size, file)
    if not (isinstance(built, tuple) and len(built) == 2 and isinstance(built[0], nn.Module)):
        raise PluginBroken(
            f"{type(backbone).__name__}.build returned {type(built).__name__}: module and width expected"
        )
    features, last = built
    net = Net(features, last if isinstance(last, int) else last.in_features, outputs)
    if isinstance(last, nn.Linear):
        net.linear.load_state_dict(
            {name: value.repeat_interleave(outputs, 0) for name, value in last.state_dict().items()}
        )
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's overloads leave it out
    return net.eval()


def check_pooled(spec: str, backbone: Backbone, size: int) -> None:
    """Raise UsageError unless the features of images of `size` pixels are vectors of the width that `build` returns."""
    if isinstance(backbone.input, Vector):
        return
    with torch.random.fork_rng(devices=[]):
        net = build_net(backbone, size=size, weights="none")
    try:
        found = shape_of(net.get_submodule("features"), backbone.input.channels, size)
    except Exception as error:  # the code of a plugin may raise anything
        raise UsageError(f"{spec} fails on two images of {size} pixels: {error}") from None
    if found != (wanted := (2, net.linear.in_features)):
        shape = "no tensor" if found is None else f"shape {tuple(found)}"
        raise UsageError(f"{spec}: features of shape {wanted} expected for two images, found {shape}: pool them")


def initial_weights(backbone: Backbone, weights: str, prepare: str = "bench prepare TASK") -> Path | None:
    """Return the file of initial weights; None where the backbone starts from random ones.

    Raises:
        DataMissing: the file is not there; `prepare` is the command that downloads it.
    """
    if weights in ("none", "task"):
        return None
    if is_file(weights):
        file = Path(weights).absolute()
        sha256(file)
        return file
    found = backbone.weight_file(weights)
    if found is not None and not found[1].is_file():
        url, file = found
        raise DataMissing(
            f"weights {file}",
            get_it=f"On a machine with a network, `{prepare}` downloads {url}; otherwise copy it into that folder "
            '(or set TORCH_HOME), or set weights = "none" in the task to train from scratch.',
        )
    return found[1] if found else None
