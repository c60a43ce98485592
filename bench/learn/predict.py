"""Logits of a model on a set. Only the harness predicts on test sets; methods cannot access them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from bench.api import Split
from bench.errors import NonFinite, PluginBroken
from bench.learn.chunks import in_chunks, run_in_chunks

BATCH = 256


@torch.no_grad()
def predict(
    net: nn.Module,
    split: Split,
    log: Callable[..., None] | None = None,
    *,
    size: int = BATCH,
    training: bool = False,
) -> Tensor:
    """Return the logits (N,) of all images of a split, in order, without augmentation.

    The network is in evaluation mode or, with `training`, in training mode: dropout is on, and the statistics of
    BatchNorm move with each batch of `size` images. `log` is called as `run.log` when a batch had to be split.

    Raises:
        BatchTooLarge: see `bench.learn.chunks.run_in_chunks`.
        PluginBroken: if the model does not return one logit per image.
        NonFinite: if a logit is NaN or infinite.
    """
    net.train(training)
    what, one = f"predictions on {split.name}", partial(_logits, net)
    logits, done = torch.empty(0), 0
    for x, *_ in split.batches(size=size):
        z = run_in_chunks(net, len(x), partial(in_chunks, one, x), what=what, log=log)
        if not done:
            # Allocated once, before the other batches: small results kept between large freed ones fragment the heap.
            logits = torch.empty(len(split), device=z.device)
        logits[done : done + len(z)] = z
        done += len(z)
    wrong = int((~torch.isfinite(logits)).sum())
    if wrong:
        raise NonFinite(f"{wrong} of {len(logits)} logits on {split.name} are NaN or infinite")
    return logits


def _logits(net: nn.Module, x: Tensor) -> Tensor:
    z = net(x)
    if not isinstance(z, Tensor) or z.shape != (len(x),):
        shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise PluginBroken(f"logits of shape ({len(x)},) expected for {len(x)} images, the model gave {shape}")
    return z.float()
