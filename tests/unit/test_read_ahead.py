"""Images are there before they are needed: a thread reads ahead, and where they fit they stay on the device."""

import mmap
import threading
from concurrent.futures import Future

import numpy as np
import pytest
import torch

from bench.checks.subject import random_split
from bench.data import image_split, reading
from bench.data.image_split import ImageSplit
from bench.learn.chunks import run_in_chunks
from tests.unit.other_device import other_device

SIZE = 8


def on(device, split, rows=None):
    rows = split.rows if rows is None else rows
    y, a, uids = (values[rows] for values in (split.y, split.a, split.uids))
    return ImageSplit(split.name, split._array, rows, y, a, uids, device=device)


def epoch(split, seed=0):
    """All images of an epoch in the order of the batches, on the CPU."""
    rng = torch.Generator().manual_seed(seed)
    return torch.cat([batch.x.cpu() for batch in split.batches(size=SIZE, shuffle=True, augment=True, rng=rng)])


@pytest.fixture
def split():
    return random_split("external", images=20, size=6)


@pytest.fixture
def roomy(monkeypatch):
    monkeypatch.setattr(image_split, "room", lambda device: 20 * 36)


def test_batches_read_ahead_are_those_that_are_asked_for(split):
    rng = torch.Generator().manual_seed(0)
    pairs = split.index_batches(size=SIZE, shuffle=True, augment=True, rng=rng)
    expected = torch.cat([split.images(index, augmentation) for index, augmentation in pairs])
    assert torch.equal(epoch(split), expected)


def test_the_next_batch_is_read_by_a_thread_while_this_one_is_used():
    began, threads = [], set()

    def work(item):
        began.append(item)
        threads.add(threading.current_thread().name)
        return item * 10

    found = reading.ahead(work, range(4))
    item, value = next(found)
    assert isinstance(value, Future)
    assert (item, value.result()) == (0, 0)
    assert [(item, value.result()) for item, value in found] == [(1, 10), (2, 20), (3, 30)]
    assert began == [0, 1, 2, 3]
    assert all(name.startswith("read-ahead") for name in threads)


def test_an_error_of_the_thread_is_raised_where_the_batch_is_asked_for(split):
    with other_device() as device:
        there = on(device, split)
        batches = iter(there.batches(size=SIZE))
        next(batches)
        there._array = split._array[:3]  # as of a file that was cut off
        with pytest.raises(IndexError):
            list(batches)


def test_a_loop_that_ends_early_leaves_no_thread_behind(split):
    before = set(threading.enumerate())  # threads of another test may end at any time
    with other_device() as device:
        for _ in on(device, split).batches(size=SIZE):
            (reader,) = set(threading.enumerate()) - before
            break
    assert not reader.is_alive()


def test_images_that_fit_stay_on_the_device(split, roomy):
    rows = np.concatenate([split.rows[:15], split.rows[:5]])  # repeats, as of a resampled external set
    expected = [epoch(on("cpu", split, rows), seed) for seed in (0, 1)]
    with other_device() as device:
        there = on(device, split, rows)
        assert torch.equal(epoch(there), expected[0])
        split._array[:] = 0  # nobody looks there again
        assert torch.equal(epoch(there, 1), expected[1])
        part = there.where(there.y == 1)
        assert torch.equal(epoch(part), epoch(on("cpu", random_split("external", images=20, size=6), part.rows)))


def test_images_that_do_not_fit_and_wider_ones_are_read_again(split, roomy):
    with other_device() as device:
        large = on(device, random_split("external", images=21, size=6))
        wide = on(device, split)
        wide._array = split._array.astype(np.uint16)
        for one in (large, wide):
            epoch(one)
            assert one._resident is None
            one._array[:] = 0
            assert not epoch(one).sub(epoch(one)[0, 0, 0, 0]).flatten(2).std(2).any()


def test_a_batch_that_lacks_memory_takes_that_of_the_images(split, roomy):
    expected, tries = epoch(on("cpu", split)), []
    with other_device() as device:
        there = on(device, split)
        epoch(there)

        def work(size):
            tries.append(size)
            if len(tries) == 1:
                raise torch.OutOfMemoryError
            return size

        assert run_in_chunks(torch.nn.BatchNorm2d(1), SIZE, work, what="a batch") == SIZE
        assert there._resident is not None
        assert there._resident.released
        assert torch.equal(epoch(there), expected)
    assert tries == [SIZE, SIZE]


def test_on_a_cpu_the_system_is_asked_for_the_pages_of_the_next_batch(split, tmp_path):
    """Rows that are neighbours together, each from its first page to its last byte."""
    np.save(tmp_path / "images.npy", np.zeros((20, 100, 100, 1), np.uint8))
    split._array, asked = np.load(tmp_path / "images.npy", mmap_mode="r"), []
    start = split._array.offset  # of the first image in the file

    class Pages(mmap.mmap):
        def madvise(self, option, start=0, length=None):
            asked.append((start, length))

    with (tmp_path / "images.npy").open("rb") as file:
        pages = Pages(file.fileno(), 0, access=1)
        split._array = np.ndarray.__new__(np.memmap, (20, 100, 100, 1), np.uint8, buffer=pages, offset=start)
        split._array.offset = start
        batches = split.read_ahead(split.index_batches(size=SIZE, shuffle=True, rng=torch.Generator().manual_seed(0)))
        order, _ = next(batches)
        ahead = {row for at, length in asked for row in range(20) if at <= start + row * 10_000 < at + length}
        assert len(ahead) >= 2 * SIZE
        assert set(order.tolist()) < ahead
        list(batches)
    for at, length in asked:
        assert at % mmap.PAGESIZE == 0
        assert (at + length - start) % 10_000 == 0
        assert any(at <= start + row * 10_000 < at + mmap.PAGESIZE for row in range(20))
