"""The device of a cell: all that methods do on another one, bfloat16 where a GPU would use it, files without either.

No GPU is needed: `other_device` refuses what a GPU would refuse and computes on the CPU.
"""

import dataclasses
import functools
import platform
import resource
import subprocess
import sys

import pytest
import torch
from inline_snapshot import snapshot
from msgspec.structs import replace

from bench import learn, registry
from bench.cells.identity import Cell
from bench.checks.subject import RECIPE, SPLITS, random_split, trained_net
from bench.data.image_split import ImageSplit
from bench.learn import device as devices
from bench.learn.predict import predict
from bench.running import compute_cell, environment, pretraining
from bench.running.context import CellRun, SharedCache, packed
from bench.running.plan import build_method
from bench.running.run_task import plan_run
from bench.settings import Settings
from tests.task_texts import AGE, CHEST
from tests.unit.other_device import There, other_device

SHORT = {"diff_gda": "diff_gda:epochs=1", "diff_prune": "diff_prune:max_steps=2"}
SETTINGS = [
    *(SHORT.get(name, name) for name in sorted(registry.METHODS.catalogue())),
    "swift:mask=random",
    "swift:apply=update,extractor_step2=train",
    "swift:mask=hard,rate=0.3,importance=fisher_per_sample",
    "bmft:data=reference,proxy=signed_half_logit,empty_cell=zero_mean",
    "fair_prune:curvature=exact",
    "diff_prune:site=convolutions,unit=channel,max_steps=1",
    "diff_gda:evaluation=train,epochs=1,evaluations=1",
    "llft:budget=recipe",
]


def on(device, name, **how):
    """A random split whose images go to a device."""
    split = random_split(name, gap=True, **how)
    return ImageSplit(name, split._array, split.rows, split.y, split.a, split.uids, device=device)


def a_run(device, spec, shared_cache=None, recipe=RECIPE):
    splits = {name: functools.partial(on, device, name) for name in SPLITS}
    method = build_method(spec)
    run = CellRun(
        trained_net().to(device),
        recipe,
        splits,
        method.uses,
        Cell("check", "small", spec, fold=0, seed=0),
        shared_cache=shared_cache,
    )
    return method, run


def fitted(device, spec, shared_cache=None, recipe=RECIPE):
    """The facts that a method logs and the logits of the model that it returns."""
    method, run = a_run(device, spec, shared_cache, recipe)
    logits = predict(method.fit(run), on(device, "test", seed=1), grouped=method.needs_attribute)
    assert isinstance(logits, There) == (str(device) == "meta")
    return run.facts, logits.cpu()


@pytest.mark.parametrize("spec", SETTINGS)
def test_a_method_gives_the_same_on_another_device(spec):
    facts, here = fitted("cpu", spec)
    with other_device() as device:
        facts_there, there = fitted(device, spec)
    assert torch.equal(here, there)
    assert repr(facts) == repr(facts_there)


def test_negative_control_the_other_device_refuses_what_lies_here():
    with other_device() as device:
        there = torch.ones(3, device=device)
        assert (there + 1).sum().item() == 6
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="generator"):
            torch.zeros(3, device=device).uniform_(generator=torch.Generator())
        with pytest.raises(RuntimeError, match="indices"):
            torch.ones(3)[torch.zeros(1, dtype=torch.int64, device=device)]


