"""Checks of a backbone: that it builds what it declares, on random images of a small side."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench import registry
from bench.api import Backbone, Vector
from bench.checks.subject import Broken, NotApplicable
from bench.data.augment import normalise
from bench.decode import fit
from bench.learn.network import build_net
from bench.net import Net

SIDES = (64, 224)
"""Sides of images that are tried, before the one that the backbone was made for."""


@dataclass(frozen=True)
class Network:
    """A backbone to check, named by its spec."""

    spec: str
    plugins: tuple[Path, ...] = ()

    @cached_property
    def backbone(self) -> Backbone:
        return registry.backbone(self.spec, "none", self.plugins)

    @cached_property
    def size(self) -> int:
        """The smallest of the sides on which the network gives a result."""
        sides = (*(side for side in SIDES if side < self.backbone.input.size), self.backbone.input.size)
        for side in sides:
            try:
                with torch.no_grad():
                    self.built(side)(self.images(2, side))
            except Exception:  # a plugin may raise anything, and the last side is reported by the check of features
                continue
            return side
        return sides[-1]

    @cached_property
    def net(self) -> Net:
        """The network with random weights, in evaluation mode; checks must not change it."""
        return self.built(self.size)

    def built(self, size: int, seed: int = 0) -> Net:
        """Return a new network, without changing the global random state."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_net(self.backbone, size=size)

    def images(self, n: int, size: int | None = None) -> Tensor:
        """Return random images as the network is given them."""
        given, size = self.backbone.input, size or self.size
        if isinstance(given, Vector):
            raise NotApplicable("it is for vectors, not images")
        pixels = np.random.default_rng(0).integers(0, 256, (n, size, size, given.channels), dtype=np.uint8)
        return normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2), given)


def check_docstring(subject: Network) -> None:
    """The docstring of the module says what the network is and where its weights come from."""
    text = registry.BACKBONES.catalogue(subject.plugins)[registry.canonical(registry.name_of(subject.spec))].summary
    if len(text.split()) < 3:
        raise Broken("the module has no docstring: say in its first line what the network is")


def check_features(subject: Network) -> None:
    """The extractor maps images to finite features (B, D) of the declared width."""
    net, x = subject.net, subject.images(3)
    with torch.no_grad():
        h = net.get_submodule("features")(x)
    wanted = (3, net.linear.in_features)
    if not isinstance(h, Tensor) or tuple(h.shape) != wanted:
        shape = tuple(h.shape) if isinstance(h, Tensor) else type(h).__name__
        raise Broken(f"features of shape {wanted} expected for 3 images, found {shape}: pool them to a vector")
    if not h.isfinite().all():
        raise Broken("features of random images are NaN or infinite: are mean, std and range of `input` right?")


def check_images_apart(subject: Network) -> None:
    """In evaluation mode the features of an image do not depend on the other images of the batch."""
    net, x = subject.net, subject.images(4)
    with torch.no_grad():
        z = net(x)
        alone = torch.cat([net(part) for part in x.split(1)])
    if not torch.allclose(z, alone, rtol=1e-3, atol=1e-3 * float(z.abs().max())):
        raise Broken("a batch gives other logits than its images one by one: no layer may mix images in evaluation")


def check_repeats(subject: Network) -> None:
    """The same global seed gives the same weights."""
    one, other = (subject.built(subject.size, seed=1).state_dict() for _ in range(2))
    if moved := [name for name in one if not torch.equal(one[name], other[name])]:
        raise Broken(f"{moved[0]} differs between two networks with one seed: draw only from torch's global state")


def check_gradients(subject: Network) -> None:
    """Every parameter takes part in the logit, because importances need the gradient of each."""
    net = subject.built(subject.size)
    z = net(subject.images(2)).sum()
    names = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    found = torch.autograd.grad(z, [net.get_parameter(name) for name in names], allow_unused=True)
    if unused := [name for name, gradient in zip(names, found, strict=True) if gradient is None]:
        raise Broken(f"{', '.join(unused[:3])}: the logit does not depend on it; remove the layer in `build`")


def check_last(subject: Network) -> None:
    """The last linear layer is not part of the extractor: the head has its place."""
    width, layers = subject.net.linear.in_features, list(subject.net.get_submodule("features").modules())
    last = next((layer for layer in reversed(layers) if isinstance(layer, nn.Linear)), None)
    if last is not None and last.out_features == width and width in (1, 2, 1000):
        raise Broken(f"the extractor ends in {last}, which looks like a classifier: leave it out")


def check_state(subject: Network) -> None:
    """A network that loads the `state_dict` of another gives the same logits."""
    buffer, other, x = io.BytesIO(), subject.built(subject.size, seed=2), subject.images(2)
    torch.save(subject.net.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    with torch.no_grad():
        if not torch.equal(other(x), subject.net(x)):
            raise Broken("a network that loads the state_dict gives other logits: keep state in parameters and buffers")


def check_preparation(subject: Network) -> None:
    """`prepare` gives the same image again, leaves its argument alone, and has a version."""
    backbone = subject.backbone
    own = type(backbone).prepare is not Backbone.prepare
    if own != bool(backbone.prepares):
        raise Broken("`prepare` and its version `prepares` belong together: set prepares = 1 beside a `prepare`")
    if not own:
        raise NotApplicable("images are not prepared")
    given = backbone.input
    for shape in ((40, 30), (40, 30, 3)):
        kind = np.uint8 if given.bits == 8 else np.uint16
        image = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape).astype(kind)
        before = image.copy()
        one, other = backbone.prepare(image), backbone.prepare(before.copy())
        if not np.array_equal(image, before):
            raise Broken("`prepare` changes its argument: return a new array")
        if not np.array_equal(one, other):
            raise Broken("`prepare` gives another image the second time: it must not be random")
        try:
            fit(one, size=16, channels=given.channels, crop="none", bits=given.bits, interpolation=given.interpolation)
        except ValueError as error:
            raise Broken(f"`prepare` of {kind.__name__} {shape}: {error}") from None
