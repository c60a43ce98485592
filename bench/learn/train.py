"""The training loop, which pre-training and every method that trains weights use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bench.api import Recipe, Run, Split
from bench.errors import NonFinite, UsageError
from bench.learn.chunks import in_chunks, run_in_chunks
from bench.learn.device import random_state, set_random_state, trained_logits
from bench.learn.frozen_features import FrozenFeatures
from bench.learn.losses import Loss, defined_terms, loss_on

Part = Literal["features", "head"]
TOO_SMALL = re.compile(r"more than 1 value per channel|[Kk]ernel size|[Oo]utput size|too small")
"""Messages of torch about sizes that a layer does not accept."""


class Stateful(Protocol):
    """An object that returns and restores its state: a network, an optimiser, a schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Any, /) -> object: ...


class Checkpoint(Protocol):
    """The store for the state of a long training, from which a killed process continues."""

    def resume(self, parts: Mapping[str, Stateful]) -> bool:
        """Restore the stored state of every part; return whether there was one."""
        ...

    def keep(self, parts: Mapping[str, Stateful]) -> None:
        """Store the state of every part if the last was stored long enough ago."""
        ...


def freeze(module: nn.Module) -> None:
    """Stop gradients and switch to evaluation mode, so that buffers (BatchNorm statistics) stay too."""
    module.requires_grad_(False).eval()


