"""`bench doctor TASK --probe`: speeds are measured, and hours follow from them."""

import json
import re

import pytest

from bench.cli import main
from bench.doctor import speed_probe as probe
from bench.running.bill import SPEED, Bill

TASK = "phantom-cxr-age:folds=2"


def probed(monkeypatch, tmp_path, *words):
    monkeypatch.setattr(probe, "speeds", lambda data, seconds: (200.0, 1000.0))
    where = ("--results", str(tmp_path / "results"), "--cache", str(tmp_path / "cache"))
    return main(["doctor", TASK, "--probe", *words, *where])


def test_hours_are_images_over_measured_speeds(monkeypatch, tmp_path, capsys):
    assert probed(monkeypatch, tmp_path, "--json") == 0
    found, usual = json.loads(capsys.readouterr().out), Bill(trained=3600.0, forward=7200.0)
    assert found["trained_per_second"] == 200
    assert usual.hours == 3 * 3600 / SPEED / 3600
    assert Bill(trained=3600.0, forward=7200.0, trained_speed=200, forward_speed=1000).hours == pytest.approx(
        3600 / 200 / 3600 + 7200 / 1000 / 3600
    )
    assert probed(monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"CPU: \S+, \d+ of \d+ cores, \d+ GiB memory", said[0])
    assert "GPU: none is visible" in said
    assert said[-2] == "small, 64 pixels, float32: 200.0 images per second in training, 1,000.0 forward, in 20 seconds"
    assert said[-1].startswith("22 cells to compute, 2 baselines to train: about ")
    assert f"{found['hours']:.2g} hours of this device, at the measured speeds" in said[-1]


def test_training_is_slower_than_a_forward_pass(tmp_path):
    from bench.data.task_data import open_data
    from bench.settings import Settings

    data = open_data(Settings(TASK, tmp_path, tmp_path, None))
    trained, forward = probe.speeds(data, 0.2)
    assert 0 < trained < forward


def test_nodes_of_memory_are_named(monkeypatch, tmp_path):
    for node, cores in (("node0", "0-31"), ("node1", "32-63")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "cpulist").write_text(f"{cores}\n")
    monkeypatch.setattr(probe, "NODES", tmp_path)
    assert "NUMA nodes: 0: cores 0-31; 1: cores 32-63" in probe.machine()
