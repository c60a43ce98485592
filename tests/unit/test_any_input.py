"""Any input ends in a documented exit code, without a traceback, within a time limit, and writes nothing elsewhere.

Few examples in the fast suite and more under `slow`, the same ones each time; under `long` many, drawn anew.
"""

import argparse
import gzip
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench import cli
from bench.data import split_manifest
from bench.running.history import remember
from bench.running.run_task import plan_run
from bench.settings import Settings
from bench.share.archive import pack
from bench.share.export import contents
from tests.task_texts import AGE, CHEST
from tests.unit.any_input import ODD, broken_bytes, broken_toml, outcome, texts
from tests.unit.sites import site

CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
same = settings(suppress_health_check=CHECKS)
anew = settings(derandomize=False, database=None, suppress_health_check=CHECKS, print_blob=True)
TASK = CHEST.format(name="tiny", images=48, attribute=AGE).replace("images=100", "images=32")
FILMS = """
name = "films"
folds = 2
image_size = 16
channels = 1
backbones = ["small"]
[source]
dataset = {name = "manifest", csv = "films.csv", path_column = "file", patient_column = "patient"}
where = {site = ["A"]}
[tests.held]
share = 0.2
[label]
column = "ill"
names = ["well", "ill"]
zero = ["no"]
one = ["yes"]
[attribute]
column = "age"
above = 65
names = ["up to 65", "over 65"]
"""
FILMS += TASK[TASK.index("[recipe]") :]
PROFILE = """
longest_time = 100
[baseline]
time = "1:00:00"
cpus_per_task = 2
gpus_per_node = 1
mem = "4GB"
setup = ["module load cuda"]
[method]
time = 60
array_parallelism = 2
additional_parameters = {reservation = "x"}
exclusive = true
"""
PLAN = """
on = "local"
[[run]]
task = ["tiny.toml"]
methods = ["baseline", "swift:epsilon=0.2"]
folds = [0]
seeds = [0, 1]
[[run]]
task = "tiny.toml:external=0.3"
backbone = "small"
ablate = "epochs"
"""
HEAVY = 100
"""Examples of what takes a second each."""
DRY = ("--dry-run", "--methods", "baseline")