@pytest.mark.parametrize("spec", ["swift", "fair_prune"])
def test_what_cells_share_crosses_devices(tmp_path, spec):
    shared_cache = SharedCache(tmp_path, {})
    with other_device() as device:
        made = fitted(device, spec, shared_cache)
        written = {file: file.read_bytes() for file in tmp_path.iterdir()}
        assert written
        taken_there = fitted(device, spec, shared_cache)
    taken_here = fitted("cpu", spec, shared_cache)
    assert written == {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert torch.equal(made[1], taken_there[1])
    assert torch.equal(made[1], taken_here[1])


def test_what_is_written_lies_on_the_cpu_and_is_the_same_bytes():
    net = trained_net()
    with other_device() as device:
        there = trained_net().to(device)
        content = packed({"net": there.state_dict(), "steps": [torch.ones(2, device=device)], "epoch": 3})
    assert content == packed({"net": net.state_dict(), "steps": [torch.ones(2)], "epoch": 3})


@pytest.mark.parametrize(
    ("precision", "kind", "expected"),
    [
        ("device", "cuda", True),
        ("device", "cpu", False),
        ("float32", "cuda", False),
        ("float32", "cpu", False),
        ("bfloat16", "cuda", True),
        ("bfloat16", "cpu", True),
    ],
)
def test_precision_is_the_devices_unless_the_recipe_says_one(precision, kind, expected):
    assert devices.halved(dataclasses.replace(RECIPE, precision=precision), kind) is expected


@pytest.mark.parametrize(("spec", "moved"), [("swift", True), ("diff_gda:epochs=1", True), ("fair_prune", False)])
def test_methods_that_train_do_so_in_the_recipes_precision(spec, moved):
    halved = dataclasses.replace(RECIPE, precision="bfloat16")
    facts, rounded = (fitted("cpu", spec, recipe=recipe)[0] for recipe in (RECIPE, halved))
    assert (repr(facts) != repr(rounded)) is moved


def test_a_record_says_in_which_precision_its_network_was_trained():
    said = [environment.precision(dataclasses.replace(RECIPE, precision=one)) for one in ("float32", "bfloat16")]
    assert said == snapshot(["float32", "training under bfloat16 autocast"])


def test_training_is_in_bfloat16_where_the_recipe_says_so_and_nothing_else_is():
    exact = fitted("cpu", "fullft_rw")[1]
    importances = learn.fisher_importances(a_run("cpu", "swift")[1], trained_net(), "external")
    seen = []
    halved = dataclasses.replace(RECIPE, precision="bfloat16")
    run = a_run("cpu", "fullft_rw", recipe=halved)[1]
    run.model.features[3].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    loss = learn.objective(run, "external", 1.0)

    def watched(z, y, a):
        assert z.dtype == torch.float32
        return loss(z, y, a)

    net = learn.finetune(run, run.model, loss=watched, split="external", epochs=2, lr=RECIPE.lr_extractor)
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]} == {
        torch.float32
    }
    seen.clear()
    rounded = predict(net, on("cpu", "test", seed=1))
    assert set(seen) == {torch.float32}
    # bfloat16 has 8 bits: logits move, by far less than they spread.
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.std()
    again = learn.fisher_importances(a_run("cpu", "swift", recipe=halved)[1], trained_net(), "external")
    for one, other in zip(importances, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


FAULTS = """
import ctypes, resource, sys, torch
from bench.learn.device import keep_memory
for setting in (-3, -1):  # what glibc starts with, and moves as it goes
    ctypes.CDLL(None).mallopt(setting, 128 << 10)
if sys.argv[1] == "kept":
    keep_memory()
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    taken = [torch.ones(6 * 2**20) for _ in range(8)]
    del taken
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many pages are taken anew where eight times 24 MB are taken and given back, ten times."""


@pytest.mark.skipif(not platform.libc_ver()[0].startswith("glibc"), reason="another allocator than glibc's")
def test_memory_that_a_pass_frees_is_kept_for_the_next_one():
    def faults(word):
        return int(subprocess.run([sys.executable, "-c", FAULTS, word], check=True, capture_output=True).stdout)

    pages = 10 * 8 * 24 * 2**20 // resource.getpagesize()
    assert faults("kept") < 0.1 * pages
    assert faults("plain") > 0.5 * pages


def small(folder):
    (file := folder / "small.toml").write_text(CHEST.format(name="small", images=240, attribute=AGE))
    return str(file)


@pytest.mark.slow
def test_a_whole_cell_is_the_same_on_another_device(tmp_path, monkeypatch):
    task = small(tmp_path)

    def records(device, results):
        monkeypatch.setattr(compute_cell, "device", lambda: torch.device(device))
        monkeypatch.setattr(pretraining, "device", lambda: torch.device(device))
        settings = Settings(task, results, results / "cache", None)
        _, cells = plan_run(dataclasses.replace(settings, methods="baseline,swift", folds=(0,)))
        return [compute_cell.run_cell(planned) for planned in cells]

    here = records("cpu", tmp_path / "here")
    with other_device():
        there = records("meta", tmp_path / "there")
    assert [record.cell.spec for record in here] == ["baseline", "swift"]
    for one, other in zip(here, there, strict=True):
        one, other = (replace(item, cost=replace(item.cost, seconds=0.0, peak_memory_bytes=0)) for item in (one, other))
        assert repr(one) == repr(other)


@pytest.mark.slow
def test_a_baseline_is_trained_in_the_recipes_precision_by_a_worker_that_keeps_memory(tmp_path, monkeypatch):
    kept, made = [], {}
    monkeypatch.setattr(compute_cell, "keep_memory", lambda: kept.append(True))
    for precision in ("device", "float32", "bfloat16"):
        task = f"{small(tmp_path)}:precision={precision}"
        settings = Settings(task, tmp_path / "results", tmp_path / "cache", None)
        _, cells = plan_run(dataclasses.replace(settings, methods="baseline", folds=(0,)))
        made[precision] = compute_cell.run_cell(cells[0])
    assert len(kept) == 3
    files = {record.baseline_sha256: precision for precision, record in made.items()}
    assert len(files) == 3, "the name of a file of weights is in its checksum"
    weights = [torch.load(file, weights_only=True) for file in (tmp_path / "cache/baselines").glob("*.pt")]
    # Those of `device` are those of float32: without a GPU nothing is autocast.
    assert len(weights) == 3
    assert len({b"".join(value.numpy().tobytes() for value in one.values()) for one in weights}) == 2
    said = [record.environment.precision for record in made.values()]
    assert said == snapshot(["float32", "float32", "training under bfloat16 autocast"])
