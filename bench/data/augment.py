"""The eight poses of a square image, and the scaling of pixels to what networks read."""

from __future__ import annotations

import torch

from bench.errors import UsageError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def dihedral(x: torch.Tensor, variant: torch.Tensor) -> torch.Tensor:
    """Return each image of `x` (B, C, S, S) in its pose `variant` (B,) in 0..7: an exact permutation of pixels.

    Bit 0 mirrors left-right, bit 1 then mirrors top-bottom, bit 2 then transposes; uniform variants are three fair
    coins (SWiFT: random flipping and random transpose). Variant 0 is the image itself.

    Raises:
        UsageError: a variant outside 0..7, or images that are not square.
    """
    present = variant.unique().tolist()
    if present and not 0 <= present[0] <= present[-1] <= 7:
        raise UsageError(f"variants {present}: 0 to 7 allowed")
    if x.shape[-1] != x.shape[-2]:
        raise UsageError(f"images of {x.shape[-2]} x {x.shape[-1]} pixels: square ones expected")
    if present in ([], [0]):
        return x
    out = torch.empty_like(x)
    for pose in present:
        index = (variant == pose).nonzero().squeeze(1).to(x.device)
        image = x[index]
        flipped = [axis for bit, axis in ((1, 3), (2, 2)) if pose & bit]
        image = image.flip(flipped) if flipped else image
        out[index] = image.transpose(2, 3) if pose & 4 else image
    return out


def normalise(x: torch.Tensor) -> torch.Tensor:
    """Return uint8 images (B, C, S, S), C = 1 or 3, as float32 (B, 3, S, S) in channels-last memory.

    Pixels are scaled to [0, 1], then by the mean and standard deviation of ImageNet; one channel becomes three.
    """
    mean, std = (torch.tensor(values, device=x.device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    shape = (x.shape[0], 3, *x.shape[2:])
    out = torch.empty(shape, dtype=torch.float32, device=x.device, memory_format=torch.channels_last)
    return torch.mul(x, 1 / (255 * std), out=out).sub_(mean / std)
