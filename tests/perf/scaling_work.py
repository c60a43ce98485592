"""What is measured against a number: of images, of parameters, of cells. Each gives the work once it is prepared."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bench import cli, learn
from bench.api import Rows
from bench.cells import store
from bench.data.cache import image_cache
from bench.data.image_split import ImageSplit
from bench.data.task_data import task_data
from bench.datasets.manifest import Manifest
from bench.learn.predict import predict
from bench.methods.fair_prune import FairPrune, saliency, smallest
from bench.net import Net
from bench.run.context import CellRun
from bench.run.history import remember
from bench.run.run_task import plan_run
from bench.score.metrics import score_sets
from bench.settings import Settings
from bench.tasks import TASKS
from tests.perf.perf_suite import copied
from tests.perf.sizes import SIZE, a_run, cached, network

Work = Callable[[], object]
TASK = "phantom-cxr-age"
SEED_OF_CELLS = 55
"""Cells of a seed: ten methods, one of them twice, on five folds."""
SMALL, BATCH, FEW = 64, 128, 8
TRAINED = 32
"""Pixels of the images that are trained on: 100,000 of 64 would take minutes."""

# --- images --------------------------------------------------------------------------------------


def tables(folder: Path, images: int) -> Work:
    """Read the table of a source of so many images, cut its folds, draw their external sets, hash all of them."""
    given = TASKS[TASK]
    source = Rows(dataset=given.source.dataset.replace("images=2400", f"images={images}"))
    tests = {name: Rows(dataset=rows.dataset.replace("images=2000", "images=100")) for name, rows in given.ood.items()}
    task = dataclasses.replace(given, source=source, ood=tests)

    def work() -> None:
        data = task_data(task, None)
        assert len(data.tables["source"]) == images
        for fold in range(task.folds):
            for part in ("train", "val", "external"):
                data.fingerprint(part, fold)

    return work


class _Made(Manifest):
    def image(self, root: Path, path: str) -> np.ndarray:
        return np.full((SMALL, SMALL), int(path) % 251, dtype=np.uint8)


def building(folder: Path, images: int) -> Work:
    """Build the image cache of images that cost nothing to decode."""
    table = pd.DataFrame({"uid": [f"m:{i:06d}" for i in range(images)], "path": [str(i) for i in range(images)]})
    build = partial(image_cache, _Made(), "m", Path(), table, size=SMALL, channels=1, crop="none")
    places = itertools.count()
    return lambda: build(cache_dir=folder / str(next(places)))


def _split(folder: Path, images: int, size: int = SMALL) -> ImageSplit:
    return cached(folder, "images", images, size=size, channels=1)


def reading(folder: Path, images: int) -> Work:
    """Draw the batches of an epoch, shuffled and in poses, and read their images."""
    split = _split(folder, images)

    def work() -> None:
        rng = torch.Generator().manual_seed(0)
        assert sum(len(x) for x, _, _ in split.batches(size=BATCH, shuffle=True, augment=True, rng=rng)) == images

    return work


def scoring(folder: Path, images: int) -> Work:
    """Score predictions, a fifth of the images in the validation set and the rest in two test sets."""
    rng, sets = np.random.default_rng(0), {}
    for name, share in (("val", 0.2), ("near", 0.4), ("far", 0.4)):
        n = round(share * images)
        y, a = rng.integers(0, 2, n), rng.integers(0, 2, n)
        sets[name] = (rng.normal(y - 0.4 * a, 1).astype(np.float32), y, a)
    return partial(score_sets, sets, ("up to 65", "over 65"))


def epoch(folder: Path, images: int) -> Work:
    """Train the small backbone for an epoch, and predict."""
    split, net = _split(folder, images, TRAINED), network("small")
    run = a_run(net, {"images": lambda: split}, batch=BATCH)

    def work() -> None:
        learn.finetune(run, net, loss=learn.blend(0.9), split="images", epochs=1, lr=1e-4)
        predict(net, split)

    return work


# --- parameters ----------------------------------------------------------------------------------

LAYERS, LARGEST, PIXELS = 5, 1_000_000, 8


def of_size(parameters: int) -> Net:
    """Return a network of five linear layers, wider and wider; from a million weights each on, of more of them.

    No convolution of the suite's backbones has more than 2.4 million. Tensors of more than 8 million are taken from the
    system anew whenever they are needed, which costs half as much again.
    """
    layers = max(LAYERS, round(parameters / LARGEST))
    # (L - 1) w^2 + (3 * 64 + L + 1) w + 1: one layer from the pixels, the others from w to w, and the head.
    each = 3 * PIXELS**2 + layers + 1
    width = round((math.sqrt(each**2 + 4 * (layers - 1) * parameters) - each) / (2 * (layers - 1)))
    made: list[nn.Module] = [nn.Flatten()]
    for before in (3 * PIXELS**2, *[width] * (layers - 1)):
        linear = nn.Linear(before, width)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")  # else what is passed vanishes in a hundred layers
        made += [linear, nn.ReLU()]
    net = Net(nn.Sequential(*made), width)
    assert abs(sum(p.numel() for p in net.parameters()) / parameters - 1) < 0.02
    return net.eval()


def _run(folder: Path, parameters: int, images: int) -> CellRun:
    split = cached(folder, "external", images, size=PIXELS, channels=1)
    return a_run(of_size(parameters), {"external": lambda: split}, batch=32)


def _random(net: nn.Module) -> dict[str, Tensor]:
    return {name: torch.rand_like(p, requires_grad=False) for name, p in net.named_parameters()}


def importances(folder: Path, parameters: int) -> Work:
    """Take both importances on 64 images."""
    run = _run(folder, parameters, 64)
    return lambda: learn.fisher_importances(run, run.model, "external")


def masks(folder: Path, parameters: int) -> Work:
    """Make the soft mask of two importances and its summary, and a hard mask."""
    bias, prediction = (_random(of_size(parameters)) for _ in range(2))

    def work() -> None:
        ratio = learn.importance_ratio(bias, prediction)
        learn.mask_summary(learn.soft_mask(ratio))
        learn.hard_mask(ratio, 0.5, ratio)

    return work


def masked_step(folder: Path, parameters: int) -> Work:
    """Train for three steps through a mask."""
    run = _run(folder, parameters, 32)
    mask = _random(run.model)
    return lambda: learn.finetune(
        run, run.model, loss=learn.blend(0.1), split="external", epochs=3, lr=1e-6, train=("features",), mask=mask
    )


@torch.no_grad()
def pruning(folder: Path, parameters: int) -> Work:
    """Choose the weights that FairPrune sets to zero, from the curvatures of two groups."""
    net, method = of_size(parameters), FairPrune()
    one, other = _random(net), _random(net)

    def work() -> None:
        weights = method.prunable(net)
        scores = [saliency(w, one[name], other[name], method.beta).flatten() for name, w in weights.items()]
        smallest(torch.cat(scores).detach(), method.pruned(net))

    return work


# --- cells ---------------------------------------------------------------------------------------


def _apart(function: Callable[..., None], *given: object) -> None:
    """Call in a process of its own, whose memory is not that of the work."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(function, *given).result()


