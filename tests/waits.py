"""Where the host waits for the device: reads of a number, selections by a condition, copies that block.

Without a GPU they are counted on the CPU, where every tensor counts, or on the second device of `other_device`, where
only its own do and copies between the two are seen. What NumPy does is on the host for certain and waits for nothing.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.api import Recipe
from bench.cells.identity import Cell
from bench.checks.subject import SPLITS, random_net, random_split
from bench.data.image_split import ImageSplit
from bench.learn import frozen_features
from bench.learn.predict import predict
from bench.running.context import CellRun
from bench.running.plan import build_method
from tests.unit.other_device import INDEXED, There

aten = torch.ops.aten
EVERY = {
    "diff_gda": "diff_gda:evaluations=1,epochs=1,accuracy_stop=0",
    "diff_prune": "diff_prune:max_steps=1,accuracy_stop=0",
    "llft": "llft:patience=0,max_epochs=2,batch=8",
}
"""Settings in which the number of evaluations, or of epochs, does not depend on the number of batches."""
READS = {aten._local_scalar_dense, aten.item, aten.is_nonzero, aten.equal}
SELECTIONS = {aten.nonzero, aten.masked_select, aten._unique, aten._unique2, aten.unique_dim, aten.unique_consecutive}
COPIES = {aten.copy_, aten._to_copy}
CONDITIONS = (torch.bool, torch.uint8)


class Waits(TorchDispatchMode):
    """Count, in `found`, what waits; an optimiser's own under "optimiser: ..."."""

    def __init__(self, *, there: bool = False) -> None:
        super().__init__()
        self.there, self.found, self._within = there, Counter(), ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if kind := self._kind(function, args, kwargs):
            self.found[self._within + kind] += 1
        return function(*args, **kwargs)

    def _kind(self, function, args, kwargs) -> str:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if self.there and not any(isinstance(one, There) for one in tensors) and function.overloadpacket not in COPIES:
            return ""
        if function.overloadpacket in READS:
            return "read"
        if function.overloadpacket in SELECTIONS:
            return "selection"
        if function in INDEXED:
            indices = [one for one in args[1] if one is not None]
            if any(one.dtype in CONDITIONS for one in indices):
                return "selection"
            return "copy" if self.there and any(one.dim() and not isinstance(one, There) for one in indices) else ""
        if self.there and function.overloadpacket in COPIES and self._crosses(function, args, kwargs):
            return "copy"
        return ""

    @staticmethod
    def _crosses(function, args, kwargs) -> bool:
        if function is aten.copy_.default:
            to_device, source = isinstance(args[0], There), args[1]
        else:
            source, wanted = args[0], kwargs.get("device")
            to_device = isinstance(source, There) if wanted is None else torch.device(wanted).type == "meta"
        if isinstance(source, There) == to_device or (to_device and not source.dim()):
            return False
        # To the device a copy may go on beside the host; a number that comes back is waited for.
        return not (to_device and (kwargs.get("non_blocking") or args[2:3] == (True,)))

    @contextmanager
    def optimiser_apart(self) -> Iterator[None]:
        """Name what the steps of optimisers do inside the block."""

        def begin(*_: object) -> None:
            self._within = "optimiser: "

        def end(*_: object) -> None:
            self._within = ""

        hooks = register_optimizer_step_pre_hook(begin), register_optimizer_step_post_hook(end)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def a_split(name: str, images: int, device: str | torch.device = "cpu") -> ImageSplit:
    split = random_split(name, images=images, size=16)
    return ImageSplit(name, split._array, split.rows, split.y, split.a, split.uids, device=device)


@contextmanager
def cuda_waits() -> Iterator[Counter]:
    """Count what PyTorch itself says of waiting for a GPU, "read" for all of it."""
    found = Counter()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield found
            found["read"] = sum("synchronizing CUDA operation" in str(one.message) for one in said)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextmanager
def counted_waits(device: str | torch.device) -> Iterator[Counter]:
    """Count what waits for the CPU, for the second device of `other_device` or for a GPU."""
    kind = torch.device(device).type
    if kind == "cuda":
        with cuda_waits() as found:
            yield found
        return
    with Waits(there=kind != "cpu") as waits, waits.optimiser_apart():
        yield waits.found


def fit_waits(spec: str, images: int, recipe: Recipe, device: str | torch.device = "cpu") -> Counter:
    """Fit a method on splits of so many images and predict a test set; return what waited."""
    method, cell = build_method(spec), Cell("check", "small", spec, fold=0, seed=0)
    splits = {name: functools.partial(a_split, name, images, device) for name in SPLITS}
    run = CellRun(random_net().to(device), recipe, splits, method.uses, cell)
    frozen_features._last.clear()
    test = a_split("test", images, device)
    with counted_waits(device) as found:
        predict(method.fit(run), test, size=recipe.batch, grouped=method.needs_attribute)
    return found


def per_batch(
    spec: str, recipe: Recipe, device: str | torch.device = "cpu", few: int = 2, many: int = 4
) -> dict[str, float]:
    """Return what waits for each further batch of every split; what waits once an epoch or once a cell cancels out."""
    size = recipe.batch
    small, large = (fit_waits(spec, batches * size, recipe, device) for batches in (few, many))
    large.subtract(small)
    return {kind: count / (many - few) for kind, count in sorted(large.items()) if count}
