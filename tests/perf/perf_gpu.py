"""What only a GPU can tell: waits that PyTorch counts itself, how busy it is, and what its kernels cost."""

import dataclasses

import pytest
import torch

from bench import learn, registry
from bench.checks.subject import RECIPE
from bench.learn.device import choose_kernels, device
from tests.perf.rows import row
from tests.perf.sizes import a_run, cached, network, sizes, wall
from tests.waits import EVERY, per_batch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")]
BUSY = 0.90
"""Share of the time on the wall in which a kernel runs."""


@pytest.mark.parametrize("spec", [EVERY.get(name, name) for name in sorted(registry.METHODS.catalogue())])
def test_no_step_waits_for_the_gpu(spec):
    found = per_batch(spec, dataclasses.replace(RECIPE, batch=8, epochs=2), device())
    row(f"{spec}: synchronisations for each further batch: {found or 0} (0)")
    assert not found


def an_epoch(folder, **changes):
    """An epoch of ResNet-50 from the cache, after one that pays for what comes once; `changes` are of the recipe."""
    splits = {"cache": lambda: cached(folder, "images", sizes().images)}
    run = a_run(network(), splits, batch=sizes().batch, **changes)

    def work():
        choose_kernels(run.recipe, device().type)
        try:
            learn.finetune(run, run.model, loss=learn.blend(0.9), split="cache", epochs=1, lr=1e-4)
        finally:
            choose_kernels(RECIPE, device().type)

    work()
    return work


@pytest.fixture
def epoch(tmp_path):
    return an_epoch(tmp_path)


def test_the_gpu_is_busy(epoch):
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        begun = wall()
        epoch()
        spent = wall() - begun
    share = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / spent
    row(f"share of an epoch in which the GPU computes: {share:.3f} ({BUSY:.2f} at least)")
    assert share >= BUSY


def test_what_kernels_in_a_fixed_order_cost(compare, epoch, tmp_path):
    """Of the default; cuDNN chooses its kernels by trying them on the other side."""
    free = an_epoch(tmp_path, deterministic=False)
    compare("an epoch with kernels in a fixed order / with any", epoch, free, bar=None, pairs=3)


def test_what_compiled_passes_gain(compare, epoch, tmp_path):
    compiled = an_epoch(tmp_path, compile=True)
    compare("an epoch with compiled passes / with those of PyTorch", compiled, epoch, bar=None, pairs=3)
