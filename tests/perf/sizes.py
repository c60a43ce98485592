"""What is measured on which machine: a ResNet-50 at 224 pixels, tens of images on a CPU, thousands on a GPU."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.cells.identity import Cell
from bench.checks.subject import RECIPE
from bench.data.image_split import ImageSplit
from bench.learn.device import device
from bench.learn.network import build_net
from bench.net import Net
from bench.running.context import CellRun, SharedCache

SIZE = 224


@dataclass(frozen=True)
class Sizes:
    """Images of an epoch, of a batch, pairs of timings."""

    images: int
    batch: int
    pairs: int


ON_CPU, ON_GPU = Sizes(images=16, batch=8, pairs=3), Sizes(images=2048, batch=128, pairs=7)


def sizes() -> Sizes:
    """The sizes for this machine."""
    return ON_CPU if device().type == "cpu" else ON_GPU


@cache
def fastest() -> str:
    """The precision in which this machine trains fastest: bfloat16 where a CPU has instructions for it, a GPU's own."""
    if device().type != "cpu":
        return "device"
    known = torch.cpu.get_capabilities()  # other kinds of processor have other names
    return "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") else "device"


def precisions() -> list[str]:
    """What a step is measured in: the device's own precision and, where another is faster, that one."""
    return list(dict.fromkeys(["device", fastest()]))


def bar(cpu: float, gpu: float) -> float:
    """The bar that holds on this machine."""
    return cpu if device().type == "cpu" else gpu


@cache
def print_rate() -> None:
    """Print a training step's rate on a CPU beside that of a bare product of matrices, and its convolutions' share.

    What is not convolutions is all that a layout or a compiler could spare.
    """
    if device().type != "cpu":
        return
    net, x = network().train(), torch.randn(4, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    one, other = torch.randn(2, 1536, 1536)

    def step() -> None:
        net(x).sum().backward()

    with FlopCounterMode(display=False) as counter:
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    spent = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    share = sum(time for name, time in spent.items() if "conv" in name) / sum(spent.values())
    rates = {"step": counter.get_total_flops() / _seconds(step), "product": 2 * 1536**3 / _seconds(lambda: one @ other)}
    print(
        f"\na ResNet-50 is trained at {rates['step'] / 1e9:.0f} GFLOP a CPU second, matrices are multiplied at "
        f"{rates['product'] / 1e9:.0f}: {rates['step'] / rates['product']:.0%}; convolutions are {share:.0%} of a step"
    )


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return sorted(times)[1]


def wall() -> float:
    """Return the seconds on the wall, where work is done by processes besides this one."""
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def network(backbone: str = "resnet50") -> Net:
    """A network with random weights, on the device."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_net(backbone).to(device())


def coded(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups in which every pair of images of a batch, and of four all cells, are there."""
    return np.arange(images) // 2 % 2, np.arange(images) % 2


def cached(folder: Path, name: str, images: int, *, size: int = SIZE, channels: int = 3, kind=ImageSplit) -> ImageSplit:
    """A split whose images of noise are read from a memory map on disk, as those of an image cache are."""
    file = folder / f"{name}-{images}-{size}.npy"
    if not file.exists():
        shape = (images, size, size, channels)
        made = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
        rng = np.random.default_rng(0)
        for i in range(images):
            made[i] = rng.integers(0, 256, shape[1:], dtype=np.uint8)
        del made
    y, a = coded(images)
    array = np.load(file, mmap_mode="r")
    return kind(name, array, np.arange(images), y, a, [f"{name}:{i}" for i in range(images)], device=device())


def a_run(
    net: Net,
    splits: dict[str, Callable[[], ImageSplit]],
    *,
    batch: int,
    epochs: int = 10,
    shared_cache: SharedCache | None = None,
    **changes: Any,
) -> CellRun:
    """A cell with a network and splits; `changes` are those of its recipe."""
    recipe = dataclasses.replace(RECIPE, batch=batch, epochs=epochs, **changes)
    cell = Cell("perf", "small", "perf", fold=0, seed=0)
    return CellRun(net, recipe, splits, frozenset(splits), cell, shared_cache=shared_cache)
