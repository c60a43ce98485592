"""Augmentations of square images, drawn as numbers and then applied; and the scaling of pixels to network input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

from bench.api import Input
from bench.data.to_device import to_device
from bench.errors import DataInvalid, UsageError

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel of images in [0, 1]."""
IMAGES = Input()
"""What a network is given where nothing else is said: three channels, standardised with the ImageNet statistics."""


def dihedral(x: torch.Tensor, augmentation: torch.Tensor) -> torch.Tensor:
    """Return each image of `x` (B, C, S, S) under its `augmentation` (B,) in 0..7: an exact permutation of pixels.

    Bit 0 mirrors left-right, bit 1 then mirrors top-bottom, bit 2 then transposes. A uniform number is three fair coins
    (SWiFT: random flipping and random transpose). Augmentation 0 leaves the image as it is.

    Raises:
        UsageError: an augmentation outside 0..7, or images that are not square.
    """
    numbers = _checked(x, augmentation, 7)
    if not numbers.any():
        return x
    if x.device.type == "cpu":
        out = torch.empty_like(x)
        for target, image, number in zip(out, x, numbers.tolist(), strict=True):
            target.copy_(_turned(image, number))
        return out
    # On a GPU, few operations: images of one augmentation together, then back in order.
    order = np.argsort(numbers, kind="stable")
    parts = x[to_device(torch.from_numpy(order), x.device)].split(np.bincount(numbers, minlength=8).tolist())
    turned = torch.cat([_turned(part, number) for number, part in enumerate(parts)])
    return turned[to_device(torch.from_numpy(np.argsort(order)), x.device)]


def _turned(x: torch.Tensor, number: int) -> torch.Tensor:
    """Return images (..., S, S) under one of the eight augmentations."""
    flipped = [axis for bit, axis in ((1, -1), (2, -2)) if number & bit]
    x = x.flip(flipped) if flipped else x
    return x.transpose(-2, -1) if number & 4 else x


STEPS = 3001
"""Number of angles of `mirror_and_rotation`: -15 to 15 degrees in steps of 0.01."""


def mirror_and_rotation(x: torch.Tensor, augmentation: torch.Tensor) -> torch.Tensor:
    """Return each image of `x` (B, C, S, S), uint8 or float, under its `augmentation` (B,) in 0 .. 2 * STEPS + 1.

    Bit 0 mirrors left-right. The other bits are 0 for no rotation, or k for a rotation by (k - 1) / 100 - 15 degrees
    anticlockwise, bilinear and with mirrored borders (HorizontalFlip and Rotate(15) of the public code's
    src/data/mimic_datamodule.py with the defaults of albumentations). Augmentation 0 leaves the image as it is.

    Raises:
        UsageError: an augmentation outside the range, or images that are not square.
    """
    numbers = _checked(x, augmentation, 2 * STEPS + 1)
    augmentation = to_device(torch.from_numpy(numbers), x.device)
    turned = to_device(torch.from_numpy(np.flatnonzero(numbers >= 2)), x.device)
    out = torch.where((augmentation % 2 == 1).view(-1, 1, 1, 1), x.flip(3), x)
    if len(turned):
        angle = torch.deg2rad((augmentation[turned] // 2 - 1).double() / 100 - 15)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # Where each pixel of the result is read. Rows count downwards, so this rotates anticlockwise.
        matrix = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1).float()
        grid = affine_grid(matrix, [len(turned), *x.shape[1:]], align_corners=True)
        pixels = grid_sample(out[turned].float(), grid, padding_mode="reflection", align_corners=True)
        out[turned] = pixels.round().clamp(0, 255).to(x.dtype) if x.dtype == torch.uint8 else pixels
    return out


def _checked(x: torch.Tensor, augmentation: torch.Tensor, highest: int) -> np.ndarray:
    """Return the augmentations as an array of the host, where they are drawn, so that no device is waited for."""
    numbers = augmentation.cpu().numpy()
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= highest:
        raise UsageError(f"augmentations {numbers.min()} to {numbers.max()}: 0 to {highest} allowed")
    if x.shape[-1] != x.shape[-2]:
        raise UsageError(f"images of {x.shape[-2]} x {x.shape[-1]} pixels: square ones expected")
    return numbers


def _draw_dihedral(n: int, rng: torch.Generator | None) -> torch.Tensor:
    return torch.randint(8, (n,), generator=rng)


def _draw_mirror_and_rotation(n: int, rng: torch.Generator | None) -> torch.Tensor:
    mirrored, rotated = torch.randint(2, (2, n), generator=rng)
    return mirrored + 2 * rotated * (1 + torch.randint(STEPS, (n,), generator=rng))


@dataclass(frozen=True)
class Augmentation:
    """How training augments images: `draw` returns n augmentations (n,) int64, `apply` applies them; 0 is none."""

    number: int | None
    """Number of augmentations; None where it is too large to store the features of each."""
    draw: Callable[[int, torch.Generator | None], torch.Tensor]
    apply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


AUGMENTATIONS = {
    "dihedral": Augmentation(8, _draw_dihedral, dihedral),
    "chest_reference": Augmentation(None, _draw_mirror_and_rotation, mirror_and_rotation),
    "none": Augmentation(1, lambda n, rng: torch.zeros(n, dtype=torch.int64), lambda x, augmentation: x),
}
"""The values of `augment` in a recipe, and `none` of vectors."""


def channel_statistics(array: np.ndarray, rows: np.ndarray) -> Statistics:
    """Return the statistics (ddof 0) of the images `rows` (N,) of a cache (M, S, S, C), exact to rounding if uint8.

    Black counts as 0 and white as 1.

    Raises:
        DataInvalid: all pixels of a channel are equal.
    """
    # Whole numbers of 8 bits are added up exactly.
    kind, top = np.dtype(np.int64 if array.dtype == np.uint8 else np.float64), white(array.dtype)
    count, sums, squares = 0, np.zeros(array.shape[3], kind), np.zeros(array.shape[3], kind)
    for some in np.array_split(rows, -(-len(rows) // 64)):
        pixels = array[some].reshape(-1, array.shape[3]).astype(kind)
        count, sums, squares = count + len(pixels), sums + pixels.sum(0), squares + (pixels**2).sum(0)
    pairs = list(zip(sums.tolist(), squares.tolist(), strict=True))
    variances = [count * square - total**2 for total, square in pairs]  # times count^2
    if not all(variance > 0 for variance in variances):
        raise DataInvalid("pretrain_statistics=training: all pixels of the training images are equal in a channel")
    mean = tuple(total / count / top for total, _ in pairs)
    return mean, tuple(math.sqrt(variance) / count / top for variance in variances)


def white(kind: np.dtype) -> int:
    """Return the value of white in a cache of a type: 255, 65535, or 1 of floats."""
    return int(np.iinfo(kind).max) if kind.kind == "u" else 1


def normalise(x: torch.Tensor, given: Input = IMAGES, top: int = 255) -> torch.Tensor:
    """Return cached images (B, C, S, S) as the network is given them: float32, in channels-last memory.

    0 becomes `given.low` and `top` becomes `given.high`; then the values are standardised. One channel is repeated for
    a network of three.
    """
    mean, std = (
        to_device(torch.tensor(values), x.device).view(-1, 1, 1).expand(given.channels, 1, 1)
        for values in (given.mean, given.std)
    )
    shape = (x.shape[0], given.channels, *x.shape[2:])
    out = torch.empty(shape, dtype=torch.float32, device=x.device, memory_format=torch.channels_last)
    return torch.mul(x, (given.high - given.low) / (top * std), out=out).sub_((mean - given.low) / std)
