"""The one training loop. Every method that moves weights is a parametrisation of `finetune`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from bench.api import Recipe, Run, Split
from bench.errors import NonFinite
from bench.learn.device import random_state, set_random_state, trained_logits
from bench.learn.fit import fitted, in_parts
from bench.learn.losses import Loss, defined_terms

Part = Literal["features", "head"]


class Stateful(Protocol):
    """What gives its state as tensors, numbers and texts and takes it back: a network, an optimiser, a schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Any, /) -> object: ...


class Checkpoint(Protocol):
    """Where the state of a long training is kept, so that one that was killed goes on from there."""

    def resume(self, parts: Mapping[str, Stateful]) -> bool:
        """Give every part the state that was kept; tell whether there was one."""
        ...

    def keep(self, parts: Mapping[str, Stateful]) -> None:
        """Keep the state of every part, where it is time to."""
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


class _Table:
    """Features of images in poses, as far as they were asked for."""

    def __init__(self, images: int, poses: int) -> None:
        self.row = torch.full((images, poses), -1, dtype=torch.int64)  # -1: not computed yet
        self.values = torch.empty(0)
        self.used = 0


_last: dict[str, _Table] = {}
"""The table of the last extractor, which the settings of an ablation that share it find filled."""


class FrozenFeatures:
    """Features (D,) of the images of a split in each pose, computed when first asked for.

    Exact (up to the rounding of kernels that depend on the batch size) because the extractor is in
    evaluation mode, does not change, and the poses are few. Memory: N * poses * D * 4 bytes at most; where the split
    has too many poses, features of upright images alone can be had. With `run` and `stage`, a later cell that draws
    alike from an equal extractor takes over what is computed; its passes count as if it had made them.
    """

    def __init__(self, features: nn.Module, split: Split, batch: int, run: Run | None = None, stage: str = "") -> None:
        self._features, self._split, self._batch, self._run = features, split, batch, run
        self._what, self._log = f"{stage or 'head'}, frozen features", None if run is None else run.log
        self._poses = split.poses or 1
        self._seen = torch.zeros(len(split), self._poses, dtype=torch.bool)
        self._table = _Table(len(split), self._poses)
        if run is not None:
            key = _identity(features, split, batch, run.rng(stage).initial_seed())
            kept = _last.get(key, self._table)
            _last.clear()
            self._table = _last[key] = kept

    @torch.no_grad()
    def __call__(self, index: Tensor, variant: Tensor) -> Tensor:
        """Return the features (B, D) of images `index` (B,) in poses `variant` (B,)."""
        table = self._table
        new = torch.unique(torch.stack([index, variant], 1)[~self._seen[index, variant]], dim=0)
        self._seen[index, variant] = True
        wanted = new[table.row[new[:, 0], new[:, 1]] < 0]
        if self._run is not None and len(new) > len(wanted):
            self._run.count(forward=len(new) - len(wanted))
        for part in wanted.split(self._batch):
            computed = fitted(
                self._features,
                len(part),
                partial(in_parts, self._features, self._split.images(part[:, 0], part[:, 1])),
                what=self._what,
                log=self._log,
            )
            if not table.used:
                # Room for every pose; memory that is never written is never taken.
                table.values = computed.new_empty(self._poses * len(self._split), computed.shape[1])
            end = table.used + len(part)
            table.values[table.used : end] = computed
            table.row[part[:, 0], part[:, 1]] = torch.arange(table.used, end)
            table.used = end
        return table.values[table.row[index, variant].to(table.values.device)]

    def upright(self) -> Tensor:
        """Return the features (N, D) of all images as they are."""
        return self(torch.arange(len(self._split)), torch.zeros(len(self._split), dtype=torch.int64))


