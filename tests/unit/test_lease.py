"""Leases: one holder at a time, among real processes; a holder that is gone is replaced by exactly one."""

import json
import os
import platform
import re
import subprocess
import sys
import time

import pytest
from inline_snapshot import snapshot

from bench import lease as leases
from bench.cells import store
from bench.cells.identity import baselines_folder
from bench.lease import holder, lease, mine
from bench.processes import here, started

CONTEND = """
import sys, time
from pathlib import Path
from bench.lease import lease
place, go = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.0005)
with lease(place) as other:
    if other is None:
        print("held", flush=True)
        time.sleep(0.3)
"""


def by(file, number, *, pid, host=None, age=0.0):
    """Write a lease as another process would have."""
    one = file.parent / f".{file.name}.lease.{number}"
    one.write_text(
        json.dumps(
            {
                "host": host or platform.node(),
                "pid": pid,
                "parent": 1,
                "job": "",
                "started": 0.0,
                "where": host or here(),
                "born": started(pid) if host is None else 0,
            }
        )
    )
    os.utime(one, (time.time() - age,) * 2)
    return one


@pytest.fixture
def gone():
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_who_holds_it_is_told_and_nothing_is_left(tmp_path):
    place = tmp_path / "f0-s0"
    with lease(place, job="7_1") as other:
        assert other is None
        assert holder(place).pid == os.getpid()
        with lease(place) as second:
            assert str(second) == f"job 7_1 on {platform.node()}"
    assert holder(place) is None
    assert list(tmp_path.iterdir()) == []


def test_a_holder_of_this_machine_that_ended_is_replaced_at_once(tmp_path, gone):
    place = tmp_path / "f0-s0"
    by(place, 4, pid=gone)
    assert holder(place) is None
    with lease(place) as other:
        assert other is None
        assert [one.name for one in tmp_path.iterdir()] == [".f0-s0.lease.5"]


def test_a_holder_elsewhere_is_believed_until_five_beats_are_missed(tmp_path):
    place = tmp_path / "f0-s0"
    by(place, 1, pid=1, host="elsewhere", age=4.5 * leases.BEAT)
    with lease(place) as other:
        assert other.host == "elsewhere"
    by(place, 1, pid=1, host="elsewhere", age=5.5 * leases.BEAT)
    with lease(place) as other:
        assert other is None


def test_a_process_of_another_container_with_the_name_of_this_machine_is_not_looked_for_here(tmp_path, gone):
    place = tmp_path / "f0-s0"
    one = by(place, 1, pid=gone)
    assert holder(place) is None
    one.write_text(one.read_text().replace(here(), "the-same-name-00000000"))
    assert holder(place).pid == gone


def test_another_process_with_the_number_of_the_holder_is_not_taken_for_it(tmp_path):
    place = tmp_path / "f0-s0"
    one = by(place, 1, pid=os.getppid())
    assert holder(place).pid == os.getppid()
    one.write_text(one.read_text().replace(f'"born": {started(os.getppid())}', '"born": 1'))
    assert holder(place) is None


def test_a_lease_from_the_future_is_believed_while_it_changes_and_for_five_beats_after(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.05)
    place = tmp_path / "f0-s0"
    one = by(place, 1, pid=1, host="elsewhere", age=-9000)
    assert holder(place).host == "elsewhere"
    assert re.sub(r"\d+ s in", "... s in", str(holder(place))) == snapshot(
        "process 1 on elsewhere (its lease is ... s in the future, as after a clock was set back; it counts as dead if it does not change for 0 s)"
    )
    time.sleep(0.2)
    os.utime(one, (time.time() + 9000,) * 2)  # it beats
    time.sleep(0.1)
    assert holder(place).host == "elsewhere"
    time.sleep(0.3)
    assert holder(place) is None


def test_a_holder_that_lives_but_is_silent_is_replaced(tmp_path):
    place = tmp_path / "f0-s0"
    by(place, 1, pid=os.getppid(), age=5.5 * leases.BEAT)
    with lease(place) as other:
        assert other is None


def test_one_that_was_taken_for_dead_leaves_the_lease_of_the_next_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.05)
    place, first = tmp_path / "f0-s0", tmp_path / ".f0-s0.lease.1"
    with lease(place):
        first.unlink()  # as the one does that takes it over, and is done
        by(place, 1, pid=1, host="elsewhere", age=1000)
        time.sleep(0.3)
        assert time.time() - first.stat().st_mtime > 900
    assert first.is_file()


def test_the_lease_is_touched_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.05)
    with lease(tmp_path / "f0-s0"):
        (file,) = tmp_path.iterdir()
        os.utime(file, (0, 0))
        time.sleep(0.3)
        assert file.stat().st_mtime > 1


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_processes_one_holds_it(tmp_path, gone, stale):
    held = []
    for turn in range(4):
        place, go = tmp_path / f"f{turn}-s0", tmp_path / f"go{turn}"
        if stale:
            by(place, 3, pid=gone)
        words = [sys.executable, "-c", CONTEND, str(place), str(go)]
        racers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(6)]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        go.touch()
        said = [racer.communicate(timeout=60)[0] for racer in racers]
        held.append(said.count("held\n"))
    # In doubt nobody holds it, and it is asked for again; never do two.
    assert set(held) <= {0, 1}
    assert 1 in held


def test_a_holder_learns_that_it_was_taken_over(tmp_path):
    place = tmp_path / "f0-s0"
    assert not mine(place)
    with lease(place):
        assert mine(place)
        by(place, 2, pid=1, host="elsewhere")
        assert not mine(place)


def test_the_lease_of_a_killed_training_of_a_baseline_is_cleared_and_that_of_a_living_one_stays(tmp_path, gone):
    folder = baselines_folder(tmp_path)
    folder.mkdir(parents=True)
    left, living = by(folder / "ab12", 1, pid=gone), by(folder / "cd34", 1, pid=os.getpid())
    store.clear_temporaries(tmp_path / "results", "mine", tmp_path)
    assert list(folder.iterdir()) == [living]
    assert not left.exists()
