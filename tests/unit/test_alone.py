"""A logit depends on its own image alone; the files that a block of code opens are named."""

import os
import sqlite3
import tempfile
import threading
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from inline_snapshot import snapshot
from torch import nn

from bench.checks.opened import opened_files
from bench.checks.subject import random_split
from bench.errors import PluginBroken
from bench.learn.network import build_net
from bench.learn.predict import ALONE, check_alone, predict

SPLIT = random_split("val", images=96)


class Changed(nn.Module):
    """The mean of each image, changed by `change(z, x, calls)`."""

    def __init__(self, change):
        super().__init__()
        self.change, self.calls, self.images = change, 0, 0

    def forward(self, x):
        self.calls, self.images = self.calls + 1, self.images + len(x)
        return self.change(x.mean(dim=(1, 2, 3)), self.calls)


def refused(net):
    logits = predict(net, SPLIT)
    with pytest.raises(PluginBroken) as error:
        check_alone(net, SPLIT, logits)
    return str(error.value)


@pytest.mark.parametrize("images", [1, 2, 31, 96])
def test_a_sound_network_passes_on_any_number_of_images(images):
    split = random_split("val", images=images)
    for net in (build_net("small"), Changed(lambda z, calls: z)):
        check_alone(net, split, predict(net, split))


def test_it_costs_32_images():
    net = Changed(lambda z, calls: z)
    check_alone(net, SPLIT, predict(net, SPLIT))
    assert net.images == len(SPLIT) + ALONE
    assert ALONE == 32


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda z, calls: z - z.mean(), "the other images of their batch"),
        (lambda z, calls: z + 0.01 * z.std(correction=0), "the other images of their batch"),
        (lambda z, calls: z + 1e-3 * z.argsort().argsort(), "the other images of their batch"),
        (lambda z, calls: z + 1e-3 * calls, "earlier calls"),
        (lambda z, calls: z if calls == 1 else -z, "the other images of their batch"),
        (lambda z, calls: z + 1e-3 * torch.randn(len(z)), "earlier calls, or on random numbers"),
    ],
)
def test_a_dependence_is_found_and_named(change, why):
    assert f"they depend on {why}" in refused(Changed(change))


def test_differences_of_rounding_pass_and_larger_ones_do_not():
    def shifted(by):
        net = Changed(lambda z, calls: 100 * z + (by if calls > 1 else 0))
        check_alone(net, SPLIT, predict(net, SPLIT))

    shifted(5e-5)
    with pytest.raises(PluginBroken):
        shifted(0.05)


def test_batchnorm_in_training_mode_and_a_frozen_network_that_is_put_into_it():
    net = build_net("small")

    class Trains(nn.Module):
        def forward(self, x):
            return net.train()(x)

    assert "they depend on" in refused(Trains())


def test_what_is_said():
    assert refused(Changed(lambda z, calls: z - z.mean())).partition(": ")[2] == snapshot(
        "they depend on the other images of their batch. Return a model whose logits depend on their own image alone: use statistics that fit stored, as BatchNorm does in evaluation mode, and change nothing in forward"
    )
    assert refused(Changed(lambda z, calls: z / z.std())) == snapshot(
        "32 of 32 logits on val change to NaN when they are predicted again, alone and in other batches: they depend on the other images of their batch. Return a model whose logits depend on their own image alone: use statistics that fit stored, as BatchNorm does in evaluation mode, and change nothing in forward"
    )


# --- files ---------------------------------------------------------------------------------------


def test_files_that_are_opened_in_any_way_are_named_once(tmp_path):
    table, text, database = tmp_path / "cells.parquet", tmp_path / "notes.txt", tmp_path / "a.db"
    pd.DataFrame({"y": [1]}).to_parquet(table)
    pd.DataFrame({"y": [1]}).to_parquet(tmp_path / "other.parquet")
    text.write_text("x")
    (tmp_path / "before.txt").write_text("x")
    with opened_files() as found:
        pd.read_parquet(table)
        pq.read_table(tmp_path / "other.parquet")
        text.read_text()
        text.read_text()
        os.close(os.open(tmp_path / "notes.txt", os.O_RDONLY))
        sqlite3.connect(database).close()
        other = threading.Thread(target=(tmp_path / "thread.txt").write_text, args=("x",))
        other.start()
        other.join()
        with pytest.raises(FileNotFoundError):
            (tmp_path / "missing").read_text()
    (tmp_path / "after.txt").write_text("x")
    assert [Path(file).name for file in found] == [
        "cells.parquet",
        "other.parquet",
        "notes.txt",
        "a.db",
        "thread.txt",
        "missing",
    ]


def test_imports_and_devices_are_no_files(tmp_path, monkeypatch):
    (tmp_path / "a_module_of_this_test.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with opened_files() as found:
        import a_module_of_this_test  # noqa: F401

        open(os.devnull).close()  # noqa: PTH123
        os.urandom(1)
    assert found == []


def test_blocks_may_be_nested(tmp_path):
    with opened_files() as outer:
        with opened_files() as inner:
            (tmp_path / "one").write_text("x")
        (tmp_path / "two").write_text("x")
    with tempfile.TemporaryFile():
        pass
    assert [len(outer), len(inner)] == [2, 1]
