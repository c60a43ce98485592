"""The two settings of a recipe that choose kernels: fixed order or any, compiled passes or not."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from bench import learn
from bench.checks.subject import RECIPE
from bench.learn.device import choose_kernels
from bench.options import identifying
from tests.unit.test_device import a_run

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU")


def test_a_recipe_that_allows_any_kernel_says_so_to_the_gpu_and_to_nothing_else():
    def asked(recipe, kind):
        choose_kernels(recipe, kind)
        return torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark

    before = asked(RECIPE, "cpu")
    free = dataclasses.replace(RECIPE, deterministic=False)
    try:
        assert asked(free, "cpu") == before
        assert asked(free, "cuda") == (False, True)
        assert asked(RECIPE, "cuda") == (True, False)
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def test_results_of_the_default_keep_their_identity():
    assert not {"compile", "deterministic"} & set(identifying(RECIPE))
    assert identifying(dataclasses.replace(RECIPE, compile=True))["compile"] is True
    assert identifying(dataclasses.replace(RECIPE, deterministic=False))["deterministic"] is False


@pytest.mark.slow
@pytest.mark.long
@needs_compiler
@pytest.mark.filterwarnings("ignore")  # what torch.compile itself imports and reads is deprecated
def test_compiled_passes_train_the_same_network_and_count_the_same_images():
    def trained(recipe):
        run = a_run("cpu", "fullft_rw", recipe=recipe)[1]
        for module in run.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # a compiled one draws other masks
        net = learn.finetune(
            run, run.model, loss=learn.objective(run, "external", 1.0), split="external", epochs=2, lr=1e-3
        )
        return {name: value.detach().numpy() for name, value in net.state_dict().items()}, run.passes

    plain, passes = trained(RECIPE)
    compiled, counted = trained(dataclasses.replace(RECIPE, compile=True))
    assert counted == passes
    assert passes.backward > 0
    assert list(compiled) == list(plain)
    for name, value in plain.items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
