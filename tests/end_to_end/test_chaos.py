"""Processes of a run are killed at random moments; the run starts again each time and ends as if nothing had been."""

import collections
import hashlib
import os
import random
import signal
import subprocess
import time

import pytest

VICTIMS = {"worker": 5, "pool": 2, "shell": 1, "all": 2}
"""What is killed, and how often in proportion. A pool whose shell is killed lives on beside the next run."""
HURRY = {"BENCH_CHECKPOINT_EVERY": "0.05", "BENCH_LEASE_BEAT": "1"}


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in found.split()]


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def strike(shell, victim, draw):
    """Kill one kind of process of the run under a shell; return whether there was one."""
    pools = children(shell.pid)
    workers = [pid for pool in pools for pid in children(pool)]
    if victim == "worker":
        return bool(workers) and kill(draw.choice(workers))
    aims = {"pool": pools, "shell": [shell.pid], "all": [shell.pid, *pools, *workers]}[victim]
    return sum(kill(pid) for pid in aims) > 0


def living(group):
    found = subprocess.run(["pgrep", "-g", str(group), "-r", "R,S,D"], capture_output=True, check=False)
    return found.returncode == 0


def cause_chaos(place, seed, kills, longest):
    """Kill processes of the run at so many random moments; return how often which, and when each result was written."""
    draw, struck, written, groups, shell = random.Random(seed), collections.Counter(), {}, [], None
    while struck.total() < kills:
        if shell is None or shell.poll() is not None:
            words = ["sh", "-c", '"$@"; exit $?', "sh", *place.command("run", "--task", "tiny.toml")]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            shell = subprocess.Popen(
                words, cwd=place.folder, start_new_session=True, env={**os.environ, **HURRY}, **quiet
            )
            groups.append(shell.pid)
        time.sleep(draw.uniform(0.05, longest))
        victim = draw.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        if strike(shell, victim, draw):
            struck[victim] += 1
        if victim in ("shell", "all"):
            shell.wait()
        for file in (place.folder / "results/cells").rglob("f?-s0.json"):
            when = file.stat().st_mtime_ns
            assert written.setdefault(file, when) == when, f"{file} was done and is computed again"
    while any(living(group) for group in groups):
        time.sleep(0.1)
    shell.wait()
    return struck, written


def uninterrupted(place):
    place.bench("run", "--task", "tiny.toml")
    place.first_report = place.report()
    return place


@pytest.mark.slow
def test_killed_three_times_the_run_ends_with_the_same_table(finished, place):
    survives(finished, place, seed=1, kills=3, longest=4.0, cells=22)


@pytest.mark.slow
@pytest.mark.long
def test_killed_fifty_times_the_run_ends_with_the_same_table(new_place, place):
    other = new_place("uninterrupted")
    for one in (other, place):
        text = (one.folder / "tiny.toml").read_text().replace("folds = 2", "folds = 6")
        (one.folder / "tiny.toml").write_text(text.replace("pretrain_epochs = 1", "pretrain_epochs = 6"))
    survives(uninterrupted(other), place, seed=2, kills=50, longest=2.5, cells=66)


def survives(finished, place, *, seed, kills, longest, cells):
    struck, written = cause_chaos(place, seed, kills, longest)
    print(f"seed {seed}: killed {dict(struck)}, {len(written)} of {cells} cells were done by then")
    last = place.bench("run", "--task", "tiny.toml", **HURRY)
    ended = place.ended(last.stdout)
    assert (ended["done"], ended["cells"], "failed" in ended) == (cells, cells, False)
    again = place.bench("run", "--task", "tiny.toml")
    assert place.ended(again.stdout) == {"done": cells, "cells": cells, "computed": 0, "recomputed": 0}
    assert place.untimed() == finished.untimed()
    for file, when in written.items():
        assert file.stat().st_mtime_ns == when, f"{file} was done and is computed again"

    whole = finished.records()
    for name, one in place.records().items():
        other = whole[name]
        for key in ("hash", "scores", "predictions_sha256", "baseline_sha256", "data"):
            assert one[key] == other[key], (name, key)
        predictions = (place.folder / "results/cells" / name).with_suffix(".parquet")
        assert hashlib.sha256(predictions.read_bytes()).hexdigest() == one["predictions_sha256"]
    assert place.cells().keys() == whole.keys(), "no failure is left"
    left = [f for place_ in ("results", ".cache") for f in (place.folder / place_).rglob("*")]
    assert [str(f) for f in left if f.name.startswith(".") or f.suffix == ".checkpoint"] == []
