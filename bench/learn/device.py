"""Where a cell computes: on the first GPU that it sees, else on the CPU, whose float32 is the reference."""

from __future__ import annotations

import copy
import ctypes
import os
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import Recipe, Run

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def device() -> torch.device:
    """Return the device of this process; `--gpus` and SLURM choose it by CUDA_VISIBLE_DEVICES.

    On a GPU, kernels are chosen that give the same sums every time, and float32 is not cut to TF32.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS does not repeat its sums
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # pyright: ignore[reportAttributeAccessIssue]  # made at import
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    return torch.device("cuda")


def keep_memory() -> None:
    """Let this process keep up to 512 MB that a pass frees for the next one, where its allocator is glibc's.

    Of itself it hands them back to the kernel, which clears every page that is taken again: a tenth of a small
    network's training (`make perf`). The peak stays what it was.
    """
    with suppress(AttributeError, OSError, TypeError):  # another allocator, another system
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most it allows
        mallopt(_TRIM_THRESHOLD, 512 << 20)


def halved(recipe: Recipe, kind: str) -> bool:
    """Whether networks are trained under bfloat16 autocast on a kind of device, `cpu` or `cuda`."""
    return recipe.precision == "bfloat16" or (recipe.precision == "device" and kind == "cuda")


def trained_logits(run: Run, net: nn.Module, x: Tensor) -> Tensor:
    """Return the logits (B,) of a network that is being trained, in float32 or wider.

    Where the recipe's precision is bfloat16, the forward pass, and with it the backward pass, is in bfloat16 as far as
    autocast takes that for safe. Losses, masks, importances, frozen features and predictions are in float32 everywhere.
    """
    if not halved(run.recipe, x.device.type):
        return net(x)
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        z = net(x)
    return z.float()


def on_cpu(value: Any) -> Any:
    """Return `value` with the tensors in it, and in its dictionaries and lists, on the CPU.

    What is written can then be read on a machine without a GPU.
    """
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        moved = copy.copy(value)  # a state keeps its kind and its metadata
        for key in moved:
            moved[key] = on_cpu(moved[key])
        return moved
    return [on_cpu(part) for part in value] if isinstance(value, list) else value


def random_state() -> dict[str, Tensor]:
    """Return the global random state: of the CPU and, where there is one, of the GPU, from which dropout draws."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state()} if device().type == "cuda" else state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Take the global random state back, of the devices that it names and that there are."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and device().type == "cuda":
        torch.cuda.set_rng_state(state["cuda"])