def _settings(folder: Path, task: str = TASK) -> Settings:
    return Settings(task, folder / "results", folder / "cache", None)


def _places(folder: Path) -> list[object]:
    return ["--results", _settings(folder).results, "--cache", _settings(folder).cache]


def _seeds(cells: int) -> tuple[int, ...]:
    seeds, rest = divmod(cells, SEED_OF_CELLS)
    assert not rest
    return tuple(range(seeds))


def fill(folder: Path, cells: int) -> None:
    """Write the records of done cells, of the usual size each, and remember their run."""
    settings = dataclasses.replace(_settings(folder), seeds=_seeds(cells))
    filler = {f"set {i}": {f"score {j}": 0.123456789 for j in range(30)} for i in range(12)}
    for planned in plan_run(settings)[1]:
        record = {"schema": 1, "hash": planned.hash, "scores": filler, "cost": {"seconds": 3.0}}
        store.write_json(store.cell_file(settings.results, planned.cell), record)
        store.predictions_file(settings.results, planned.cell).touch()
    remember(settings, TASK)


def _bench(*words: object) -> Work:
    def work() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            assert cli.main([str(word) for word in words]) == 0

    return work


def status(folder: Path, cells: int) -> Work:
    """`bench status`, without the start of the process."""
    _apart(fill, folder, cells)
    return _bench("status", "--results", _settings(folder).results)


def plan(folder: Path, cells: int) -> Work:
    """`bench run --dry-run`, without the start of the process."""
    _apart(fill, folder, cells)
    seeds = ",".join(map(str, _seeds(cells)))
    return _bench("run", "--dry-run", "--task", TASK, "--seeds", seeds, *_places(folder))


QUICK = f"{TASK}:epochs=2,pretrain_epochs=1"
"""The sets of the phantom task, and little training."""


def copies(folder: Path, cells: int) -> None:
    """Store the cells of fold 0, computed once for all points, under other folds and seeds."""
    settings = _settings(folder, QUICK)
    for planned in plan_run(dataclasses.replace(settings, seeds=_seeds(cells)))[1]:
        copied(settings, planned)


def report(folder: Path, cells: int) -> Work:
    """`bench report`, without the start of the process."""
    first = folder.parent / "first"
    words = ["run", "--task", QUICK, "--folds", "0", *map(str, _places(first))]
    subprocess.run([sys.executable, "-m", "bench.cli", *words], check=True, capture_output=True)
    shutil.copytree(first, folder, dirs_exist_ok=True)
    _apart(copies, folder, cells)
    return _bench("report", "--task", QUICK, "--reports", folder / "reports", *_places(folder))


# --- rates ---------------------------------------------------------------------------------------


def trained(backbone: str, folder: Path, images: int) -> Work:
    """Train a network on images of 224 pixels, in one batch."""
    split, net = cached(folder, "images", images), network(backbone)
    run = a_run(net, {"images": lambda: split}, batch=images)
    return lambda: learn.finetune(run, net, loss=learn.blend(0.9), split="images", epochs=1, lr=1e-4)


def forward(backbone: str, folder: Path, images: int) -> Work:
    """Predict images of 224 pixels."""
    split, net = cached(folder, "images", images), network(backbone)
    assert split.array.shape[1] == SIZE
    return lambda: predict(net, split)
