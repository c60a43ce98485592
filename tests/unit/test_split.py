"""Batches of a split: every image once, and nothing random but the generator given."""

import numpy as np
import pytest
import torch

from bench.data.augment import STEPS, dihedral, mirror_and_rotation, normalise
from bench.data.image_split import ImageSplit
from bench.errors import UsageError

N = 23


def split(channels=3, n=N, device="cpu"):
    """Images whose first pixel is their row in the cache, taken in an order unlike that of the rows."""
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (40, 6, 6, channels), dtype=np.uint8)
    rows = rng.permutation(40)[:n]
    array[rows, 0, 0, 0] = np.arange(n)
    y, a = rng.integers(0, 2, n).astype("int8"), rng.integers(0, 2, n).astype("int8")
    y.flags.writeable = False  # as the columns of a table are
    return ImageSplit("val", array, rows, y, a, [f"d:{i}" for i in range(n)], device=device)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_tensors_of_the_whole():
    data = split()
    assert len(data) == N
    assert (data.y.dtype, data.y.shape) == (torch.float32, (N,))
    assert (data.a.dtype, data.a.shape) == (torch.int64, (N,))
    assert data.uids[3] == "d:3"


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_in_order(channels):
    data = split(channels)
    batches = list(data.batches(size=10))
    assert [len(batch.y) for batch in batches] == [10, 10, 3]
    x, y, a = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert torch.equal(y, data.y)
    assert torch.equal(a, data.a)
    assert (x.dtype, x.shape) == (torch.float32, (N, 3, 6, 6))
    pixels = torch.from_numpy(data._array[data.rows]).permute(0, 3, 1, 2)
    assert torch.equal(x, normalise(pixels))
    assert batches[0].x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [1, 7, N, 100])
def test_shuffling_keeps_every_image_once_with_its_label(size):
    data = split()
    index = torch.cat([index for index, _ in data.index_batches(size, shuffle=True, rng=rng())])
    assert index.dtype == torch.int64
    assert sorted(index.tolist()) == list(range(N))
    assert index.tolist() != list(range(N))
    batches = list(data.batches(size=size, shuffle=True, rng=rng()))
    assert torch.equal(torch.cat([batch.y for batch in batches]), data.y[index])
    assert torch.equal(torch.cat([batch.a for batch in batches]), data.a[index])
    assert torch.equal(torch.cat([batch.x for batch in batches]), data.images(index))


def test_batches_are_draws_and_images_together():
    data = split()
    options = {"size": 8, "shuffle": True, "augment": True}
    pairs = zip(data.batches(**options, rng=rng(3)), data.index_batches(**options, rng=rng(3)), strict=True)
    for batch, (index, augmentation) in pairs:
        assert torch.equal(batch.x, data.images(index, augmentation))
        pixels = torch.from_numpy(data._array[data.rows[index.numpy()]]).permute(0, 3, 1, 2)
        assert torch.equal(batch.x, normalise(dihedral(pixels, augmentation)))


def test_the_generator_alone_decides():
    data = split()
    options = {"size": 8, "shuffle": True, "augment": True}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = torch.cat([batch.x for batch in data.batches(**options, rng=rng(5))])
    torch.manual_seed(2)
    again = torch.cat([batch.x for batch in data.batches(**options, rng=rng(5))])
    other = torch.cat([batch.x for batch in data.batches(**options, rng=rng(6))])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)
    generator = rng(5)
    epochs = [torch.cat([index for index, _ in data.index_batches(**options, rng=generator)]) for _ in range(2)]
    assert not torch.equal(*epochs), "each epoch is shuffled anew"


def test_the_size_of_batches_changes_no_draw():
    data = split()
    small, large = (list(data.index_batches(size, shuffle=True, augment=True, rng=rng())) for size in (4, 50))
    for position in (0, 1):
        assert torch.equal(torch.cat([draw[position] for draw in small]), large[0][position])


def test_augmentations_are_drawn_uniformly():
    n = 40_000
    data = ImageSplit("val", np.zeros((1, 2, 2, 1), np.uint8), [0] * n, [0] * n, [0] * n, ["d:0"] * n)
    augmentation = torch.cat([augmentation for _, augmentation in data.index_batches(1000, augment=True, rng=rng())])
    counts = torch.bincount(augmentation, minlength=8).double()
    # Chi-square with 7 degrees of freedom: 29.9 is exceeded once in 10,000 seeds, and the seed is fixed.
    assert len(counts) == 8
    assert float(((counts - n / 8) ** 2 / (n / 8)).sum()) < 29.9
    plain = torch.cat([augmentation for _, augmentation in data.index_batches(1000)])
    assert not plain.any()


@pytest.mark.parametrize("options", [{"shuffle": True}, {"augment": True}])
def test_randomness_without_a_generator_is_refused_at_once(options):
    with pytest.raises(UsageError, match="rng"):
        split().batches(size=4, **options)
    with pytest.raises(UsageError, match="at least 1"):
        split().batches(size=0)