@contextmanager
def seeded(rng: torch.Generator) -> Iterator[None]:
    """Seed the global random state (which dropout draws from) inside the block; restore it afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(rng.initial_seed())
        yield


def make_optimiser(recipe: Recipe, parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return the fine-tuning optimiser of the recipe: Adam without, or SGD with weight decay (SWiFT's public code)."""
    if recipe.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=lr)
    return torch.optim.SGD(parameters, lr=lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Options of `finetune` that few methods need.

    A frozen extractor is in evaluation mode, and its features are cached (`cache`) if the split has few augmentations;
    with `extractor="train"` its BatchNorm statistics move, as in the public code of SWiFT (D13). A frozen head keeps
    its dropout, as in that code (D14), unless `head="eval"`. `mask` multiplies the gradients (Eq. 11) or, with
    `apply="update"`, the whole update.
    """

    mask: Mapping[str, Tensor] | None = None
    """Name of a parameter -> factors in [0, 1] of its shape."""
    apply: Literal["gradient", "update"] = "gradient"
    optimiser: torch.optim.Optimizer | None = None
    """None: the optimiser of the recipe."""
    schedule: Literal["constant", "cosine"] | None = None
    """A cosine lets the learning rate fall to 0; None: the schedule of the recipe."""
    cache: bool = True
    augment: bool = True
    extractor: Literal["eval", "train"] = "eval"
    head: Literal["train", "eval"] = "train"
    after_epoch: Callable[[float], None] | None = None
    """Called with the mean loss of each epoch. It may use the network, but must restore its modes."""
    checkpoint: Checkpoint | None = None


def finetune(
    run: Run,
    net: nn.Module,
    *,
    loss: Loss,
    split: str,
    epochs: int,
    lr: float,
    train: Sequence[Part] = ("features", "head"),
    stage: str = "finetune",
    how: Training | None = None,
) -> nn.Module:
    """Train parts of a network in place for some epochs over an augmented split, and return the network.

    A step is skipped if its loss is undefined on the batch. `how` has the options that few methods need.

    Raises:
        UsageError: before the first step, if the images or the last batch are too small for the network.
        NonFinite: if a parameter or buffer is NaN or infinite after an epoch.
    """
    how, data = how or Training(), run.split(split)
    names = {name: p for part in train for name, p in net.get_submodule(part).named_parameters(prefix=part)}
    _prepare(net, names, train, how)
    optimiser = how.optimiser or make_optimiser(run.recipe, list(names.values()), lr)
    passes = _Passes(run, net, data, loss, optimiser, stage, still="features" not in train and how.extractor == "eval")
    if how.cache and passes.still and (data.augmentations is not None or not how.augment):
        passes.frozen = FrozenFeatures(net.get_submodule("features"), data, run.recipe.batch, run, stage)
    steps = max(1, epochs * -(-len(data) // run.recipe.batch))
    falling = (how.schedule or run.recipe.schedule) == "cosine"
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps) if falling else None
    draws, facts = run.rng(stage), _Facts()
    position = _Position(draws)
    parts: dict[str, Stateful] = {"net": net, "optimiser": optimiser, "facts": facts, "position": position}
    parts |= {"decay": decay} if decay is not None else {}
    with seeded(run.rng(f"{stage}/dropout")):
        if how.checkpoint is not None and how.checkpoint.resume(parts):
            run.progress(f"{stage}, resumed at epoch {position.epoch + 1}, batch {position.batch + 1}")
        for epoch in range(position.epoch, epochs):
            run.progress(f"{stage}, epoch {epoch + 1}/{epochs}")
            first = position.start(epoch)
            batches = data.index_batches(size=run.recipe.batch, shuffle=True, augment=how.augment, rng=draws)
            batches = islice(batches, first, None)  # those before were made before the training was stopped
            batches = batches if passes.frozen is not None else data.read_ahead(batches)
            for number, (index, augmentation) in enumerate(batches, first):
                position.batch = number
                if how.checkpoint is not None:
                    how.checkpoint.keep(parts)
                z, value = passes.pull_back(index, augmentation)
                facts.add(z, *data.known(index), value)
                if value is None:
                    continue
                _step(optimiser, names, how)
                if decay is not None:
                    decay.step()
            facts.close_epoch()
            require_finite(net, f"{stage}, epoch {epoch + 1}")
            if how.after_epoch is not None:
                how.after_epoch(facts.losses[-1])
    run.log(**{stage: facts.summary()})
    net.requires_grad_(True)
    return net.eval()


def _prepare(net: nn.Module, names: Mapping[str, nn.Parameter], train: Sequence[Part], how: Training) -> None:
    """Set which parameters require gradients, and the mode of each part of the network."""
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in names)
    net.train()
    if "features" not in train and how.extractor == "eval":
        freeze(net.get_submodule("features"))
    if "head" not in train and how.head == "eval":
        net.get_submodule("head").eval()


def _check_sizes(net: nn.Module, shape: Sequence[int], data: Split, batch: int, stage: str) -> None:
    """Raise UsageError where the network cannot be trained on images of this shape, or on the last batch."""
    n, shapes = len(data), deepcopy(net).to("meta")  # on the meta device a pass works out sizes alone
    for module in shapes.modules():  # hooks count the images of real passes
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    for size in sorted({min(n, batch), n % batch or batch}, reverse=True):
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                shapes(torch.zeros(size, *shape, device="meta"))
        except (RuntimeError, ValueError) as error:
            if not TOO_SMALL.search(str(error)):
                continue  # what does not work without values will be seen on the images
            if size > 1:
                what = f"images of {shape[1]} x {shape[2]} pixels are too small for this network: raise image_size"
            else:
                other = next((f": set batch={more}, say" for more in range(batch + 1, n + 2) if n % more != 1), "")
                what = (
                    f"the last batch of the {n} images of {data.name!r} holds one image, on which BatchNorm cannot be "
                    f"trained{other}"
                )
            raise UsageError(f"{stage}: {what} ({error})") from None


@dataclass
class _Passes:
    """The forward and backward pass of a batch, with cached features or in chunks that fit in memory."""

    run: Run
    net: nn.Module
    data: Split
    loss: Loss
    optimiser: torch.optim.Optimizer
    stage: str
    still: bool
    """Whether the extractor does not change, so that its passes need no gradient."""
    frozen: FrozenFeatures | None = None
    checked: bool = False

    def __post_init__(self) -> None:
        # Of fixed shapes: an epoch has whole batches and a last one.
        compiled = self.run.recipe.compile and not self.still
        self.forward = torch.compile(self.net, dynamic=False) if compiled else self.net

    def pull_back(self, index: Tensor, augmentation: Tensor) -> tuple[Tensor, Tensor | None]:
        """Set the gradients of one batch; return its logits (B,) and its loss, None if the loss is undefined."""
        # Made once: a loss with a memory, such as GroupDRO's, tells by them a batch that comes again in chunks.
        labels = self.data.labels(index)
        if self.frozen is not None:
            z = self.net.get_submodule("head")(self.frozen(index, augmentation)).squeeze(1)
            return self._backward(z, index, labels)
        x = self.data.images(index, augmentation)
        if not self.checked:  # before the first step: the last batch of an epoch comes after hours
            _check_sizes(self.net, x.shape[1:], self.data, self.run.recipe.batch, self.stage)
            self.checked = True
        live = partial(self._live, x, index, labels)
        return run_in_chunks(self.net, len(index), live, what=self.stage, log=self.run.log)

    def _live(self, x: Tensor, index: Tensor, labels: tuple[Tensor, Tensor], size: int) -> tuple[Tensor, Tensor | None]:
        if self.still and size < len(x):
            with torch.no_grad():
                h = in_chunks(partial(trained_logits, self.run, self.net.get_submodule("features")), x, size)
            return self._backward(self.net.get_submodule("head")(h).squeeze(1), index, labels)
        return self._backward(in_chunks(partial(trained_logits, self.run, self.forward), x, size), index, labels)

    def _backward(self, z: Tensor, index: Tensor, labels: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        value = loss_on(self.loss, (z, *labels), self.data.known(index))
        if value is not None:
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()
        return z, value


def _step(optimiser: torch.optim.Optimizer, names: Mapping[str, nn.Parameter], how: Training) -> None:
    """Make a step, through the mask if there is one: on the gradients before it, or on the update after it."""
    mask = how.mask or {}
    masked = names if mask else {}
    before = {name: parameter.detach().clone() for name, parameter in masked.items() if how.apply == "update"}
    for name, parameter in masked.items():
        if how.apply == "gradient" and parameter.grad is not None:
            parameter.grad.mul_(mask[name])
    optimiser.step()
    with torch.no_grad():
        for name, old in before.items():
            names[name].copy_(old + mask[name] * (names[name] - old))


def require_finite(net: nn.Module, where: str) -> None:
    """Raise NonFinite with the name of the first parameter or buffer that has a NaN or infinite entry."""
    tensors = {name: t for name, t in [*net.named_parameters(), *net.named_buffers()] if t.is_floating_point()}
    finite = _numbers([torch.isfinite(tensor).all() for tensor in tensors.values()])
    for name, fine in zip(tensors, finite, strict=True):
        if not fine:
            raise NonFinite(f"{name} is not finite after {where}")


def _numbers(scalars: Sequence[Tensor]) -> list[float]:
    """Return numbers that lie on the device, in one read of all."""
    return torch.stack(list(scalars)).cpu().tolist() if scalars else []


class _Position:
    """The next step of a training: epoch, batch, and the random states for order, augmentation and dropout."""

    def __init__(self, draws: torch.Generator) -> None:
        self.draws, self.order = draws, draws.get_state()
        self.epoch = self.batch = 0

    def start(self, epoch: int) -> int:
        """Start an epoch and return its first batch, which is not 0 if the epoch is resumed."""
        # All draws of an epoch are made before its first batch, so this state and the batch number define the position.
        self.order = self.draws.get_state()
        first = self.batch if epoch == self.epoch else 0
        self.epoch, self.batch = epoch, first
        return first

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "batch": self.batch, "order": self.order, "dropout": random_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.epoch, self.batch = state_dict["epoch"], state_dict["batch"]
        self.draws.set_state(state_dict["order"])
        set_random_state(state_dict["dropout"])


class _Facts:
    """The facts that the record of a cell holds about one stage of training.

    Losses and largest logits stay on the device until the end of an epoch or a checkpoint; what a batch holds is known
    on the host. So no step waits.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.epoch: list[float] = []
        self._values: list[Tensor] = []
        self._logits: list[Tensor] = []
        counted = ("steps", "skipped_steps", "undefined_proxy_terms", "single_class_batches")
        self.counts = dict.fromkeys(counted, 0)
        self.largest_logit = 0.0

    def add(self, z: Tensor, y: np.ndarray, a: np.ndarray, value: Tensor | None) -> None:
        self.counts["steps" if value is not None else "skipped_steps"] += 1
        self.counts["undefined_proxy_terms"] += 2 - defined_terms(y, a)
        self.counts["single_class_batches"] += int(y.min() == y.max())
        self._logits.append(z.detach().abs().max())
        if value is not None:
            self._values.append(value.detach())

    def _read(self) -> None:
        for logit in _numbers(self._logits):
            self.largest_logit = max(self.largest_logit, logit)
        self.epoch += _numbers(self._values)
        self._logits, self._values = [], []

    def close_epoch(self) -> None:
        self._read()
        self.losses.append(sum(self.epoch) / len(self.epoch) if self.epoch else float("nan"))
        self.epoch = []

    def state_dict(self) -> dict[str, Any]:
        self._read()
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        vars(self).update(state_dict)

    def summary(self) -> dict[str, object]:
        return {"loss": self.losses, **self.counts, "largest_logit": self.largest_logit}
