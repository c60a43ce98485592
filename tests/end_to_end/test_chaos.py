"""Processes of a run are killed at random moments, and files damaged; the run that starts again ends as if nothing was."""

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


def damage(place, draw):
    """Flip, cut, empty, replace or remove a file of a cell or of cached weights; return the records it may change."""
    cells = place.folder / "results/cells/tiny/small"
    files = [*cells.rglob("f?-s0.*"), *(place.folder / ".cache/baselines").glob("*.pt")]
    files = sorted(file for file in files if file.suffix != ".log" and not file.name.endswith(".failed.json"))
    if not files:
        return []
    file, how = draw.choice(files), draw.choice(("flip", "cut", "empty", "replace", "remove"))
    try:
        content = file.read_bytes()
        others = [one for one in files if one != file and one.suffixes == file.suffixes]
        if how == "remove":
            file.unlink()
        elif how == "replace" and others:
            file.write_bytes(draw.choice(others).read_bytes())
        elif how == "flip" and content:
            at = draw.randrange(len(content))
            file.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        else:
            file.write_bytes(content[: len(content) // 2] if how == "cut" else b"")
    except FileNotFoundError:  # replaced in this moment
        return []
    # Weights are trained again by a cell of a baseline, whose record is then written anew.
    return [file.with_name(f"{file.name[:5]}.json")] if cells in file.parents else [*cells.glob("baseline/f?-s0.json")]


def cause_chaos(place, seed, kills, longest, *, damages):
    """Kill processes of the run at so many random moments; return how often which, and when each result was written.

    With `damages`, a file is damaged after each kill; results that this may change are left out of the times.
    """
    draw, struck, written, groups, shell = random.Random(seed), collections.Counter(), {}, [], None
    changed = set()
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
        if damages:
            changed |= {*damage(place, draw)}
            written = {file: when for file, when in written.items() if file not in changed}
        for file in {*(place.folder / "results/cells").rglob("f?-s0.json")} - changed:
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
@pytest.mark.long
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


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("seed", range(4, 10))
def test_killed_and_damaged_many_times_the_run_ends_with_the_same_table(finished, place, seed):
    survives(finished, place, seed=seed, kills=20, longest=2.5, cells=22, damages=True)


@pytest.mark.slow
def test_killed_and_damaged_the_run_ends_with_the_same_table(finished, place):
    survives(finished, place, seed=3, kills=5, longest=4.0, cells=22, damages=True)


def survives(finished, place, *, seed, kills, longest, cells, damages=False):
    struck, written = cause_chaos(place, seed, kills, longest, damages=damages)
    print(f"seed {seed}: killed {dict(struck)}, {len(written)} of {cells} cells were done by then")
    last = place.bench("run", "--task", "tiny.toml", **HURRY)
    ended = place.ended(last.stdout)
    assert (ended["done"], ended["cells"], "failed" in ended) == (cells, cells, False)
    again = place.bench("run", "--task", "tiny.toml")
    assert place.ended(again.stdout) == {"done": cells, "cells": cells, "computed": 0, "recomputed": 0}
    assert place.shown() == finished.shown()
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
