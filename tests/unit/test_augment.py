"""The eight augmentations and the scaling to floats."""

import numpy as np
import pytest
import torch

from bench.data.augment import dihedral, normalise
from bench.errors import UsageError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [5, 8])
def test_eight_distinct_exact_poses(channels, size):
    image = torch.arange(channels * size * size, dtype=torch.uint8).reshape(1, channels, size, size)
    versions = dihedral(image.expand(8, -1, -1, -1).contiguous(), torch.arange(8))
    assert len({version.numpy().tobytes() for version in versions}) == 8
    for augmentation, version in enumerate(versions):
        expected = image[0].numpy()
        expected = expected[:, :, ::-1] if augmentation & 1 else expected
        expected = expected[:, ::-1, :] if augmentation & 2 else expected
        expected = expected.transpose(0, 2, 1) if augmentation & 4 else expected
        np.testing.assert_array_equal(version.numpy(), expected)


def test_poses_are_per_image_in_any_memory_layout():
    x = torch.randint(0, 256, (40, 6, 6, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    before, augmentation = x.clone(), torch.randint(0, 8, (40,))
    together = dihedral(x, augmentation)
    for i in range(40):
        assert torch.equal(together[i], dihedral(x[i : i + 1].contiguous(), augmentation[i : i + 1])[0])
    assert torch.equal(x, before), "the batch given stays as it was"


def test_poses_refuse_what_they_cannot_do():
    with pytest.raises(UsageError, match="0 to 7"):
        dihedral(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([8]))
    with pytest.raises(UsageError, match="square"):
        dihedral(torch.zeros(1, 1, 4, 5, dtype=torch.uint8), torch.tensor([1]))
    empty = torch.zeros(0, 3, 4, 4, dtype=torch.uint8)
    assert dihedral(empty, torch.zeros(0, dtype=torch.int64)).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_scaled_by_the_imagenet_statistics(channels):
    x = torch.randint(0, 256, (4, channels, 6, 6), dtype=torch.uint8)
    out = normalise(x)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    colour = np.repeat(x.numpy(), 3 // channels, axis=1)
    expected = (colour / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