def test_where_keeps_images_labels_and_names_together():
    data = split()
    keep = (data.a == 1) & (data.y == 0)
    part = data.where(keep)
    assert 0 < len(part) < N
    assert torch.equal(part.y, data.y[keep])
    assert torch.equal(part.a, data.a[keep])
    assert part.uids.tolist() == [uid for uid, kept in zip(data.uids, keep, strict=True) if kept]
    at = torch.arange(len(part))
    assert torch.equal(part.images(at), data.images(keep.nonzero().squeeze(1)))
    assert len(part.where(torch.zeros(len(part), dtype=torch.bool))) == 0
    for bad in (torch.ones(N), torch.ones(N - 1, dtype=torch.bool), torch.arange(N)):
        with pytest.raises(UsageError, match="bool"):
            data.where(bad)


def test_an_empty_split_has_no_batches():
    assert list(split(n=0).batches(size=4, shuffle=True, augment=True, rng=rng())) == []


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2, 3, 2, 2 long"):
        ImageSplit("val", np.zeros((2, 2, 2, 1), np.uint8), [0, 1], [0, 1, 0], [0, 1], ["d:0", "d:1"])


def test_batches_go_to_the_device():
    # The meta device holds shapes only: enough to see where each tensor goes.
    data = split(device="meta")
    batch = next(data.batches(size=4))
    assert {batch.x.device.type, batch.y.device.type, batch.a.device.type} == {"meta"}


def angle_of(augmentation):
    return (augmentation // 2 - 1) / 100 - 15


def turned_by(degrees, mirrored=False):
    return torch.tensor([2 * (1 + round((degrees + 15) * 100)) + mirrored])


def film(size=33):
    """A smooth uint8 image (1, 1, S, S) without symmetry."""
    i, j = np.mgrid[:size, :size] / size
    pixels = 120 + 60 * np.sin(5 * i + 1) + 60 * np.cos(4 * j * (1 + i))
    return torch.from_numpy(pixels.round().astype(np.uint8))[None, None]


@pytest.mark.parametrize("degrees", [-15, -7.31, 0, 4, 15])
def test_rotation_is_that_of_scipy(degrees):
    from scipy import ndimage

    x = film()
    expected = ndimage.rotate(x[0, 0].float().numpy(), degrees, reshape=False, order=1, mode="mirror")
    given = mirror_and_rotation(x, turned_by(degrees))[0, 0].float().numpy()
    assert np.abs(given - expected).max() <= 0.51
    if degrees:
        assert np.abs(given - x[0, 0].float().numpy()).max() > 10


def test_a_positive_angle_turns_anticlockwise():
    x = torch.zeros(1, 1, 21, 21, dtype=torch.uint8)
    x[0, 0, 10, 20] = 255  # three o'clock
    turned = mirror_and_rotation(x, turned_by(15))[0, 0].float()
    assert turned.sum(1).argmax() < 10, "rows are counted from the top"


def test_mirroring_comes_before_rotation_and_upright_is_untouched():
    x = film()
    assert torch.equal(mirror_and_rotation(x, torch.tensor([0])), x)
    assert torch.equal(mirror_and_rotation(x, torch.tensor([1])), x.flip(3))
    both = mirror_and_rotation(x, turned_by(9, mirrored=True))
    assert torch.equal(both, mirror_and_rotation(x.flip(3), turned_by(9)))
    several = mirror_and_rotation(
        torch.cat([x, x, x]), torch.cat([torch.tensor([0]), turned_by(9, True), turned_by(3)])
    )
    assert torch.equal(several, torch.cat([x, both, mirror_and_rotation(x, turned_by(3))]))


def test_poses_out_of_range_and_oblong_images_are_refused():
    for bad in (-1, 2 * STEPS + 2):
        with pytest.raises(UsageError, match="0 to 6003 allowed"):
            mirror_and_rotation(film(), torch.tensor([bad]))
    with pytest.raises(UsageError, match="square"):
        mirror_and_rotation(film()[:, :, :10], torch.tensor([0]))


def test_half_are_mirrored_and_half_turned_by_up_to_15_degrees():
    zeros = np.zeros(20_000, np.int64)
    data = ImageSplit(
        "val", np.zeros((1, 2, 2, 1), np.uint8), zeros, zeros, zeros, zeros, augmentation="chest_reference"
    )
    assert data.augmentations is None
    assert split().augmentations == 8
    augmentation = torch.cat([augmentation for _, augmentation in data.index_batches(1000, augment=True, rng=rng())])
    # Four standard errors of a share of a half.
    assert abs((augmentation % 2).double().mean() - 0.5) < 0.0142
    assert abs((augmentation >= 2).double().mean() - 0.5) < 0.0142
    angles = angle_of(augmentation[augmentation >= 2].double() - augmentation[augmentation >= 2] % 2)
    assert -15 <= angles.min() < -14.9
    assert 14.9 < angles.max() <= 15
    assert abs(angles.mean()) < 0.4
    assert not torch.cat([augmentation for _, augmentation in data.index_batches(1000)]).any()


def test_a_part_of_a_split_keeps_its_augmentation():
    given = split()
    data = ImageSplit("val", given._array, given.rows, given.y, given.a, given.uids, augmentation="chest_reference")
    part = data.where(data.a == 1)
    assert part.augmentations is None
    at = torch.arange(len(part))
    turned = turned_by(11).expand(len(part))
    assert torch.equal(part.images(at, turned), data.images((data.a == 1).nonzero().squeeze(1), turned))
