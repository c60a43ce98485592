"""Processes of a run are killed at random moments; the run starts again each time and ends as if nothing had been."""

import collections
import hashlib
import json
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


@pytest.mark.parametrize(
    ("seed", "kills", "longest"), [(1, 3, 4.0), pytest.param(2, 50, 1.8, marks=pytest.mark.slow)], ids=["3", "50"]
)
def test_killed_anywhere_the_run_ends_with_the_same_table(finished, place, seed, kills, longest):
    struck, written = cause_chaos(place, seed, kills, longest)
    print(f"seed {seed}: killed {dict(struck)}, {len(written)} cells were done by then")
    last = place.bench("run", "--task", "tiny.toml", **HURRY)
    assert "22 of 22 cells done" in last.stdout
    again = place.bench("run", "--task", "tiny.toml")
    assert "22 of 22 cells done, 0 computed, 0 recomputed" in again.stdout
    assert place.report() == finished.first_report
    for file, when in written.items():
        assert file.stat().st_mtime_ns == when, f"{file} was done and is computed again"

    whole = finished.cells()
    for name, content in place.cells().items():
        one, other = json.loads(content), json.loads(whole[name])
        for key in ("hash", "scores", "predictions", "baseline", "data"):
            assert one[key] == other[key], (name, key)
        predictions = (place.folder / "results/cells" / name).with_suffix(".parquet")
        assert hashlib.sha256(predictions.read_bytes()).hexdigest() == one["predictions"]["sha256"]
    assert place.cells().keys() == whole.keys(), "no failure is left"
    left = [f for place_ in ("results", ".cache") for f in (place.folder / place_).rglob("*")]
    assert [str(f) for f in left if f.name.startswith(".") or f.suffix == ".checkpoint"] == []
