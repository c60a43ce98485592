"""The one training loop. Every method that moves weights is a parametrisation of `finetune`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from bench.api import Recipe, Run, Split
from bench.errors import NonFinite
from bench.learn.losses import Loss, defined_terms

Part = Literal["features", "head"]


def freeze(module: nn.Module) -> None:
    """Stop gradients and switch to evaluation mode, so that buffers (BatchNorm statistics) stay too."""
    module.requires_grad_(False).eval()


@contextmanager
def seeded(rng: torch.Generator) -> Iterator[None]:
    """Seed the global random state (which dropout draws from) inside the block; restore it afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(rng.initial_seed())
        yield


class FrozenFeatures:
    """Features (D,) of the images of a split in each pose, computed when first asked for.

    Exact (up to the rounding of kernels that depend on the batch size) because the extractor is in
    evaluation mode, does not change, and the poses are few. Memory: N * poses * D * 4 bytes at most. Where the split
    has too many poses, features of upright images alone can be had.
    """

    def __init__(self, features: nn.Module, split: Split, batch: int) -> None:
        self._features, self._split, self._batch = features, split, batch
        self._poses = split.poses or 1
        self._row = torch.full((len(split), self._poses), -1, dtype=torch.int64)  # in the table; -1: not computed yet
        self._table = torch.empty(0)
        self._used = 0

    @torch.no_grad()
    def __call__(self, index: Tensor, variant: Tensor) -> Tensor:
        """Return the features (B, D) of images `index` (B,) in poses `variant` (B,)."""
        wanted = torch.unique(torch.stack([index, variant], 1)[self._row[index, variant] < 0], dim=0)
        for part in wanted.split(self._batch):
            computed = self._features(self._split.images(part[:, 0], part[:, 1]))
            if not self._used:
                # Room for every pose; memory that is never written is never taken.
                self._table = computed.new_empty(self._poses * len(self._split), computed.shape[1])
            end = self._used + len(part)
            self._table[self._used : end] = computed
            self._row[part[:, 0], part[:, 1]] = torch.arange(self._used, end)
            self._used = end
        return self._table[self._row[index, variant].to(self._table.device)]

    def upright(self) -> Tensor:
        """Return the features (N, D) of all images as they are."""
        return self(torch.arange(len(self._split)), torch.zeros(len(self._split), dtype=torch.int64))


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
    decay: bool = False,
    cache: bool = True,
    after_epoch: Callable[[float], None] | None = None,
    stage: str = "finetune",
) -> nn.Module:
    """Train parts of `net` in place for some epochs over a split, augmented, and return it.

    A frozen extractor is in evaluation mode and its features are cached where the poses are few; a frozen head keeps
    its dropout, as in the public code of SWiFT. `mask` maps parameter names to factors in [0, 1]: of the gradients
    (Eq. 11), or of the whole update. A step whose loss is undefined on the batch is left out. `decay` lets
    the rate fall to 0 along a half cosine; it is constant otherwise. `after_epoch` hears the mean loss of each epoch
    and may read `net`, whose modes it must leave as they are.

    Raises:
        NonFinite: after an epoch that left a parameter or buffer NaN or infinite.
    """
    data = run.split(split)
    names = {name: p for part in train for name, p in net.get_submodule(part).named_parameters(prefix=part)}
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in names)
    net.train()
    if "features" not in train:
        freeze(net.get_submodule("features"))
    if optimiser is None:
        optimiser = make_optimiser(run.recipe, list(names.values()), lr)
    frozen = FrozenFeatures(net.get_submodule("features"), data, run.recipe.batch)
    use_cache = cache and "features" not in train and data.poses is not None
    draws, facts = run.rng(stage), _Facts()
    steps = max(1, epochs * -(-len(data) // run.recipe.batch))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps) if decay else None
    with seeded(run.rng(f"{stage}/dropout")):
        for epoch in range(epochs):
            run.progress(f"{stage}, epoch {epoch + 1}/{epochs}")
            for index, variant in data.draws(size=run.recipe.batch, shuffle=True, augment=True, rng=draws):
                y, a = data.y[index], data.a[index]
                if use_cache:
                    z = net.get_submodule("head")(frozen(index, variant)).squeeze(1)
                else:
                    z = net(data.images(index, variant))
                value = loss(z, y, a)
                facts.add(z, y, a, value)
                if value is None:
                    continue
                optimiser.zero_grad(set_to_none=True)
                value.backward()
                _step(optimiser, names, mask, apply)
                if schedule is not None:
                    schedule.step()
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

    def summary(self) -> dict[str, object]:
        return {
            "loss": self.losses,
            "steps": self.steps,
            "skipped_steps": self.skipped_steps,
            "undefined_proxy_terms": self.undefined_terms,
            "single_class_batches": self.single_class_batches,
            "largest_logit": self.largest_logit,
        }
