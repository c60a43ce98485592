"""What the suite is measured against: the same work written as it is usually written, in float32 and NCHW.

Images are decoded from JPEG, resized, posed and scaled one by one in every epoch by the two workers of a DataLoader;
the two importances are taken in passes of their own; the frozen extractor is run again in every epoch of the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.api import Recipe
from bench.data.augment import IMAGES
from bench.learn.device import device
from bench.learn.losses import equalised_odds_proxy, prediction_loss
from bench.net import Net

Batches = Callable[[str], Iterable[tuple[Tensor, Tensor, Tensor]]]
"""The name of a stage -> the batches (x, y, a) of one epoch of it."""


class Jpegs(Dataset):
    """Images decoded when asked for: x (3, S, S) float32, y, a."""

    def __init__(self, files: Sequence[Path], y: Tensor, a: Tensor, size: int, *, augment: bool) -> None:
        self.files, self.y, self.a, self.size, self.augment = files, y.cpu(), a.cpu(), size, augment

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        with Image.open(self.files[i]) as image:
            pixels = np.asarray(image.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR))
        if self.augment:
            for chosen, change in zip(torch.rand(3) < 0.5, (np.fliplr, np.flipud, np.swapaxes), strict=True):
                if chosen:
                    pixels = change(pixels, 0, 1) if change is np.swapaxes else change(pixels)
        x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGES.mean, IMAGES.std))
        return (x - mean) / std, self.y[i], self.a[i]


def batches(
    jpegs: Jpegs, size: int, *, shuffle: bool, rng: torch.Generator | None = None
) -> Iterator[tuple[Tensor, ...]]:
    """Yield one epoch of batches on the device; without `rng` torch's own, from which dropout draws, moves."""
    for batch in DataLoader(jpegs, batch_size=size, shuffle=shuffle, num_workers=2, generator=rng):
        yield tuple(tensor.to(device()) for tensor in batch)


def nchw(net: Net) -> Net:
    """Lay the weights of a network out as PyTorch makes them."""
    return net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


@contextmanager
def as_torch_comes() -> Iterator[None]:
    """Undo, on a GPU, what the suite asks of kernels: no fixed order of sums, TF32 in convolutions."""
    if device().type == "cpu":
        yield
        return
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.conv.fp32_precision = "tf32"  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # pyright: ignore[reportAttributeAccessIssue]


def train(net: nn.Module, optimiser: torch.optim.Optimizer, data: Iterable, beta: float, mask=None) -> None:
    """One epoch of Eq. 10 with the weight `beta` of the prediction loss, gradients multiplied by `mask`."""
    for x, y, a in data:
        z = net(x)
        loss = beta * prediction_loss(z, y) + (1 - beta) * equalised_odds_proxy(z, y, a)
        optimiser.zero_grad()
        loss.backward()
        for name, parameter in net.named_parameters():
            if mask is not None and parameter.grad is not None:
                parameter.grad.mul_(mask[name])
        optimiser.step()


def sgd(parameters: Iterable[nn.Parameter], recipe: Recipe, lr: float) -> torch.optim.SGD:
    """The optimiser of the recipe."""
    return torch.optim.SGD(parameters, lr=lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def swift(
    net: Net,
    epoch: Batches,
    recipe: Recipe,
    dropout: Callable[[str], AbstractContextManager] = lambda stage: nullcontext(),
) -> Net:
    """SWiFT (MELBA 2025:015, Eqs. 1-12) as its public code goes about it; `dropout` may seed a stage."""
    net.eval()
    importances = []
    for loss in (equalised_odds_proxy, lambda z, y, a: prediction_loss(z, y)):
        total, count = {name: torch.zeros_like(p) for name, p in net.named_parameters()}, 0
        for x, y, a in epoch("fisher"):
            net.zero_grad()
            loss(net(x), y, a).backward()
            for name, parameter in net.named_parameters():
                total[name] += parameter.grad**2
            count += 1
        importances.append({name: _min_max(value / count) for name, value in total.items()})
    net.zero_grad()
    bias, prediction = importances
    mask = {name: torch.tanh(bias[name] / (prediction[name] + 1e-10)).abs() for name in bias}

    first, second = recipe.stages()
    net.train()
    net.head.requires_grad_(False)
    optimiser = sgd(net.features.parameters(), recipe, recipe.lr_extractor)
    with dropout("step 1"):
        for _ in range(first):
            train(net, optimiser, epoch("step 1"), recipe.epsilon, mask)

    with torch.no_grad():
        net.linear.weight[mask["head.1.weight"] >= mask["head.1.weight"].mean()] = 0
    net.features.eval().requires_grad_(False)
    net.head.requires_grad_(True)
    optimiser = sgd(net.head.parameters(), recipe, recipe.lr_head)
    with dropout("step 2"):
        for _ in range(second):
            train(net, optimiser, epoch("step 2"), 1 - recipe.epsilon)
    return net.eval()


def _min_max(values: Tensor) -> Tensor:
    low, high = values.min(), values.max()
    return values if low == high else (values - low) / (high - low + 1e-10)