def _identity(features: nn.Module, split: Split, batch: int, seed: int) -> str:
    """Name what a table depends on: extractor, images (names, labels, the first four), draws, and where it lies."""
    digest = hashlib.sha256(f"{features} {split.name} {len(split)} {batch} {seed}".encode())
    digest.update("\n".join(map(str, split.uids)).encode())
    first = torch.arange(min(4, len(split)))
    images = split.images(first, torch.zeros_like(first))
    digest.update(str(images.device).encode())
    for tensor in (split.y, split.a, images, *features.state_dict().values()):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def make_optimiser(recipe: Recipe, parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """The fine-tuning optimiser of the recipe; Adam without weight decay, SGD with it (SWiFT's public code)."""
    if recipe.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=lr)
    return torch.optim.SGD(parameters, lr=lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def finetune(
    run: Run,
    net: nn.Module,
    *,
    loss: Loss,
    split: str,
    epochs: int,
    lr: float,
    train: Sequence[Part] = ("features", "head"),
    mask: Mapping[str, Tensor] | None = None,
    apply: Literal["gradient", "update"] = "gradient",
    optimiser: torch.optim.Optimizer | None = None,
    schedule: Literal["constant", "cosine"] | None = None,
    cache: bool = True,
    augment: bool = True,
    extractor: Literal["eval", "train"] = "eval",
    head: Literal["train", "eval"] = "train",
    after_epoch: Callable[[float], None] | None = None,
    checkpoint: Checkpoint | None = None,
    stage: str = "finetune",
) -> nn.Module:
    """Train parts of `net` in place for some epochs over a split, augmented, and return it.

    A frozen extractor is in evaluation mode and its features are cached where the poses are few; `extractor="train"`
    lets its BatchNorm statistics move, as in the public code of SWiFT (D13). A frozen head keeps its dropout, as
    there (D14), unless `head="eval"`. `mask` maps parameter names to factors in [0, 1]: of the gradients (Eq. 11), or
    of the whole update. A step whose loss is undefined on the batch is left out. A cosine `schedule` lets the rate
    fall to 0; None takes that of the recipe. `after_epoch` hears the mean loss of each epoch and may read `net`,
    whose modes it must leave as they are.

    Raises:
        NonFinite: after an epoch that left a parameter or buffer NaN or infinite.
    """
    data = run.split(split)
    names = {name: p for part in train for name, p in net.get_submodule(part).named_parameters(prefix=part)}
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in names)
    net.train()
    if "features" not in train and extractor == "eval":
        freeze(net.get_submodule("features"))
    if "head" not in train and head == "eval":
        net.get_submodule("head").eval()
    if optimiser is None:
        optimiser = make_optimiser(run.recipe, list(names.values()), lr)
    features, head_of, frozen = net.get_submodule("features"), net.get_submodule("head"), None
    still = "features" not in train and extractor == "eval"
    if cache and still and (data.poses is not None or not augment):
        frozen = FrozenFeatures(features, data, run.recipe.batch, run, stage)

    def logits(x: Tensor, size: int) -> Tensor:
        if still and size < len(x):
            with torch.no_grad():
                h = in_parts(partial(trained_logits, run, features), x, size)
            return head_of(h).squeeze(1)
        return in_parts(partial(trained_logits, run, net), x, size)

    def pull_back(z: Tensor, y: Tensor, a: Tensor) -> tuple[Tensor, Tensor | None]:
        value = loss(z, y, a)
        if value is not None:
            optimiser.zero_grad(set_to_none=True)
            value.backward()
        return z, value

    def live(x: Tensor, y: Tensor, a: Tensor, size: int) -> tuple[Tensor, Tensor | None]:
        return pull_back(logits(x, size), y, a)

    draws, facts = run.rng(stage), _Facts()
    steps = max(1, epochs * -(-len(data) // run.recipe.batch))
    falling = (schedule or run.recipe.schedule) == "cosine"
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps) if falling else None
    position = _Position(draws)
    parts: dict[str, Stateful] = {"net": net, "optimiser": optimiser, "facts": facts, "position": position}
    parts |= {"decay": decay} if decay is not None else {}
    with seeded(run.rng(f"{stage}/dropout")):
        if checkpoint is not None and checkpoint.resume(parts):
            run.progress(f"{stage}, resumed at epoch {position.epoch + 1}, batch {position.batch + 1}")
        for epoch in range(position.epoch, epochs):
            run.progress(f"{stage}, epoch {epoch + 1}/{epochs}")
            first = position.start(epoch)
            batches = data.draws(size=run.recipe.batch, shuffle=True, augment=augment, rng=draws)
            for number, (index, variant) in islice(enumerate(batches), first, None):
                position.batch = number
                if checkpoint is not None:
                    checkpoint.keep(parts)
                y, a = data.y[index], data.a[index]
                if frozen is not None:
                    z, value = pull_back(head_of(frozen(index, variant)).squeeze(1), y, a)
                else:
                    z, value = fitted(
                        net, len(index), partial(live, data.images(index, variant), y, a), what=stage, log=run.log
                    )
                facts.add(z, y, a, value)
                if value is None:
                    continue
                _step(optimiser, names, mask, apply)
                if decay is not None:
                    decay.step()
            facts.close_epoch()
            require_finite(net, f"{stage}, epoch {epoch + 1}")
            if after_epoch is not None:
                after_epoch(facts.losses[-1])
    run.log(**{stage: facts.summary()})
    net.requires_grad_(True)
    return net.eval()


def _step(
    optimiser: torch.optim.Optimizer,
    names: Mapping[str, nn.Parameter],
    mask: Mapping[str, Tensor] | None,
    apply: Literal["gradient", "update"],
) -> None:
    if mask is None:
        optimiser.step()
        return
    if apply == "gradient":
        for name, parameter in names.items():
            if parameter.grad is not None:
                parameter.grad.mul_(mask[name])
        optimiser.step()
        return
    before = {name: parameter.detach().clone() for name, parameter in names.items()}
    optimiser.step()
    with torch.no_grad():
        for name, parameter in names.items():
            parameter.copy_(before[name] + mask[name] * (parameter - before[name]))


def require_finite(net: nn.Module, where: str) -> None:
    """Raise NonFinite naming the first parameter or buffer with a NaN or infinite entry."""
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise NonFinite(f"{name} is not finite after {where}")


class _Position:
    """The next step of a training: epoch, batch, and the random state from which order, poses and dropout come."""

    def __init__(self, draws: torch.Generator) -> None:
        self.draws, self.order = draws, draws.get_state()
        self.epoch = self.batch = 0

    def start(self, epoch: int) -> int:
        """Note that an epoch starts; return its first batch, which is not 0 in one that is resumed."""
        # All draws of an epoch come before its first batch: the state here and a number say where it stands.
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
    """What a cell's JSON says of one stage of training."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.epoch: list[float] = []
        self.undefined_terms = self.single_class_batches = self.skipped_steps = self.steps = 0
        self.largest_logit = 0.0

    def add(self, z: Tensor, y: Tensor, a: Tensor, value: Tensor | None) -> None:
        self.undefined_terms += 2 - defined_terms(y, a)
        self.single_class_batches += int(y.min() == y.max())
        self.largest_logit = max(self.largest_logit, float(z.detach().abs().max()))
        if value is None:
            self.skipped_steps += 1
        else:
            self.steps += 1
            self.epoch.append(float(value.detach()))

    def close_epoch(self) -> None:
        self.losses.append(sum(self.epoch) / len(self.epoch) if self.epoch else float("nan"))
        self.epoch = []

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        vars(self).update(state_dict)

    def summary(self) -> dict[str, object]:
        return {
            "loss": self.losses,
            "steps": self.steps,
            "skipped_steps": self.skipped_steps,
            "undefined_proxy_terms": self.undefined_terms,
            "single_class_batches": self.single_class_batches,
            "largest_logit": self.largest_logit,
        }
