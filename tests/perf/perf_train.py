"""Training a ResNet-50 at 224 pixels: from the cache, in one step, and SWiFT from JPEGs to the end."""

import copy
import itertools
import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench import learn
from bench.checks.subject import random_net, random_split
from bench.data.cache import image_cache
from bench.data.image_split import ImageSplit
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest
from bench.learn import frozen_features
from bench.learn.device import device
from bench.methods.swift import SWiFT
from tests.perf import plain
from tests.perf.sizes import SIZE, a_run, bar, cached, coded, fastest, network, precisions, print_rate, sizes, wall

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory):
    """A folder of colour JPEGs of 600 x 450 pixels, the format of HAM10000."""
    folder, rng = tmp_path_factory.mktemp("jpegs"), np.random.default_rng(0)
    for i in range(sizes().images):
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        coarse.resize((600, 450), Image.Resampling.BICUBIC).save(folder / f"{i:05d}.jpg", quality=95)
    return folder


def plainly(folder, *, augment, images=None):
    """The DataLoader's way to the images of a folder, or to the first ones."""
    files = sorted(folder.glob("*.jpg"))[:images]
    y, a = coded(len(files))
    return plain.Jpegs(files, torch.tensor(y).float(), torch.tensor(a), SIZE, augment=augment)


def epochs(run, net, split, count=1):
    """Train all weights by the suite's loop."""
    learn.finetune(run, net, loss=learn.blend(0.9), split=split, epochs=count, lr=1e-4)


class OneBatch(ImageSplit):
    """Images that are one batch of noise on the device, made before."""

    def read_ahead(self, batches):
        return iter(batches)  # there is nothing to read

    def images(self, index, augmentation=None):
        if not hasattr(self, "batch"):
            x = torch.randn(sizes().batch, 3, SIZE, SIZE, device=device())
            self.batch = x.contiguous(memory_format=torch.channels_last)
        return self.batch[: len(index)]


