"""The device of a cell: the first visible GPU, else the CPU, whose float32 results are the reference."""

from __future__ import annotations

import copy
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor

from bench.api import Recipe, Run

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def device() -> torch.device:
    """Return the device of this process; `--gpus` and SLURM choose it by CUDA_VISIBLE_DEVICES.

    On a GPU, only kernels that give the same sums every time are used, and float32 is not rounded to TF32.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, sums of cuBLAS are not reproducible
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # pyright: ignore[reportAttributeAccessIssue]  # made at import
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    return torch.device("cuda")


def choose_kernels(recipe: Recipe, kind: str) -> None:
    """Let a kind of device, `cpu` or `cuda`, use the kernels that a recipe allows, until the next call."""
    if kind == "cuda":
        torch.use_deterministic_algorithms(recipe.deterministic, warn_only=True)
        torch.backends.cudnn.benchmark = not recipe.deterministic


def keep_memory() -> None:
    """Let this process keep up to 512 MB of freed memory for the next pass, if its allocator is that of glibc.

    By default glibc returns the memory to the kernel, which clears every page before it is used again. That takes a
    tenth of the training time of a small network (`make perf`). The peak stays the same.
    """
    with suppress(AttributeError, OSError, TypeError):  # another allocator, another system
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most it allows
        mallopt(_TRIM_THRESHOLD, 512 << 20)


def halved(recipe: Recipe, kind: str) -> bool:
    """Return whether networks are trained under bfloat16 autocast on a kind of device, `cpu` or `cuda`."""
    return recipe.precision == "bfloat16" or (recipe.precision == "device" and kind == "cuda")


def trained_logits(run: Run, net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the logits (B,) of a network that is being trained, in float32 or wider.

    If the recipe's precision is bfloat16, the forward and backward pass are in bfloat16 where autocast considers it
    safe. Losses, masks, importances, frozen features and predictions are always in float32.
    """
    if not halved(run.recipe, x.device.type):
        return net(x)
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        z = net(x)
    return z.float()


def on_cpu(value: Any) -> Any:
    """Return `value` with all tensors in it, also in its dictionaries and lists, on the CPU.

    A machine without a GPU can then read a file of it.
    """
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        moved = copy.copy(value)  # a state keeps its class and its metadata
        for key in moved:
            moved[key] = on_cpu(moved[key])
        return moved
    return [on_cpu(part) for part in value] if isinstance(value, list) else value


def random_state() -> dict[str, Tensor]:
    """Return the global random state that dropout draws from: of the CPU and, if there is one, of the GPU."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state()} if device().type == "cuda" else state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Restore the global random state of the devices in `state` that exist."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and device().type == "cuda":
        torch.cuda.set_rng_state(state["cuda"])
