"""A task small enough to run many times: two folds of 32-pixel phantoms, one epoch of everything."""

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import factory
from tests.prose import plain
from tests.task_texts import AGE, CHEST
from tests.warm import Server

PROGRESS = re.compile(
    r"^\[\d+/\d+\] .*?\(\d+\.\d s, ETA \d+:\d\d:\d\d\)\n|^[a-z ]+: [\w-]+, \d+ (?:images|draws|models)\n", re.M | re.S
)
"""Lines that come when a cell or the images of a set are done: in no order, and with seconds."""
ENDED = re.compile(r"(\d+) of (\d+) cells? done((?:, \d+ [a-z ]+)+)")

TINY = CHEST.format(name="tiny", images=240, attribute=AGE)


@functools.cache
def server() -> Server:
    """The server of this process of tests."""
    return Server()


SHOWN = "main,groups"
"""The tables by which tests compare two runs."""


class Place:
    """A folder with the tiny task in it, in which `bench` runs as a user runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tiny.toml").write_text(TINY)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "bench.cli", *words]

    def bench(
        self, *words: str, code: int | None = 0, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        if environment:  # which libraries may read when they are imported
            every = {**os.environ, **environment}
            done = subprocess.run(
                self.command(*words),
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                env=every,
            )
        else:
            done = server().run(words, self.folder, timeout)
        assert code is None or done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def told(self, text: str) -> str:
        """What was printed beside progress, with this folder as `<tmp>`: for snapshots."""
        return plain(PROGRESS.sub("", text), self.folder)

    @staticmethod
    def ended(text: str) -> dict[str, int]:
        """The numbers in the sentence with which a run ends, by their words; this is the one place that reads it."""
        found = ENDED.search(text)
        assert found, text
        parts = (part.split(" ", 1) for part in found[3].split(", ")[1:])
        return {"done": int(found[1]), "cells": int(found[2]), **{what: int(number) for number, what in parts}}

    def report(self, *words: str) -> dict[str, bytes]:
        self.bench("report", "--task", "tiny.toml", *words, timeout=900)
        return self.reported()

    def reported(self) -> dict[str, bytes]:
        """The files of the report that was made last, by name."""
        return {file.name: file.read_bytes() for file in sorted((self.folder / "reports" / "tiny").iterdir())}

    def shown(self) -> dict[str, bytes]:
        """The files of two tables, made now: the same for two runs."""
        self.report("--only", SHOWN)
        return {name: data for name, data in self.reported().items() if name.partition(".")[0] in SHOWN.split(",")}

    def cells(self) -> dict[str, bytes]:
        root = self.folder / "results" / "cells"
        files = (file for file in sorted(root.rglob("*.json")) if not file.name.endswith(".scores.json"))
        return {str(file.relative_to(root)): file.read_bytes() for file in files}

    def records(self) -> dict[str, dict]:
        """Every cell with its scores, by its place below the folder of cells."""
        root = self.folder / "results" / "cells"
        return {name: factory.plain(root / name) for name in self.cells() if not name.endswith(".failed.json")}


@pytest.fixture(scope="session")
def place_in():
    """Makes a place of a folder, for what several tests share."""
    return Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(scope="session")
def new_place(tmp_path_factory):
    return lambda name: Place(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def finished(new_place, tmp_path_factory):
    """The tiny task, run to its end without interruption by all ten methods.

    It is run once; each process of tests has a copy, because tests write into it.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    original, said = base / "finished", base / "finished.json"
    words = ("run", "--task", "tiny.toml", "--methods", "all")
    with (base / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.is_file():
            original.mkdir(exist_ok=True)
            done = Place(original).bench(*words)
            Place(original).report()
            said.write_text(json.dumps([done.stdout, done.stderr]))
    place = new_place("finished")
    shutil.copytree(original, place.folder, dirs_exist_ok=True)
    # The folders that a run remembers are absolute.
    for file in (place.folder / "results" / "runs").glob("*.json"):
        file.write_text(file.read_text().replace(str(original), str(place.folder)))
    place.first = subprocess.CompletedProcess(words, 0, *json.loads(said.read_text()))
    place.first_report = place.reported()
    return place