def forgotten(folder):
    """Let the system forget the pages of the files, so that the disk is read."""
    for file in folder.glob("*.npy"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_images_from_the_cache_cost_little_over_a_resident_batch(compare, tmp_path, cold):
    """From a cold cache on the wall, as a disk takes no CPU seconds."""
    size = sizes()
    splits = {
        "cache": lambda: cached(tmp_path, "images", size.images),
        "resident": lambda: cached(tmp_path, "images", size.images, kind=OneBatch),
    }
    run, net = a_run(network(), splits, batch=size.batch), network()

    def from_cache():
        run._opened.clear()  # what a GPU has kept
        if cold:
            forgotten(tmp_path)
        epochs(run, net, "cache")

    compare(
        f"an epoch from the {'cold ' if cold else ''}image cache / on one resident batch",
        from_cache,
        lambda: epochs(run, net, "resident"),
        bar=bar(1.02, 1.05),
        pairs=size.pairs,
        warm=device().type != "cpu",
        **({"clock": wall} if cold else {}),
    )


IN_EACH = pytest.mark.parametrize("precision", precisions())
"""The bar is that of the fastest; the other ratio is printed."""


def named(precision):
    """As figures are named: float32 on a CPU that is asked for nothing else."""
    return "float32" if precision == "device" and device().type == "cpu" else "bfloat16"


def asked(precision, cpu, gpu):
    return bar(cpu, gpu) if precision == fastest() else None


@IN_EACH
def test_an_epoch_from_the_cache_against_a_loader_that_decodes(compare, tmp_path, jpegs, precision):
    size, splits = sizes(), {"cache": lambda: cached(tmp_path, "images", size.images)}
    run = a_run(network(), splits, batch=size.batch, precision=precision)
    net, other = network(), plain.nchw(network()).train()
    optimiser, data = plain.sgd(other.parameters(), run.recipe, 1e-4), plainly(jpegs, augment=True)

    def loader():
        with plain.as_torch_comes():
            plain.train(other, optimiser, plain.batches(data, size.batch, shuffle=True), 0.9)

    # On the wall: the workers of the loader are processes of their own.
    compare(
        f"an epoch from the image cache, {named(precision)} / from JPEGs, 2 workers, NCHW",
        lambda: epochs(run, net, "cache"),
        loader,
        bar=asked(precision, 1 / 1.8, 1 / 5),
        pairs=2 if device().type == "cpu" else 3,
        clock=wall,
        warm=device().type != "cpu",
    )


@IN_EACH
def test_a_fine_tuning_step_against_a_plain_one(compare, tmp_path, precision):
    print_rate()
    size, splits = sizes(), {"one": lambda: cached(tmp_path, "images", sizes().batch)}
    run = a_run(network(), splits, batch=size.batch, precision=precision)
    net, other = network(), plain.nchw(network()).train()
    optimiser, one = plain.sgd(other.parameters(), run.recipe, 1e-4), run.split("one")
    batch = (one.images(torch.arange(size.batch)).contiguous(), one.y, one.a)

    def plainly():
        with plain.as_torch_comes():
            plain.train(other, optimiser, [batch], 0.9)

    compare(
        f"a fine-tuning step of the suite, {named(precision)} / plain, float32, NCHW",
        lambda: epochs(run, net, "one"),
        plainly,
        bar=asked(precision, 1 / 1.5, 1 / 2.5),
        pairs=size.pairs,
        warm=device().type != "cpu",
    )


def check_the_reference():
    """On the same batches, augmentations and dropout the plain SWiFT ends with the suite's weights."""
    split = random_split("external")
    run, net = a_run(random_net(), {"external": lambda: split}, batch=32, epochs=4), random_net()
    rngs = {stage: run.rng(stage, shared=stage == "fisher") for stage in ("step 1", "step 2")}

    def epoch(stage):
        rng = run.rng("fisher", shared=True) if stage == "fisher" else rngs[stage]
        return split.batches(size=32, shuffle=True, augment=stage != "fisher", rng=rng)

    mine = SWiFT().fit(run)
    other = plain.swift(net, epoch, run.recipe, dropout=lambda stage: learn.seeded(run.rng(f"{stage}/dropout")))
    for (name, one), two in zip(mine.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


LIMIT, DISTANCE = 0.54, 1.15
"""What SWiFT would come to in float32 on a CPU with everything but convolutions for nothing (README); the most over it."""


@IN_EACH
def test_swift_from_jpegs_to_the_end(compare, tmp_path, jpegs, precision):
    """Ten epochs in all, the image cache built in the suite's time; on a CPU the bar is of float32."""
    check_the_reference()
    size, turns, start = sizes(), itertools.count(), network()
    # On a CPU one batch an epoch: the two ways take a minute.
    pairs = 3 if precision == "device" or device().type == "cuda" else 1
    images = None if device().type == "cuda" else size.batch
    posed, upright = (plainly(jpegs, augment=augment, images=images) for augment in (True, False))
    paths = [file.name for file in upright.files]
    table = pd.DataFrame({"uid": paths, "path": paths})
    y, a = coded(len(paths))

    def suite():
        folder = tmp_path / str(next(turns))
        options = {"size": SIZE, "channels": 3, "crop": "none", "cache_dir": folder}
        cache = image_cache(Pixels(Manifest(), "manifest", jpegs, **options), table)
        split = ImageSplit("external", cache.array, cache.rows(table["uid"]), y, a, paths, device=device())
        frozen_features._last.clear()
        SWiFT().fit(a_run(start, {"external": lambda: split}, batch=size.batch, precision=precision))

    def reference():
        recipe = a_run(start, {}, batch=size.batch).recipe

        def epoch(stage):
            return plain.batches(upright if stage == "fisher" else posed, size.batch, shuffle=True)

        with plain.as_torch_comes():
            plain.swift(plain.nchw(copy.deepcopy(start)), epoch, recipe)

    compare(
        f"SWiFT from JPEGs, ten epochs, {named(precision)} / written plainly",
        suite,
        reference,
        bar=bar(DISTANCE * LIMIT, 1 / 6) if precision == "device" else None,
        pairs=pairs,
        clock=wall,
        warm=False,
    )
