"""Batches that do not fit into memory: the same batch in passes of fewer images, where that changes no method.

A pass without gradient is cut as it is. One with gradient is made twice: all logits of the batch first, without what
the backward pass needs, then the loss on all of them, then part by part again with it. Counts of the classes, means of
the proxy's cells and the step are those of the whole batch; what differs is the rounding of kernels that depend on the
number of images. That holds where no layer looks at two images at once. BatchNorm in training mode does: it would take
its statistics over the part. There nothing is cut. Of a plugin's own layers the same is taken for granted.

Dropout draws one mask for a part and the same in its second pass. It is not the mask that the batch would have drawn
whole: draws depend on the shape of what is dropped. Only a head on frozen features sees the whole batch always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from bench.errors import BatchTooLarge
from bench.learn.device import random_state, set_random_state

Result = TypeVar("Result")

_largest: WeakKeyDictionary[nn.Module, dict[bool, int]] = WeakKeyDictionary()
"""How many images went through a network at once after more had not, without and with gradient."""


def fitted(
    net: nn.Module,
    images: int,
    work: Callable[[int], Result],
    *,
    what: str,
    log: Callable[..., None] | None = None,
) -> Result:
    """Return `work(size)`, with the whole batch of `images` as the size, or the first half of it, ... that fits.

    Args:
        net: what must not mix images of a batch; the size that fitted is kept for its next batches.
        images: of the batch.
        work: makes passes of no more than `size` images; made again from the start, with the same random state.
        what: names the passes, in messages and in the log.
        log: hears of a batch that was cut, as `run.log` does.

    Raises:
        BatchTooLarge: cut it would be another method, or a single image does not fit.
    """
    known, gradient = _largest.setdefault(net, {}), torch.is_grad_enabled()
    size = min(images, known.get(gradient, images))
    before = random_state() if net.training else None
    while True:
        try:
            result = work(size)
            break
        except torch.OutOfMemoryError as error:
            mixing = _mixing(net)
            if mixing or size == 1:
                raise BatchTooLarge(_why(what, images, mixing)) from error
        # Not within `except`: its traceback would keep the tensors of the pass.
        torch.cuda.empty_cache()
        size = known[gradient] = -(-size // 2)
        if before is not None:
            set_random_state(before)
    if size < images and log is not None:
        log(**{f"{what}: images at once": size})
    return result


def in_parts(forward: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
    """Return `forward(x)` for x (B, ...), computed for `size` images at a time.

    Where it is cut, activations of a part are made anew, with the same dropout, when the backward pass comes to it.
    """
    if size >= len(x):
        return forward(x)
    with set_checkpoint_early_stop(False):  # whole passes, for hooks that count images come after the last layer
        return torch.cat([checkpoint(forward, part, use_reentrant=False) for part in x.split(size)])


def _mixing(net: nn.Module) -> str:
    """Return the name of the first layer whose output, or whose statistics, depend on the batch as a whole, or ""."""
    for name, module in net.named_modules():
        if isinstance(module, _NormBase) and (
            module.training if module.running_mean is not None else isinstance(module, _BatchNorm)
        ):
            return name or type(module).__name__
    return ""


def _why(what: str, images: int, mixing: str) -> str:
    reason = (
        f"it is not cut, because {mixing} takes its statistics over the batch: parts of it would train another network"
        if mixing
        else "not even one image of it does"
    )
    return (
        f"{what}: a batch of {images} images does not fit into memory, and {reason}. Take a smaller `batch` in the "
        "recipe of the task, smaller images or a smaller backbone, a GPU with more memory, or fewer cells on it "
        "(--per-gpu)"
    )
