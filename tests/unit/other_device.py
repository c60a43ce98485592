"""A second device that this machine has: tensors that say they lie on `meta` and compute on the CPU.

What PyTorch refuses between a GPU and the CPU is refused here: a tensor of the one in an operation of the other,
unless it is a number (no dimension), an index or copied; and a generator of the CPU. Without one, random numbers
come from the CPU's global state, so that results must be those of the CPU bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

OTHER = torch.device("meta")
aten = torch.ops.aten
MAY_MIX = (aten.copy_.default, aten._to_copy.default, aten.set_.source_Tensor)
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)


class There(Tensor):
    """A tensor on the other device; `inner` holds its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> There:
        return Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=OTHER,
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __deepcopy__(self, memo: dict[int, object]) -> There:
        made = There(self.inner.detach().clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            made = torch.nn.Parameter(made, self.requires_grad)
        memo[id(self)] = made
        return made

    def __repr__(self, **_: object) -> str:
        return f"There({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return computed(function, args, kwargs or {})


def computed(function, args, kwargs):
    """Compute with the inner tensors; the result lies where the operands do, or where `device` says."""
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = any(isinstance(tensor, There) for tensor in given)
    operands = args[:1] if function in INDEXED else (args, kwargs)
    if function in INDEXED and len(args) > 2:
        operands = (args[0], args[2])
    sized = [t for t in tree_leaves(operands) if isinstance(t, Tensor) and t.dim()]
    if function not in MAY_MIX and len({isinstance(tensor, There) for tensor in sized}) > 1:
        raise RuntimeError(f"{function}: tensors on two devices")
    if function in INDEXED and there and not isinstance(args[0], There):
        raise RuntimeError(f"{function}: indices on another device than what they index")
    wanted = kwargs.get("device")
    if wanted is not None:
        there = torch.device(wanted) == OTHER
    if there and isinstance(kwargs.get("generator"), torch.Generator):
        raise RuntimeError(f"{function}: a generator of the CPU on another device")
    if wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    plain = tree_map(lambda leaf: leaf.inner if isinstance(leaf, There) else leaf, (args, kwargs))
    result = function(*plain[0], **plain[1])
    if function is aten.copy_.default:
        return args[0]
    if not there:
        return result
    wrapped = tree_map(lambda leaf: There(leaf) if isinstance(leaf, Tensor) else leaf, result)
    return return_and_correct_aliasing(function, args, kwargs, wrapped)


class _Factories(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return computed(function, args, kwargs or {})


class _Literals(TorchFunctionMode):
    """`torch.tensor(..., device=...)` drops the numbers of what goes to `meta` before they can be seen."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu") == OTHER:
            return There(torch.tensor(*args, **{**kwargs, "device": "cpu"}))
        return function(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Give the other device; inside the block it can be named wherever a device can."""
    with _Factories(), _Literals():
        yield OTHER
