"""Augmentations of square images, drawn as numbers and then applied; and the scaling of pixels to network input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

from bench.errors import DataInvalid, UsageError

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel of images in [0, 1]."""
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def dihedral(x: torch.Tensor, augmentation: torch.Tensor) -> torch.Tensor:
    """Return each image of `x` (B, C, S, S) under its `augmentation` (B,) in 0..7: an exact permutation of pixels.

    Bit 0 mirrors left-right, bit 1 then mirrors top-bottom, bit 2 then transposes. A uniform number is three fair coins
    (SWiFT: random flipping and random transpose). Augmentation 0 leaves the image as it is.

    Raises:
        UsageError: an augmentation outside 0..7, or images that are not square.
    """
    _check(x, augmentation, 7)
    present = augmentation.unique().tolist()
    if present in ([], [0]):
        return x
    out = torch.empty_like(x)
    for number in present:
        index = (augmentation == number).nonzero().squeeze(1).to(x.device)
        image = x[index]
        flipped = [axis for bit, axis in ((1, 3), (2, 2)) if number & bit]
        image = image.flip(flipped) if flipped else image
        out[index] = image.transpose(2, 3) if number & 4 else image
    return out


STEPS = 3001
"""Number of angles of `mirror_and_rotation`: -15 to 15 degrees in steps of 0.01."""


def mirror_and_rotation(x: torch.Tensor, augmentation: torch.Tensor) -> torch.Tensor:
    """Return each uint8 image of `x` (B, C, S, S) under its `augmentation` (B,) in 0 .. 2 * STEPS + 1.

    Bit 0 mirrors left-right. The other bits are 0 for no rotation, or k for a rotation by (k - 1) / 100 - 15 degrees
    anticlockwise, bilinear and with mirrored borders (HorizontalFlip and Rotate(15) of the public code's
    src/data/mimic_datamodule.py with the defaults of albumentations). Augmentation 0 leaves the image as it is.

    Raises:
        UsageError: an augmentation outside the range, or images that are not square.
    """
    _check(x, augmentation, 2 * STEPS + 1)
    augmentation = augmentation.to(x.device)
    out = torch.where((augmentation % 2 == 1).view(-1, 1, 1, 1), x.flip(3), x)
    turned = (augmentation >= 2).nonzero().squeeze(1)
    if len(turned):
        angle = torch.deg2rad((augmentation[turned] // 2 - 1).double() / 100 - 15)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # Where each pixel of the result is read. Rows count downwards, so this rotates anticlockwise.
        matrix = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1).float()
        grid = affine_grid(matrix, [len(turned), *x.shape[1:]], align_corners=True)
        pixels = grid_sample(out[turned].float(), grid, padding_mode="reflection", align_corners=True)
        out[turned] = pixels.round().clamp(0, 255).to(x.dtype)
    return out


def _check(x: torch.Tensor, augmentation: torch.Tensor, highest: int) -> None:
    if len(augmentation) and not 0 <= augmentation.min() <= augmentation.max() <= highest:
        raise UsageError(f"augmentations {augmentation.min()} to {augmentation.max()}: 0 to {highest} allowed")
    if x.shape[-1] != x.shape[-2]:
        raise UsageError(f"images of {x.shape[-2]} x {x.shape[-1]} pixels: square ones expected")


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
}
"""The values of `augment` in a recipe."""


def channel_statistics(array: np.ndarray, rows: np.ndarray) -> Statistics:
    """Return the statistics (ddof 0) of the images `rows` (N,) of a cache uint8 (M, S, S, C), exact to rounding.

    Raises:
        DataInvalid: all pixels of a channel are equal.
    """
    count, sums, squares = 0, np.zeros(array.shape[3], np.int64), np.zeros(array.shape[3], np.int64)
    for some in np.array_split(rows, -(-len(rows) // 64)):
        pixels = array[some].reshape(-1, array.shape[3]).astype(np.int64)
        count, sums, squares = count + len(pixels), sums + pixels.sum(0), squares + (pixels**2).sum(0)
    pairs = list(zip(sums.tolist(), squares.tolist(), strict=True))
    variances = [count * square - total**2 for total, square in pairs]  # whole numbers of any size, times count^2
    if not all(variances):
        raise DataInvalid("pretrain_statistics=training: all pixels of the training images are equal in a channel")
    mean = tuple(total / count / 255 for total, _ in pairs)
    return mean, tuple(math.sqrt(variance) / count / 255 for variance in variances)


def normalise(x: torch.Tensor, statistics: Statistics = IMAGENET) -> torch.Tensor:
    """Return uint8 images (B, C, S, S), C = 1 or 3, as float32 (B, 3, S, S) in channels-last memory.

    Pixels are scaled to [0, 1] and then standardised. One channel is repeated three times.
    """
    mean, std = (torch.tensor(values, device=x.device).view(-1, 1, 1).expand(3, 1, 1) for values in statistics)
    shape = (x.shape[0], 3, *x.shape[2:])
    out = torch.empty(shape, dtype=torch.float32, device=x.device, memory_format=torch.channels_last)
    return torch.mul(x, 1 / (255 * std), out=out).sub_(mean / std)
