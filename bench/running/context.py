"""The run that a method receives: `CellRun` implements `bench.api.Run` and counts the cost of the method."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import Recipe, Split
from bench.cells.identity import Cell
from bench.data.image_split import ImageSplit
from bench.errors import UndeclaredSplit
from bench.files import read_sealed, write_sealed
from bench.learn.device import on_cpu
from bench.learn.predict import predict
from bench.net import Net
from bench.running import pictures
from bench.running.plan import digest
from bench.seeds import seed_of
from bench.spec import name_of

Splits = Mapping[str, Callable[[], ImageSplit]]
"""Name -> a function that opens the split."""


@dataclass
class Passes:
    """Images that passed through the extractor, forward and backward."""

    forward: int = 0
    backward: int = 0


@dataclass(frozen=True)
class SharedCache:
    """The folder for values that several cells share, and the identity that is part of the key of each."""

    folder: Path
    identity: Mapping[str, Any]


class CellRun:
    """One method on one fold. Splits are opened when first read; only those in `uses` may be read.

    Random draws depend only on the names before the colon in the cell's task and method, so that all settings of a
    method and all variants of a task are compared on the same draws.
    """

    def __init__(
        self,
        model: Net,
        recipe: Recipe,
        splits: Splits,
        uses: frozenset[str],
        cell: Cell,
        *,
        report: Callable[[str], None] | None = None,
        shared_cache: SharedCache | None = None,
    ) -> None:
        self.passes, self.facts, self.warnings = Passes(), {}, []
        self.strips: pictures.Pictures = {}
        self.model = counted(copy.deepcopy(model).eval().requires_grad_(True), self.passes, compiled=recipe.compile)
        self.recipe = recipe
        self._splits, self._uses, self._opened = splits, uses, {}
        self._names, self._method, self._report = (cell.seed, name_of(cell.task), cell.fold), name_of(cell.spec), report
        self._shared_cache = shared_cache

    def split(self, name: str) -> ImageSplit:
        """Return a declared split; raises UndeclaredSplit for any other."""
        if name not in self._uses or name not in self._splits:
            declared = ", ".join(sorted(self._uses)) or "none"
            raise UndeclaredSplit(
                f"{self._method} reads the split '{name}' but declares uses = {{{declared}}}: "
                f"add it there if the method is defined on it (only train, val and external exist)"
            )
        if name not in self._opened:
            self._opened[name] = self._splits[name]()
        return self._opened[name]

    def score(self, net: nn.Module, data: str | Split) -> Tensor:
        """Return the logits (N,) of a network on a declared split, or on a part of one."""
        return predict(net, self.split(data) if isinstance(data, str) else data, self.log)

    def rng(self, stage: str, *, shared: bool = False) -> torch.Generator:
        """Return a generator seeded by (seed, task, fold, method, stage), without the method if `shared`."""
        return torch.Generator().manual_seed(seed_of(*self._names, "" if shared else self._method, stage))

    def shared(
        self,
        stage: str,
        by: Mapping[str, Any],
        compute: Callable[[], Mapping[str, Tensor]],
        *,
        across_methods: bool = False,
    ) -> Mapping[str, Tensor]:
        """Return what `compute` returns, from the shared cache if another cell of this fold has computed it.

        Facts, warnings and passes of the computation are stored with the value and count for every cell that reads it.
        """
        if self._shared_cache is None:
            return compute()
        names = {"seed": self._names, "stage": stage, "by": by, "method": "" if across_methods else self._method}
        file = self._shared_cache.folder / f"{digest({**self._shared_cache.identity, **names})[:32]}.pt"
        kept = unpacked(file)
        if kept is None:
            before = self.facts, self.warnings, self.passes.forward, self.passes.backward
            self.facts, self.warnings = {}, []
            try:
                value = compute()
                made = [self.facts, self.warnings, self.passes.forward - before[2], self.passes.backward - before[3]]
            finally:
                self.facts, self.warnings, self.passes.forward, self.passes.backward = before
            kept = {"value": {k: v.detach() for k, v in value.items()}, "made": json.dumps(made)}
            write_sealed(file, packed(kept))
        facts, warnings, forward, backward = json.loads(kept["made"])
        self.log(**facts)
        for text in warnings:
            self.warn(text)
        self.count(forward=forward, backward=backward)
        where = self.model.linear.weight.device
        return {name: tensor.to(where) for name, tensor in kept["value"].items()}

    def count(self, *, forward: int = 0, backward: int = 0) -> None:
        """Count passes that were skipped because their results were cached."""
        self.passes.forward += forward
        self.passes.backward += backward

    def keep(self, kind: str, values: Mapping[str, Tensor]) -> None:
        """Store values per parameter of the extractor for a figure; see `bench.running.pictures.strips`."""
        self.strips.update(pictures.strips(kind, values))

    def log(self, **facts: Any) -> None:
        """Store facts in the cell's record."""
        self.facts.update(facts)

    def warn(self, text: str) -> None:
        """Store a warning in the cell's record, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def progress(self, where: str) -> None:
        """Report the progress of the method to the user."""
        if self._report:
            self._report(where)


def unpacked(file: Path) -> dict[str, Any] | None:
    """Return what `packed` made and `write_sealed` wrote; None if the file is missing or damaged.

    Torch itself does not notice a changed number.
    """
    content = read_sealed(file)
    return None if content is None else torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def packed(value: object) -> bytes:
    """Return the bytes that `torch.save` writes, with tensors on the CPU. Torch itself does not report a full disk."""
    buffer = io.BytesIO()
    torch.save(on_cpu(value), buffer)
    return buffer.getvalue()


def counted(net: Net, passes: Passes, *, compiled: bool = False) -> Net:
    """Count in `passes` every image that goes through `net.features`, in copies of `net` too.

    With `compiled`, a pass that `torch.compile` made calls the count as it is, between the extractor and the head.
    """

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        passes.forward += len(output)
        if output.requires_grad:

            def backward(gradient: Tensor) -> None:
                passes.backward += len(gradient)

            output.register_hook(backward)

    hook: Any = torch.compiler.disable(count) if compiled else count
    net.get_submodule("features").register_forward_hook(hook)
    return net


def uncounted(net: nn.Module) -> nn.Module:
    """Remove the counting hooks from a network that a method returned."""
    for module in net.modules():
        for key, hook in list(module._forward_hooks.items()):
            if getattr(hook, "__qualname__", "").startswith("counted."):
                del module._forward_hooks[key]
    return net
