"""What a worker keeps in memory besides its model, the activations of a batch and the optimiser."""

import platform
import statistics
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from pathlib import Path
import torch
from bench import learn
from bench.learn.device import keep_memory
from bench.learn.predict import predict
from tests.perf.memory import peak
from tests.perf.sizes import a_run, cached, network

images = int(sys.argv[2])
torch.set_num_threads(1)
with peak() as most:
    net = network("small")
    if images:
        keep_memory()
        split = cached(Path(sys.argv[1]), "images", images, size=64, channels=1)
        run = a_run(net, {"images": lambda: split}, batch=128)
        learn.finetune(run, net, loss=learn.blend(0.9), split="images", epochs=1, lr=1e-4)
        predict(net, split)
    else:  # model, activations of training and of scoring, optimiser
        optimiser, x = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9), torch.randn(128, 3, 64, 64)
        for _ in range(10):
            optimiser.zero_grad()
            net.train()(x).sum().backward()
            optimiser.step()
        with torch.no_grad():
            net.eval()(torch.randn(256, 3, 64, 64))
print(most[0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_worker_takes_little_over_model_and_activations_and_no_more_for_more_images(tmp_path):
    def peak(images):
        words = [sys.executable, "-c", SCRIPT, str(tmp_path), str(images)]
        return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    # Where an allocator leaves holes differs from process to process by as much as is allowed.
    peaks = [(peak(0), peak(1_000), peak(4_000)) for _ in range(3)]
    floor, few, many = (statistics.median(column) for column in zip(*peaks, strict=True))
    print(
        f"\na worker over model, activations and optimiser, which are {floor:.0f} MB: {few - floor:.0f} MB with 1,000 "
        f"images, {many - floor:.0f} MB with 4,000 (300 MB; flat within 30)"
    )
    assert many - floor <= 300
    assert many - few <= 30


TRAINING = """
import sys, time
import torch
from bench import learn
from bench.checks.subject import random_split
from bench.learn.device import keep_memory
from bench.learn.predict import predict
from tests.perf.sizes import a_run, network

torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_memory()
split = random_split("external", images=1024, size=64)
run = a_run(network("small"), {"external": lambda: split}, batch=128)
begun = time.process_time()
for _ in range(3):
    learn.finetune(run, run.model, loss=learn.blend(0.9), split="external", epochs=1, lr=1e-4)
    predict(run.model, split)
print(time.process_time() - begun)
"""


@pytest.mark.skipif(not platform.libc_ver()[0].startswith("glibc"), reason="another allocator than glibc's")
def test_training_takes_less_time_where_memory_is_kept(compare):
    spent = [0.0]

    def train(word):
        words = [sys.executable, "-c", TRAINING, word]
        spent[0] += float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    compare(
        "small network at 64, memory kept / handed back after every pass",
        lambda: train("kept"),
        lambda: train("plain"),
        bar=0.95,
        pairs=5,
        warm=False,
        clock=lambda: spent[0],
    )