@pytest.fixture(scope="module")
def folder():
    """The only folder that may be written; temporary files are in it too, and SLURM's commands are not found."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        place = Path(name).resolve()
        (place / "temporary").mkdir()
        patch.setattr(tempfile, "tempdir", str(place / "temporary"))
        patch.setenv("PATH", str(place / "temporary"))
        patch.setenv("HOME", str(place))
        (place / "tiny.toml").write_text(TASK)
        rows = [
            f"{i}.png,p{i // 2},{'yes' if i % 3 else 'no'},{41 + i},{'fm'[i % 2]},{'AB'[i > 40]}" for i in range(48)
        ]
        (place / "films.csv").write_text("file,patient,ill,age,sex,site\n" + "\n".join(rows) + "\n")
        for i in range(48):
            Image.new("L", (8, 8), 5 * i).save(place / f"{i}.png")
        yield place


def with_more(examples):
    """The test with few examples, a slow one with a quarter of `examples`, and a long one with all of them."""

    def all_three(make):
        def of(suffix, count, chosen, *marks):
            def test(folder, data):
                make(folder, data)

            test.__name__, test.__doc__ = make.__name__ + suffix, make.__doc__
            test = settings(chosen, max_examples=count)(given(data=st.data())(test))
            for mark in marks:
                test = mark(test)
            globals()[test.__name__] = test
            return test

        of("_of_more", examples // 4, same, pytest.mark.slow)
        of("_of_many", examples, anew, pytest.mark.slow, pytest.mark.long)
        return of("", 10 if examples > HEAVY else 5, same)

    return all_three


@cache
def options():
    """The options of each command."""
    (verbs,) = (one for one in cli._parser()._actions if isinstance(one, argparse._SubParsersAction))
    return {verb: [a for a in parser._actions if a.option_strings] for verb, parser in verbs.choices.items()}


SAFE = ("status", "logs", "retry", "cancel", "clean", "report", "export", "merge", "metrics", "doctor", "ls", "run")
"""Commands that compute and download nothing on odd input; `run` is a dry run."""


@with_more(700)
def test_any_command_line(folder, data):
    verb = data.draw(st.sampled_from(SAFE))
    words, known = [verb], [one for one in options()[verb] if one.dest not in ("watch", "help")]
    usual = st.sampled_from(
        ["tiny.toml", "phantom-cxr-age", "all", "0", "swift,bmft", "results", "small", "slurm", "plain"]
    )
    for one in data.draw(st.lists(st.sampled_from(known), max_size=4, unique_by=lambda one: one.dest)):
        words.append(data.draw(st.sampled_from(one.option_strings)))
        if one.nargs != 0:
            words.append(data.draw(st.one_of(usual, texts)))
    words += data.draw(st.lists(st.one_of(usual, texts), max_size=1))
    words = [word.replace("\0", "") for word in words]  # no shell passes it on
    outcome([*words, "--dry-run"] if verb in ("run", "clean") and "--dry-run" not in words else words, folder)


@with_more(700)
def test_any_task_file(folder, data):
    (folder / "any.toml").write_bytes(data.draw(broken_toml(data.draw(st.sampled_from([TASK, FILMS])))))
    outcome(["run", "--task", "any.toml", *DRY], folder)


@with_more(400)
def test_any_profile(folder, data):
    (folder / "profile.toml").write_bytes(data.draw(broken_toml(PROFILE)))
    outcome(["run", "--task", "tiny.toml", *DRY, "--on", "slurm", "--profile", "profile.toml"], folder)


@with_more(300)
def test_any_plan(folder, data):
    (folder / "plan.toml").write_bytes(data.draw(broken_toml(PLAN)))
    outcome(["run", "plan.toml", "--dry-run"], folder)


@cache
def manifest(folder):
    run, _ = plan_run(Settings(str(folder / "tiny.toml"), methods="baseline"))
    return split_manifest.manifest(run.task, run.cut()).encode()


@with_more(100)
def test_any_split_manifest(folder, data):
    content = manifest(folder)
    if data.draw(st.booleans()):
        first, _, rest = content.partition(b"\n")
        header = json.loads(first.removeprefix(b"# "))
        header[data.draw(st.sampled_from([*header]))] = data.draw(
            st.one_of(texts, st.integers(), st.none(), st.lists(texts))
        )
        header.pop(data.draw(st.sampled_from([*header, "sha256"])), None)
        content = b"# " + json.dumps(header).encode() + b"\n" + rest
    (folder / "splits.csv").write_bytes(data.draw(broken_bytes(content)))
    outcome(["run", "--task", "tiny.toml", *DRY, "--splits", "splits.csv"], folder)


@cache
def exported(folder):
    pack(folder / "whole.tar.gz", *contents(site("north")))
    return (folder / "whole.tar.gz").read_bytes()


@with_more(100)
def test_any_archive_is_read_or_refused_and_writes_nothing_outside(folder, data):
    content = exported(folder)
    if data.draw(st.booleans()):  # inside of the compression, so that the damage is one of the archive
        content = gzip.compress(data.draw(broken_bytes(gzip.decompress(content))), 1)
    else:
        content = data.draw(broken_bytes(content))
    (folder / "any.tar.gz").write_bytes(content)
    words = data.draw(st.sampled_from([["report", "--from", "any.tar.gz"], ["merge", "any.tar.gz", "whole.tar.gz"]]))
    outcome(words, folder)


@with_more(100)
def test_any_folder_of_results(folder, data):
    """What other commands read of a folder: its runs, its submissions, leases and cells."""
    shutil.rmtree(folder / "theirs", ignore_errors=True)
    results = folder / "theirs"
    remember(Settings(str(folder / "tiny.toml"), results), "tiny")
    intent = {"task": "tiny", "tasks": [[{"path": "tiny/small/swift/f0-s0"}]], "submitted": 1.0}
    lease = {"host": "x", "pid": 1, "parent": 1, "job": "", "started": 0.0, "where": "x", "born": 0}
    cells = "cells/tiny/small/baseline"
    files = {
        "runs/tiny.json": (results / "runs/tiny.json").read_bytes(),
        "slurm/bench-1/intent.json": json.dumps(intent).encode(),
        "slurm/bench-1/job": b"7\n",
        f"{cells}/.f0-s0.lease.1": json.dumps(lease).encode(),
        f"{cells}/f0-s0.json": b'{"schema": 3, "hash": "x", "beside": {}}',
        f"{cells}/f1-s0.failed.json": b'{"cell": {}, "error": {"class": "x"}}',
        f"{cells}/f0-s0.log": b"2026-01-01 00:00:00  attempt on x\n",
    }
    broken = data.draw(st.sampled_from([*files]))
    for name, content in files.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(data.draw(broken_bytes(content)) if name == broken else content)
    verb = data.draw(st.sampled_from(["status", "cancel", "clean", "report --all", "logs f0", "status --json"]))
    outcome([*verb.split(), "--results", str(results)], folder)


def test_what_is_watched_is_seen(folder):
    """A command that writes elsewhere fails the property."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as elsewhere, pytest.raises(AssertionError, match="mine"):
        outcome(["new", "plan", "mine", "--folder", elsewhere], folder)
    assert ODD.count("") == 1
    assert os.environ["HOME"] == str(folder)
