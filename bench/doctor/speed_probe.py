"""`bench doctor TASK --probe`: what this machine has, how fast it trains, and what the missing cells would cost."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import learn
from bench.api import Vector
from bench.cells.identity import Cell
from bench.data.image_split import ImageSplit
from bench.data.task_data import TaskData
from bench.errors import UsageError
from bench.learn.device import device
from bench.learn.network import build_net
from bench.learn.predict import predict
from bench.running.bill import Bill
from bench.running.context import CellRun
from bench.running.environment import precision
from bench.running.run_task import plan_runs
from bench.settings import Settings

SECONDS = 20
"""How long speeds are measured."""
ON_CPU = 16
"""Images of a batch on a CPU, where the time of an image depends little on their number."""
NODES = Path("/sys/devices/system/node")


def run_probe(settings: Settings, *, as_json: bool, seconds: float = SECONDS) -> int:
    """Measure, print and return 0.

    Raises:
        UsageError: the task reads vectors, whose cells take seconds.
        DataError: the tables of the task cannot be read.
    """
    (planned,) = plan_runs([settings])
    trained, forward = speeds(planned.data, seconds)
    bill = Bill(trained_speed=trained, forward_speed=forward)
    bill.add(planned.todo, planned.data)
    found = {
        "machine": machine(),
        "backbone": planned.data.backbone or planned.data.task.backbones[0],
        "precision": precision(planned.data.task.recipe),
        "trained_per_second": round(trained, 2),
        "forward_per_second": round(forward, 2),
        "hours": bill.hours,
    }
    if as_json:
        print(json.dumps(found, indent=1))
        return 0
    print("\n".join(found["machine"]))
    print(
        f"{found['backbone']}, {planned.data.task.image_size} pixels, {found['precision']}: {trained:,.1f} images per "
        f"second in training, {forward:,.1f} forward, in {seconds:g} seconds"
    )
    print(bill.says() if bill.cells else "all cells are done")
    return 0


def machine() -> list[str]:
    """Return what this process can compute on, a line each: processor, NUMA nodes, GPUs and their driver."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [f"CPU: {platform.machine()}, {usable} of {os.cpu_count()} cores, {memory:.0f} GiB memory"]
    nodes = sorted(NODES.glob("node[0-9]*"))
    if len(nodes) > 1:
        cores = "; ".join(f"{node.name[4:]}: cores {(node / 'cpulist').read_text().strip()}" for node in nodes)
        lines.append(f"NUMA nodes: {cores}")
    for number in range(torch.cuda.device_count()):
        free, total = (size / 2**30 for size in torch.cuda.mem_get_info(number))
        lines.append(f"GPU {number}: {torch.cuda.get_device_name(number)}, {free:.0f} of {total:.0f} GiB free")
    if not torch.cuda.is_available():
        return [*lines, "GPU: none is visible"]
    with suppress(OSError, subprocess.TimeoutExpired):
        words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout.split()
        lines += [f"driver {told[0]}, CUDA {torch.version.cuda}"] if told else []
    return lines


def speeds(data: TaskData, seconds: float) -> tuple[float, float]:
    """Return images per second in training and passed forward: the backbone and recipe of a task, on images of noise.

    Training is given two thirds of the seconds. The first pass of each, which pays for what comes once, does not count.
    """
    task, backbone = data.task, data.network
    images = task.recipe.batch if device().type == "cuda" else min(task.recipe.batch, ON_CPU)
    if isinstance(backbone.input, Vector):
        raise UsageError(f"--probe: {task.name} reads vectors, not images; its cells take seconds")
    pixels = np.random.default_rng(0).integers(0, 256, (images, task.image_size, task.image_size, task.channels))
    y, a = np.arange(images) // 2 % 2, np.arange(images) % 2
    split = ImageSplit("train", pixels.astype(np.uint8), range(images), y, a, [str(i) for i in range(images)], device())
    net = build_net(backbone, size=task.image_size, weights="none").to(device())
    recipe, cell = dataclasses.replace(task.recipe, batch=images), Cell("probe", "", "probe", 0, 0)
    run = CellRun(net, recipe, {"train": lambda: split}, frozenset({"train"}), cell)

    def train() -> None:
        learn.finetune(run, run.model, loss=learn.blend(0.9), split="train", epochs=1, lr=1e-6, stage="probe")

    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads)  # as a cell does
    try:
        trained = images / _seconds(train, seconds * 2 / 3)
        return trained, images / _seconds(lambda: predict(run.model, split, size=images), seconds / 3)
    finally:
        torch.set_num_threads(threads)


def _seconds(work: Callable[[], Any], most: float) -> float:
    """Return the seconds of one call, the mean of those that begin within `most` seconds."""
    work()
    begun, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - begun < most:
        work()  # its end reads numbers, so a GPU is done by then
        calls += 1
    return (time.perf_counter() - begun) / calls
