"""Batches that do not fit in memory: the same batch in chunks of fewer images, where the result stays the same.

A pass without gradient is simply split. A pass with gradient is made twice: first all logits of the batch without
what the backward pass needs, then the loss of all of them, then each chunk again with its gradient. Counts of the
classes, group means of the proxy and the step are those of the whole batch; only the rounding of kernels that depend on
the number of images differs. This holds where no layer mixes the images of a batch. BatchNorm in training mode does,
because its statistics would be those of the chunk; there nothing is split. Layers of plugins are assumed not to.

Dropout draws one mask per chunk, and the same in the second pass. It differs from the mask that the whole batch would
have drawn, because draws depend on the shape. A head on frozen features always sees the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from bench.data.reading import release_images
from bench.errors import BatchTooLarge
from bench.learn.device import random_state, set_random_state

Result = TypeVar("Result")

_largest: WeakKeyDictionary[nn.Module, dict[bool, int]] = WeakKeyDictionary()
"""The largest chunk of each network that fitted after a larger one had not, without and with gradient."""


def run_in_chunks(
    net: nn.Module, images: int, work: Callable[[int], Result], *, what: str, log: Callable[..., None] | None = None
) -> Result:
    """Return `work(size)` for the largest `size` that fits in memory: the whole batch, else half of it, and so on.

    Args:
        net: the network; it must not mix images of a batch. The size that fits is remembered for its next batches.
        images: how many the batch has.
        work: makes passes of at most `size` images. It is called again from the start with the same random state.
        what: a name for the passes, in messages and in the log.
        log: called as `run.log` when a batch was split.

    Raises:
        BatchTooLarge: where splitting would change the result, or a single image does not fit.
    """
    known, gradient = _largest.setdefault(net, {}), torch.is_grad_enabled()
    size = min(images, known.get(gradient, images))
    before = random_state() if net.training else None
    while True:
        try:
            result = work(size)
            break
        except torch.OutOfMemoryError as error:
            freed, mixing = release_images(), _mixing(net)
            if not freed and (mixing or size == 1):
                raise BatchTooLarge(_why(what, images, mixing)) from error
        # Outside `except`, whose traceback would keep the tensors of the pass.
        torch.cuda.empty_cache()
        if not freed:  # else once more, in the memory that images had on the device
            size = known[gradient] = -(-size // 2)
        if before is not None:
            set_random_state(before)
    if size < images and log is not None:
        log(**{f"{what}: images at once": size})
    return result


def in_chunks(forward: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
    """Return `forward(x)` for x (B, ...), computed in chunks of `size` images.

    If there is more than one chunk, the backward pass computes the activations of each again, with the same dropout.
    """
    if size >= len(x):
        return forward(x)
    with set_checkpoint_early_stop(False):  # whole passes, because the hooks that count images follow the last layer
        return torch.cat([checkpoint(forward, part, use_reentrant=False) for part in x.split(size)])


def _mixing(net: nn.Module) -> str:
    """Return the name of the first layer whose output or statistics depend on the batch as a whole, else ""."""
    for name, module in net.named_modules():
        if isinstance(module, _NormBase) and (
            module.training if module.running_mean is not None else isinstance(module, _BatchNorm)
        ):
            return name or type(module).__name__
    return ""


def _why(what: str, images: int, mixing: str) -> str:
    reason = "a single image does not fit either"
    if mixing:
        reason = f"it cannot be split, because {mixing} computes statistics over the whole batch"
    return (
        f"{what}: a batch of {images} images does not fit in memory, and {reason}. Use a smaller `batch` in the "
        "recipe, smaller images, a smaller backbone, a GPU with more memory, or fewer cells per GPU (--per-gpu)"
    )
