"""A running SLURM: `eval "$(slurm/testcluster/up)"` starts one; without one all of these are skipped."""

import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Place

CLUSTER = Path(__file__).parents[2] / "slurm" / "testcluster"
METHODS = "swift,bmft"
PROFILE = """
[baseline]
time = 10
cpus_per_task = 1
[method]
time = {time}
cpus_per_task = 1
array_parallelism = 2
"""


def pytest_collection_modifyitems(items):
    why = None if answers("sinfo", "--noheader") else "no SLURM answers: start one with slurm/testcluster/up"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)
            if why:
                item.add_marker(pytest.mark.skip(reason=why))


def answers(*words):
    try:
        return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def daemon(verb, name):
    """`start` or `stop` a daemon of the test cluster."""
    subprocess.run([CLUSTER / verb, name], check=True, timeout=60)


def shell(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


@contextlib.contextmanager
def drained():
    """The node takes no jobs: what is submitted waits."""
    shell("scontrol", "update", "nodename=localhost", "state=drain", "reason=test")
    try:
        yield
    finally:
        shell("scontrol", "update", "nodename=localhost", "state=resume")


@contextlib.contextmanager
def configured(daemons, **settings):
    """The controller restarted with other values of slurm.conf, and with the old ones at the end."""
    file = Path(os.environ["SLURM_CONF"])
    before = after = file.read_text()
    for name, value in settings.items():
        after = re.sub(rf"(?m)^{name}=\d+", f"{name}={value}", after)
    assert after != before
    try:
        _restart(daemons, file, after)
        yield
    finally:
        _restart(daemons, file, before)


def _restart(daemons, file, text):
    daemons("stop", "slurmctld")
    file.write_text(text)
    daemons("start", "slurmctld")
    end = time.monotonic() + 30
    while time.monotonic() < end and not answers("scontrol", "ping"):
        time.sleep(0.3)


class ClusterPlace(Place):
    """A folder from which cells are submitted."""

    def __init__(self, folder):
        super().__init__(folder)
        self.profile("mine.toml")

    def profile(self, name, time=10, text=PROFILE):
        (self.folder / name).write_text(text.format(time=time))

    def submit(self, *words, methods=METHODS, profile="mine.toml", code=0):
        run = ("run", "--task", "tiny.toml", "--methods", methods, "--on", "slurm", "--profile", profile)
        return self.bench(*run, *words, code=code)

    def wait(self, until=None, seconds=240):
        """Wait until the queue holds nothing of this user, or until a condition."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if until() if until else shell("squeue", "--noheader").strip() == "":
                return
            time.sleep(0.3)
        raise AssertionError(f"still there after {seconds} s:\n{shell('squeue')}\n{self.said()}")

    def complete(self, *words, rounds=3, **given):
        """Run the same command until all is done, as a person would who comes back from time to time."""
        for _ in range(rounds):
            self.wait()
            done = self.submit(*words, **given)
            count = re.match(r"(\d+) of (\d+) cells? done", done.stdout)
            if count[1] == count[2]:
                return
        raise AssertionError(f"not complete after {rounds} rounds: {done.stdout}\n{self.said()}")

    def counts(self):
        return json.loads(self.bench("status", "--json", *self.plugins()).stdout)[0]["counts"]

    def plugins(self) -> list[str]:
        """The options for the plugins in the folder, which commands do not take from the results."""
        return [word for file in self.folder.glob("*.py") for word in ("--plugin", file.name)]

    def leases(self):
        files = (self.folder / "results" / "cells").rglob(".*.lease.*")
        return [json.loads(file.read_text()) for file in files if file.suffix[1:].isdigit()]

    def attempts(self):
        """How often each cell was begun and done, by its log."""
        found = {}
        for file in (self.folder / "results" / "cells").rglob("*.log"):
            lines = [line[21:] for line in file.read_text().splitlines()]
            begun = sum(line.startswith("attempt on") for line in lines)
            found[str(file.relative_to(self.folder / "results/cells"))] = (begun, lines.count("done"))
        return found

    def said(self):
        texts = (self.folder / "results" / "slurm").glob("*/*_log.*")
        return "\n".join(f"{file.name}: {file.read_text()[-500:]}" for file in texts)

    def done_once(self):
        """No cell was computed again after it was done."""
        again = {cell: counts for cell, counts in self.attempts().items() if counts[1] != 1}
        assert again == {}


@pytest.fixture(autouse=True)
def _empty_queue():
    """Each test begins on an idle cluster with both daemons up, and leaves one."""
    daemon("start", "slurmctld")
    daemon("start", "slurmd")
    yield
    subprocess.run([CLUSTER / "start", "slurmctld", "slurmd"], check=False, timeout=60)
    subprocess.run(["scancel", "--user", str(os.getuid())], check=False, timeout=60)
    end = time.monotonic() + 60
    while time.monotonic() < end and shell("squeue", "--noheader").strip():
        time.sleep(0.3)


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    """The tiny task, run on this machine without SLURM."""
    place = Place(tmp_path_factory.mktemp("local"))
    place.bench("run", "--task", "tiny.toml", "--methods", METHODS)
    place.shown_first = place.shown()
    return place


@pytest.fixture
def cluster(tmp_path):
    return ClusterPlace(tmp_path)


@pytest.fixture
def place_of(tmp_path):
    """Makes a place of its own for a run on this machine."""

    def make(name):
        (tmp_path / name).mkdir()
        return Place(tmp_path / name)

    return make


@pytest.fixture
def daemons():
    return daemon
