"""Logits of a model on a set. Only the harness predicts on test sets; methods cannot access them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from bench.api import Split
from bench.errors import NonFinite, PluginBroken
from bench.learn.chunks import run_in_chunks

BATCH = 256
ALONE, SINGLE = 32, 8
"""Images of a set that `check_alone` predicts again, and how many of them each in a batch of its own."""
SAME = 1e-4
"""Two logits z are the same if they differ by at most this, or this share of z: the rounding of other batch sizes."""
ADVICE = (
    "Return a model whose logits depend on their own image alone: use statistics that fit stored, as BatchNorm does in "
    "evaluation mode, and change nothing in forward"
)


@torch.no_grad()
def predict(
    net: nn.Module,
    split: Split,
    log: Callable[..., None] | None = None,
    *,
    size: int = BATCH,
    training: bool = False,
    grouped: bool = False,
) -> Tensor:
    """Return the logits (N,) of all images of a split, in order, without augmentation.

    The network is in evaluation mode or, with `training`, in training mode: dropout is on, and the statistics of
    BatchNorm move with each batch of `size` images. A network that needs the attribute is called with it (`grouped`).
    `log` is called as `run.log` when a batch had to be split.

    Raises:
        BatchTooLarge: see `bench.learn.chunks.run_in_chunks`.
        PluginBroken: if the model does not return one logit per image.
        NonFinite: if a logit is NaN or infinite.
    """
    net.train(training)
    what = f"predictions on {split.name}"
    logits, done = torch.empty(0), 0
    for x, _, a in split.batches(size=size):
        z = run_in_chunks(net, len(x), partial(_in_parts, net, x, a if grouped else None), what=what, log=log)
        if not done:
            # Allocated once, before the other batches: small results kept between large freed ones fragment the heap.
            logits = torch.empty(len(split), device=z.device)
        logits[done : done + len(z)] = z
        done += len(z)
    wrong = int((~torch.isfinite(logits)).sum())
    if wrong:
        raise NonFinite(f"{wrong} of {len(logits)} logits on {split.name} are NaN or infinite")
    return logits


def _in_parts(net: nn.Module, x: Tensor, a: Tensor | None, size: int) -> Tensor:
    parts = [None] * len(x) if a is None else a.split(size)
    return torch.cat([_logits(net, *part) for part in zip(x.split(size), parts, strict=False)])


def _logits(net: nn.Module, x: Tensor, a: Tensor | None) -> Tensor:
    z = net(x) if a is None else net(x, a)
    if not isinstance(z, Tensor) or z.shape != (len(x),):
        shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise PluginBroken(f"logits of shape ({len(x)},) expected for {len(x)} images, the model gave {shape}")
    return z.float()


def _logits_at(net: nn.Module, split: Split, grouped: bool, index: Tensor) -> Tensor:
    return _logits(net, split.images(index, torch.zeros_like(index)), split.a[index] if grouped else None)


@torch.no_grad()
def check_alone(net: nn.Module, split: Split, logits: Tensor, *, grouped: bool = False) -> None:
    """Predict some images of a split again, alone and in another batch, and compare with their `logits` (N,) of before.

    The model may have predicted other images in between, which finds models that adapt while they predict.

    Raises:
        PluginBroken: a logit is not the same; what it depends on.
    """
    net.train(False)
    at = torch.linspace(0, len(split) - 1, min(ALONE, len(split))).long().unique().flip(0)
    single, rest = at[:SINGLE], at[SINGLE:]
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    try:
        with warnings.catch_warnings(action="ignore"):  # of the standard deviation of one value, which is NaN
            again = torch.cat([_logits_at(net, split, grouped, part) for part in (*single.split(1), rest) if len(part)])
    except (ValueError, RuntimeError) as error:  # BatchNorm of one vector
        raise PluginBroken(f"images of {split.name} alone: {type(error).__name__}: {error}. {ADVICE}") from None
    before = logits.to(again.device)[at.to(again.device)]
    apart = (again - before).abs()
    wrong = ~(apart <= SAME * before.abs().clamp(min=1))  # NaN is wrong
    if not wrong.any():
        return
    moved = [name for name, buffer in net.named_buffers() if not torch.equal(buffer, buffers[name])]
    first, second = (_logits_at(net, split, grouped, at) for _ in range(2))
    why = "the other images of their batch"
    if moved:
        why = f"earlier calls: predicting changes the buffer {moved[0]}"
    elif not torch.equal(first, second):
        why = "earlier calls, or on random numbers: a second call with the same images gives other logits"
    far = f"by up to {apart.max():.2g}" if apart.isfinite().all() else "to NaN"
    raise PluginBroken(
        f"{int(wrong.sum())} of {len(at)} logits on {split.name} change {far} when they are predicted again, alone and "
        f"in other batches: they depend on {why}. {ADVICE}"
    )
